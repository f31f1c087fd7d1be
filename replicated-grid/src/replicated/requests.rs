//! Answers what other nodes say to one raft group.
//!
//! An error is a refusal: what was asked has certainly not been done. Messages that name another sender than the
//! transport does are refused; the rest of the raft protocol trusts the members of the cluster, whose certificates the
//! transport has checked.

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::codec::{DecodeError, Reader};
use super::group::Group;
use super::messages::{Kind, answer, append_answer, read_append, read_transfer, read_vote_request, vote_answer};
use super::raft_types::{Snapshot, Vote};
use super::snapshot_transfer::{go_on, installed, read_chunk};
use crate::log::Health;
use crate::node::NodeId;

impl Group {
    /// Answers a message of the raft protocol.
    pub(super) async fn answer(&self, from: NodeId, kind: Kind, body: Reader) -> Result<Bytes, String> {
        match kind {
            Kind::Append => self.answer_append(from, body).await,
            Kind::Vote | Kind::PreVote => self.answer_vote(from, kind, body).await,
            Kind::TransferLeader => self.answer_transfer(from, body).await,
            Kind::SnapshotChunk => self.answer_chunk(from, body).await,
            Kind::Propose
            | Kind::Report
            | Kind::Change
            | Kind::Initialize
            | Kind::Move
            | Kind::Lead
            | Kind::Hello
            | Kind::Rejoin
            | Kind::Ask => Err("it is no message of the raft protocol".to_owned()),
        }
    }

    async fn answer_append(&self, from: NodeId, body: Reader) -> Result<Bytes, String> {
        let append = read_append(body).map_err(unreadable)?;
        is_from(from, &append.vote)?;
        if !append.entries.is_empty() {
            // Refused here, because openraft gives a group up whose write fails.
            self.standing.borrow().check()?;
        }
        let response = self.raft.append_entries(append).await.map_err(|error| error.to_string())?;
        Ok(append_answer(&response))
    }

    async fn answer_vote(&self, from: NodeId, kind: Kind, body: Reader) -> Result<Bytes, String> {
        let request = read_vote_request(body).map_err(unreadable)?;
        is_from(from, &request.vote)?;
        if self.standing.borrow().log == Health::Closed {
            return Err("its log has failed".to_owned());
        }
        if !request.leadership_transfer && Instant::now() < self.votes_from {
            return Err("it has just been started and may have promised another leader to wait".to_owned());
        }
        let response = match kind {
            Kind::PreVote => self.raft.pre_vote(request).await,
            _ => self.raft.vote(request).await,
        };
        Ok(vote_answer(&response.map_err(|error| error.to_string())?))
    }

    async fn answer_transfer(&self, from: NodeId, body: Reader) -> Result<Bytes, String> {
        let request = read_transfer(body).map_err(unreadable)?;
        is_from(from, request.from_leader())?;
        match self.raft.handle_transfer_leader(request).await {
            Ok(Ok(())) => Ok(answer().finish()),
            Ok(Err(refused)) => Err(refused.to_string()),
            Err(fatal) => Err(fatal.to_string()),
        }
    }

    async fn answer_chunk(&self, from: NodeId, body: Reader) -> Result<Bytes, String> {
        let chunk = read_chunk(body).map_err(unreadable)?;
        is_from(from, &chunk.vote)?;
        self.standing.borrow().check()?;
        let vote = chunk.vote;
        let Some(snapshot) = self.inbox.take(from, chunk).map_err(unreadable)? else { return Ok(go_on()) };
        self.is_installable(&snapshot)?;
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| error.to_string())?;
        Ok(installed(&response.vote))
    }

    /// That a snapshot does not contradict what is committed here; openraft ends the group over one that does.
    fn is_installable(&self, snapshot: &Snapshot) -> Result<(), String> {
        let metrics = self.raft.metrics();
        let committed = metrics.borrow_watched().local_committed;
        let contradicts =
            |committed| snapshot.meta.last_log_id.is_some_and(|last| last > committed && last.index <= committed.index);
        if committed.is_some_and(contradicts) {
            return Err("the snapshot contradicts what is committed here".to_owned());
        }
        Ok(())
    }
}

fn is_from(from: NodeId, vote: &Vote) -> Result<(), String> {
    if vote.leader_id.voted_for == from.0 { Ok(()) } else { Err("it speaks for another node".to_owned()) }
}

fn unreadable(error: DecodeError) -> String {
    error.to_string()
}
