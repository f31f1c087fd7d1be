//! A node whose log is in memory comes back under a new id and takes the place of the one it was.
//!
//! It knows addresses of others, and its own address, under which they still have its old id. It asks one of them; that one
//! makes sure that nobody answers under the old id any more and has the control group take the new one in for it. The
//! rest is what every change of members is: it learns, gets a vote, and the old id goes. One node at a time: the control
//! group refuses the next one until the last one has moved, and whoever is refused asks again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::Reader;
use super::control::command::{Command, put_member, read_member};
use super::messages::{Kind, answer, open_answer, request};
use super::node::{CONTROL, ReplicatedNode, Shared};
use crate::node::{Member, NodeId};
use crate::peers::Lane;
use crate::state_machine::StateMachine;

/// A pause before the others are asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an answer may take: the old id is tried and a change is decided in it.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long whoever still goes by the old id may take to say so.
const STILL_THERE_DEADLINE: Duration = Duration::from_secs(1);

impl<M: StateMachine> ReplicatedNode<M> {
    /// Has this node take the place of the one that was at its address, asking whoever is at one of `seeds`
    /// (`host:port`), and goes on until it is a member, however that came about; at once for a node whose log is on disk.
    /// To be run beside a node with a log in memory from its start on: while there is no grid, or its address is nobody's, it
    /// changes nothing.
    pub fn rejoin<'a>(&'a self, seeds: &'a [String]) -> BoxFuture<'a, ()> {
        self.shared.rejoin(seeds)
    }
}

/// Boxed where they are written, so that they are compiled there and not in each crate that calls them.
impl Shared {
    fn rejoin<'a>(&'a self, seeds: &'a [String]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut last_reason = String::new();
            while !self.around.log.is_durable() && !self.is_member() && !self.ending.is_cancelled() {
                for seed in seeds.iter().filter(|seed| **seed != self.ours.address) {
                    match self.ask_to_rejoin(seed).await {
                        Ok(old) => {
                            self.replaces.store(old.0, Ordering::SeqCst);
                            tracing::info!(grid = self.around.config.name, %old, ours = %self.ours.id, "taking a node's place");
                            break;
                        }
                        Err(reason) if reason != last_reason => {
                            tracing::info!(grid = self.around.config.name, seed, reason, "not taken in yet");
                            last_reason = reason;
                        }
                        Err(_) => {}
                    }
                }
                let mut view = self.view.subscribe();
                let learnt = view.wait_for(|state| state.members.contains_key(&self.ours.id));
                let _ = tokio::time::timeout(PAUSE, learnt).await;
            }
        })
    }
}

impl Shared {
    fn is_member(&self) -> bool {
        self.view.borrow().members.contains_key(&self.ours.id)
    }

    async fn ask_to_rejoin(&self, seed: &str) -> Result<NodeId, String> {
        let mut body = request(CONTROL, Kind::Rejoin);
        put_member(&mut body, &self.ours);
        // Which node is there is not known.
        let seed = Member { id: NodeId::default(), address: seed.to_owned() };
        let answered = self.around.peers.call(&seed, Lane::Proposal, body.finish(), DEADLINE).await;
        let mut answered =
            open_answer(answered.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        answered.u64().map(NodeId).map_err(|error| error.to_string())
    }

    /// Answers a node that says it has taken the place of another one: with the id of that one.
    pub(super) async fn answer_rejoin(&self, from: NodeId, mut body: Reader) -> Result<Bytes, String> {
        let new =
            read_member(&mut body).and_then(|new| body.finish().map(|()| new)).map_err(|error| error.to_string())?;
        if new.id != from {
            return Err("it speaks for another node".to_owned());
        }
        let view = self.control_state();
        let others = view.members.iter().filter(|(id, member)| **id != new.id && member.address == new.address);
        let (leaving, staying): (Vec<_>, Vec<_>) =
            others.map(|(id, member)| (*id, member.is_leaving)).partition(|at| at.1);
        let old = match (staying.first(), leaving.first()) {
            (Some((old, _)), _) => {
                self.is_gone(*old).await?;
                let replace = Command::Replace { old: *old, new };
                self.change(replace).await.map_err(|error| error.to_string())?;
                *old
            }
            // It has been taken in already.
            (None, Some((old, _))) if view.members.contains_key(&new.id) => *old,
            _ => return Err("no member is at this address".to_owned()),
        };
        let mut accepted = answer();
        accepted.u64(old.0);
        Ok(accepted.finish())
    }

    /// That nobody goes by the id `node` any more: it neither reports nor answers.
    async fn is_gone(&self, node: NodeId) -> Result<(), String> {
        let mut has_reported = false;
        self.reports.for_each(|from, _| has_reported |= from == node);
        let still_there = || Err(format!("node {node} is still there"));
        if has_reported {
            return still_there();
        }
        let Some(member) = self.around.addresses.get(node) else { return Ok(()) };
        let hello = request(CONTROL, Kind::Hello).finish();
        match self.around.peers.call(&member, Lane::Proposal, hello, STILL_THERE_DEADLINE).await {
            Ok(_) => still_there(),
            Err(_) => Ok(()),
        }
    }
}
