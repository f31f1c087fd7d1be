//! Turns the proposals of a group that this node leads into log entries, a few at a time under way.
//!
//! One task per group. It stamps each batch with replicated time right before the log takes it, and only in the term
//! whose clock it uses. While earlier batches are on their way, what arrives gathers into larger ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{ClientWriteError, ForwardReason};
use order_model::SharedClock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::entries::encode_batch;
use super::proposals::{Proposal, Proposals};
use super::raft_types::{CommittedLeader, Raft, Replies, Reply, WriteResult};
use super::role::Role;
use super::time::{GroupTime, reading};
use crate::error::ProposeError;
use crate::node::NodeId;
use crate::spawn::spawn;

/// Batches of a group on their way to a quorum at once: enough to keep disk and network busy.
const BATCHES_UNDER_WAY_MAX: usize = 8;
/// The size at which a batch is closed: 64 events of a typical size are 26 KiB.
const BATCH_BYTES: usize = 256 * 1024;
/// How long a leader that has lost touch with its quorum waits before it tries again; it may be back any moment.
const LEASE_RETRY: Duration = Duration::from_millis(10);

/// See the module.
pub(super) struct Batcher {
    pub(super) partition: u16,
    pub(super) raft: Raft,
    pub(super) proposals: Arc<Proposals>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) time: Arc<GroupTime>,
    pub(super) clock: SharedClock,
    pub(super) commands_max: usize,
    pub(super) linger: Duration,
    pub(super) batch_commands: metrics::Histogram,
}

impl Batcher {
    /// Works until nobody else holds the group.
    pub(super) async fn run(mut self) {
        let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY_MAX));
        loop {
            self.proposals.filled().await;
            let role = *self.role.borrow_and_update();
            match role {
                Role::Leading { term } => {
                    let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
                    self.submit(term, permit).await;
                }
                Role::Preparing { .. } => {
                    if self.role.changed().await.is_err() {
                        return;
                    }
                }
                Role::Following { leader, .. } => {
                    self.proposals.refuse(ProposeError::NotLeader { partition: self.partition, leader });
                }
            }
        }
    }

    async fn submit(&self, term: u64, permit: OwnedSemaphorePermit) {
        if !self.linger.is_zero() && self.proposals.commands() < self.commands_max {
            tokio::time::sleep(self.linger).await;
        }
        let batch = self.proposals.take(self.commands_max, BATCH_BYTES);
        let commands: Vec<&Bytes> = batch.iter().flat_map(|proposal| &proposal.commands).collect();
        if commands.is_empty() {
            batch.into_iter().for_each(|proposal| proposal.answer(Ok(Vec::new())));
            return;
        }
        let Some((at, _)) = self.time.advance(reading(&*self.clock)) else {
            // The leadership has just ended.
            self.proposals.put_back(batch);
            return tokio::task::yield_now().await;
        };
        self.batch_commands.record(commands.len() as f64);
        let data = encode_batch(at, commands.into_iter());
        let (reply, written) = oneshot::channel();
        let write = self.raft.write(data).with_leader(CommittedLeader::new(term)).responder(Reply(reply));
        if write.await.is_err() {
            // The message was not delivered: the group has stopped.
            let stopped = ProposeError::Stopped { partition: self.partition };
            batch.into_iter().for_each(|proposal| proposal.answer(Err(stopped)));
            return;
        }
        let (proposals, partition) = (Arc::clone(&self.proposals), self.partition);
        spawn(async move {
            let written = written.await;
            drop(permit);
            conclude(partition, batch, written, &proposals).await;
        });
    }
}

async fn conclude(
    partition: u16,
    batch: Vec<Proposal>,
    written: Result<WriteResult, oneshot::error::RecvError>,
    proposals: &Proposals,
) {
    let error = match written {
        Ok(Ok(applied)) => return hand_out(partition, batch, applied.data),
        Ok(Err(ClientWriteError::ForwardToLeader(forward))) => match forward.reason {
            // Not "another leader": this one waits for its quorum.
            ForwardReason::LeaseExpired => {
                batch.iter().for_each(Proposal::not_taken);
                tokio::time::sleep(LEASE_RETRY).await;
                return proposals.put_back(batch);
            }
            ForwardReason::NotLeader | ForwardReason::LeadershipTransfer => {
                ProposeError::NotLeader { partition, leader: forward.leader_id.map(NodeId) }
            }
        },
        // It was in the log of a leader that is none any more. It may have been committed all the same.
        Ok(Err(
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_),
        ))
        | Err(_) => ProposeError::OutcomeUnknown { partition },
    };
    batch.into_iter().for_each(|proposal| proposal.answer(Err(error)));
}

fn hand_out(partition: u16, batch: Vec<Proposal>, Replies(replies): Replies) {
    let mut replies = replies.into_iter();
    for proposal in batch {
        let count = proposal.commands.len();
        let own: Vec<_> = replies.by_ref().take(count).collect();
        let outcome = if own.len() == count { Ok(own) } else { Err(ProposeError::OutcomeUnknown { partition }) };
        proposal.answer(outcome);
    }
}
