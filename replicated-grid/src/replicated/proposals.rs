//! The proposals that wait for a group's next batches: a bounded queue, and tickets that say what became of one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::error::ProposeError;
use crate::single_node::QUEUED_COMMANDS_MAX;

/// The most bytes that may wait for a group; beyond that a proposal is refused as overloaded.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The replies to a proposal, or why there are none.
pub(super) type Outcome = Result<Vec<Vec<u8>>, ProposeError>;

/// What is known of a proposal without its outcome.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

const QUEUED: u8 = 0;
const SUBMITTED: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Takes the proposal back; `false` when it may have reached the log already.
    pub(super) fn withdraw(&self) -> bool {
        self.moves(QUEUED, WITHDRAWN)
    }

    fn submit(&self) -> bool {
        self.moves(QUEUED, SUBMITTED)
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Commands to be applied one after the other.
pub(super) struct Proposal {
    pub(super) commands: Vec<Bytes>,
    bytes: usize,
    ticket: Arc<Ticket>,
    reply: oneshot::Sender<Outcome>,
}

impl Proposal {
    /// Notes that the log has certainly not taken it.
    pub(super) fn not_taken(&self) {
        self.ticket.moves(SUBMITTED, QUEUED);
    }

    /// Tells whoever proposed; nobody may be there any more.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Proposals {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    proposals: VecDeque<Proposal>,
    commands: usize,
    bytes: usize,
    is_closed: bool,
}

impl Waiting {
    fn pop(&mut self) -> Option<Proposal> {
        let proposal = self.proposals.pop_front()?;
        self.commands -= proposal.commands.len();
        self.bytes -= proposal.bytes;
        Some(proposal)
    }

    fn count(&mut self, proposal: &Proposal) {
        self.commands += proposal.commands.len();
        self.bytes += proposal.bytes;
    }
}

impl Proposals {
    /// Queues `commands` for `partition`.
    pub(super) fn push(
        &self,
        partition: u16,
        commands: Vec<Bytes>,
    ) -> Result<(Arc<Ticket>, oneshot::Receiver<Outcome>), ProposeError> {
        let bytes = commands.iter().map(Bytes::len).sum();
        let (reply, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let proposal = Proposal { commands, bytes, ticket: Arc::clone(&ticket), reply };
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(ProposeError::Stopped { partition });
        }
        if waiting.commands >= QUEUED_COMMANDS_MAX || waiting.bytes >= QUEUED_BYTES_MAX {
            return Err(ProposeError::Overloaded { partition });
        }
        waiting.count(&proposal);
        waiting.proposals.push_back(proposal);
        drop(waiting);
        self.filled.notify_one();
        Ok((ticket, outcome))
    }

    /// Resolves when something waits.
    pub(super) async fn filled(&self) {
        while self.waiting.lock().proposals.is_empty() {
            self.filled.notified().await;
        }
    }

    /// How many commands wait.
    pub(super) fn commands(&self) -> usize {
        self.waiting.lock().commands
    }

    /// Takes the oldest proposals that together are within both limits, at least one, and marks them as submitted.
    pub(super) fn take(&self, commands_max: usize, bytes_max: usize) -> Vec<Proposal> {
        let mut waiting = self.waiting.lock();
        let (mut batch, mut commands, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = waiting.proposals.front() {
            let (with_commands, with_bytes) = (commands + next.commands.len(), bytes + next.bytes);
            if !batch.is_empty() && (with_commands > commands_max || with_bytes > bytes_max) {
                break;
            }
            let Some(next) = waiting.pop() else { break };
            if next.ticket.submit() {
                (commands, bytes) = (with_commands, with_bytes);
                batch.push(next);
            }
        }
        batch
    }

    /// Puts back what was certainly not taken by the log, before everything that waits.
    pub(super) fn put_back(&self, batch: Vec<Proposal>) {
        let mut waiting = self.waiting.lock();
        for proposal in batch.into_iter().rev() {
            proposal.not_taken();
            waiting.count(&proposal);
            waiting.proposals.push_front(proposal);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Answers everything that waits with `error`.
    pub(super) fn refuse(&self, error: ProposeError) {
        let refused: Vec<Proposal> = {
            let mut waiting = self.waiting.lock();
            std::iter::from_fn(|| waiting.pop()).collect()
        };
        for proposal in refused {
            proposal.answer(Err(error));
        }
    }

    /// Takes no more, and answers what waits with `error`.
    pub(super) fn close(&self, error: ProposeError) {
        self.waiting.lock().is_closed = true;
        self.refuse(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(count: usize) -> Vec<Bytes> {
        vec![Bytes::from_static(b"command"); count]
    }

    #[test]
    fn a_batch_is_bounded_but_has_at_least_one_proposal() {
        let queue = Proposals::default();
        for count in [100, 40, 20, 10] {
            queue.push(0, commands(count)).unwrap();
        }
        let sizes = || queue.take(64, 1_000_000).iter().map(|proposal| proposal.commands.len()).collect::<Vec<_>>();
        assert_eq!((sizes(), sizes(), sizes(), sizes()), (vec![100], vec![40, 20], vec![10], vec![]));
    }

    #[test]
    fn what_was_withdrawn_is_not_taken_and_what_was_taken_cannot_be_withdrawn() {
        let queue = Proposals::default();
        let (first, _outcome) = queue.push(0, commands(1)).unwrap();
        let (second, _other) = queue.push(0, commands(1)).unwrap();
        assert!(first.withdraw());
        let taken = queue.take(64, 1_000);
        assert_eq!((taken.len(), second.withdraw()), (1, false));
        queue.put_back(taken);
        assert!(second.withdraw(), "it is known not to be in the log");
        assert_eq!((queue.take(64, 1_000).len(), queue.commands()), (0, 0));
    }

    #[test]
    fn a_full_queue_and_a_closed_one_refuse() {
        let queue = Proposals::default();
        queue.push(3, commands(QUEUED_COMMANDS_MAX)).unwrap();
        assert_eq!(queue.push(3, commands(1)).err(), Some(ProposeError::Overloaded { partition: 3 }));
        queue.close(ProposeError::Stopped { partition: 3 });
        assert_eq!(queue.push(3, commands(1)).err(), Some(ProposeError::Stopped { partition: 3 }));
    }
}
