//! Ends what the agent holds: deletes in batches, gives back, and keeps hidden what is neither.
//!
//! One task settles, one extends. A message comes here after its fate is decided; a failure of the queue is harmless
//! here, because a message that could not be deleted comes back and the core answers REPEATED.

use std::sync::Arc;
use std::time::Duration;

use message_bus::{QueueError, ReceiptHandle, SharedQueue};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::held::{Held, HeldList};
use crate::telemetry::Episode;

/// How a message leaves our hands.
pub(crate) enum Fate {
    /// It is done with.
    Delete,
    /// It comes back after this long.
    GiveBack(Duration),
}

/// How long the first of a batch waits for company: little beside a commit, and ten times fewer calls under load.
const BATCH_LINGER: Duration = Duration::from_millis(5);
/// The most settled by one call to the queue, which splits it into its own batches.
const BATCH_MAX: usize = 100;
/// Batches on their way at the same time.
const BATCHES_IN_FLIGHT_MAX: usize = 8;

/// The two sides of settling share this.
pub(crate) struct Settling {
    queue: SharedQueue,
    held: Arc<HeldList>,
    /// Extending and giving back take turns: an extension that overtook a return would hide the message again.
    visibility_turn: Mutex<()>,
    episode: Episode,
}

impl Settling {
    pub(crate) fn new(queue: SharedQueue, held: Arc<HeldList>) -> Arc<Self> {
        Arc::new(Self { queue, held, visibility_turn: Mutex::new(()), episode: Episode::new("settling messages") })
    }

    /// Settles what comes until `stop`, then what has come by then.
    pub(crate) async fn run(self: Arc<Self>, mut inbox: mpsc::Receiver<(Held, Fate)>, stop: CancellationToken) {
        let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(BATCHES_IN_FLIGHT_MAX)));
        let mut stopping = false;
        while !stopping {
            let mut batch = Vec::new();
            tokio::select! {
                _ = inbox.recv_many(&mut batch, BATCH_MAX) => {
                    tokio::time::sleep(BATCH_LINGER).await;
                }
                () = stop.cancelled() => stopping = true,
            }
            while batch.len() < BATCH_MAX || stopping {
                let Ok(next) = inbox.try_recv() else { break };
                batch.push(next);
            }
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                break;
            };
            let settling = Arc::clone(&self);
            tasks.spawn(async move {
                settling.settle(batch).await;
                drop(place);
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn settle(&self, batch: Vec<(Held, Fate)>) {
        let (mut deleted, mut returned) = (Vec::new(), Vec::new());
        for (held, fate) in batch {
            match fate {
                Fate::Delete => deleted.push(held),
                Fate::GiveBack(delay) => returned.push((held, delay)),
            }
        }
        if !deleted.is_empty() {
            let receipts = deleted.iter().map(|held| held.message.receipt.clone()).collect();
            self.report(self.queue.delete(receipts).await);
        }
        drop(deleted);
        if !returned.is_empty() {
            let _turn = self.visibility_turn.lock().await;
            let receipts = returned.iter().map(|(held, delay)| (held.message.receipt.clone(), *delay)).collect();
            // Off the list before the turn ends, so that the next extension leaves them alone.
            drop(returned);
            self.report(self.queue.give_back(receipts).await);
        }
    }

    /// Extends what is held every third of `visibility`. Never ends.
    pub(crate) async fn extend(&self, visibility: Duration) {
        loop {
            tokio::time::sleep(visibility / 3).await;
            let _turn = self.visibility_turn.lock().await;
            let receipts: Vec<_> = self.held.receipts().into_iter().map(|receipt| (receipt, visibility)).collect();
            if !receipts.is_empty() {
                self.report(self.queue.give_back(receipts).await);
            }
        }
    }

    /// Gives back whatever is still held, at once.
    pub(crate) async fn give_back_all(&self) {
        let receipts: Vec<(ReceiptHandle, Duration)> =
            self.held.receipts().into_iter().map(|receipt| (receipt, Duration::ZERO)).collect();
        if !receipts.is_empty() {
            self.report(self.queue.give_back(receipts).await);
        }
    }

    fn report(&self, results: Vec<Result<(), QueueError>>) {
        // A refusal is about one receipt that is no longer ours, e.g. one deleted while it was being extended.
        match results.into_iter().filter_map(Result::err).find(QueueError::is_retryable) {
            Some(error) => self.episode.failed(&error),
            None => self.episode.succeeded(),
        }
    }
}
