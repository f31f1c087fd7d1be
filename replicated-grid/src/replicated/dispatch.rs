//! Takes every request of other nodes and gives it to what it is about.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::{DecodeError, Reader};
use super::control::command::{Command, read_member};
use super::control::read_nodes;
use super::messages::{Kind, answer, open_request};
use super::node::{CONTROL, ReplicatedNode, Shared};
use super::reports::Report;
use crate::log::GroupId;
use crate::node::NodeId;
use crate::peers::{Lane, PeerRequests};
use crate::state_machine::StateMachine;

impl<M: StateMachine> ReplicatedNode<M> {
    /// What the transport gives the requests of other nodes to.
    pub fn requests(&self) -> Arc<dyn PeerRequests> {
        Arc::clone(&self.shared) as Arc<dyn PeerRequests>
    }
}

impl PeerRequests for Shared {
    fn answer(self: Arc<Self>, from: NodeId, _lane: Lane, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async move {
            if self.ending.is_cancelled() {
                return Err("the node is stopping".to_owned());
            }
            let (group, kind, body) = open_request(request).map_err(unreadable)?;
            self.dispatch(from, group, kind, body).await
        })
    }

    fn answer_stranger(self: Arc<Self>, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async move {
            let (_, kind, body) = open_request(request).map_err(unreadable)?;
            match kind {
                Kind::Rejoin => self.answer_rejoin(from, body).await,
                _ => Err(format!("node {from} is not a member of this grid")),
            }
        })
    }
}

impl Shared {
    async fn dispatch(&self, from: NodeId, group: GroupId, kind: Kind, mut body: Reader) -> Result<Bytes, String> {
        match kind {
            Kind::Append | Kind::Vote | Kind::PreVote | Kind::TransferLeader | Kind::SnapshotChunk => {
                self.raft_message(from, group, kind, body).await
            }
            Kind::Propose => self.answer_proposal(group, body).await,
            Kind::Ask => self.answer_question(group, body),
            Kind::Report => {
                self.take_report(from, Report::read(from, body).map_err(unreadable)?);
                Ok(answer().finish())
            }
            Kind::Change => {
                let command = Command::decode(body.rest()).map_err(unreadable)?;
                self.change(command).await.map_err(|error| error.to_string())?;
                Ok(answer().finish())
            }
            Kind::Initialize => {
                let members = body.list(read_member).map_err(unreadable)?;
                body.finish().map_err(unreadable)?;
                self.begin(group, members).await?;
                Ok(answer().finish())
            }
            Kind::Move => {
                let replicas = body.list(read_member).map_err(unreadable)?;
                body.finish().map_err(unreadable)?;
                self.led_here(group)?.move_to(&replicas).await?;
                self.around.roles_changed.notify_one();
                Ok(answer().finish())
            }
            Kind::Lead => {
                let to = read_nodes(&mut body).map_err(unreadable)?;
                body.finish().map_err(unreadable)?;
                let to = to.first().ok_or("nobody is named to lead")?;
                self.led_here(group)?.hand_over(*to).await?;
                Ok(answer().finish())
            }
            Kind::Rejoin => self.answer_rejoin(from, body).await,
            Kind::Hello => {
                let mut hello = answer();
                hello.flag(self.is_known(CONTROL));
                Ok(hello.finish())
            }
        }
    }

    async fn raft_message(&self, from: NodeId, group: GroupId, kind: Kind, body: Reader) -> Result<Bytes, String> {
        self.ensure_open(group).await?;
        let gone = || "the group has just been closed".to_owned();
        if group == CONTROL {
            let control = self.control.load_full().ok_or_else(gone)?;
            control.answer(from, kind, body).await
        } else {
            let partition = self.partition(group).ok_or_else(gone)?;
            partition.answer(from, kind, body).await
        }
    }

    fn led_here(&self, partition: GroupId) -> Result<Arc<super::group::Group>, String> {
        self.partition(partition).ok_or_else(|| format!("partition {partition} is not here"))
    }
}

fn unreadable(error: DecodeError) -> String {
    error.to_string()
}
