//! A queue asked less often for the same messages: fuller batches, at the price of a short delay.
//!
//! Both feeds and the webhooks wrap their queue in it, one for all readers of a process. A broker is paid and answers by the
//! call, and at hundreds of messages a second several readers that each wait for the next message get one message a call
//! and delete it with another. Here one reader asks at a time, rests for a moment after an answer that was not full, and
//! deletions of several readers share a call. A queue with a backlog answers in full batches: then nobody rests or waits
//! for a turn. Order and visibility are the inner queue's; sending and giving back are passed on untouched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::failure::BrokerError;
use crate::queue::{
    BATCH_MAX, OutgoingMessage, Queue, QueueDepth, QueueError, ReceiptHandle, ReceivedMessage, SharedQueue,
};

/// A queue whose calls are few.
pub struct PacedQueue {
    deletions: Arc<Deletions>,
    /// Whose turn it is to ask, and when at the earliest.
    turn: tokio::sync::Mutex<Instant>,
    /// Whether the last answer was full: there is more, and everybody may ask at once.
    is_backlogged: AtomicBool,
}

impl PacedQueue {
    /// Rests for `pause` (10 to 100 ms make sense) after an answer that was not full, and keeps a deletion for as long at
    /// the most: a message is received up to that much later than it could be, while others come in before it.
    pub fn new(inner: SharedQueue, pause: Duration) -> Self {
        Self {
            deletions: Arc::new(Deletions { inner, linger: pause, waiting: Mutex::default() }),
            turn: tokio::sync::Mutex::new(Instant::now()),
            is_backlogged: AtomicBool::new(false),
        }
    }

    fn inner(&self) -> &SharedQueue {
        &self.deletions.inner
    }

    async fn receive_in_turn(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<ReceivedMessage>, QueueError> {
        if self.is_backlogged.load(Ordering::Relaxed) {
            return self.ask(max, wait, visibility).await;
        }
        // Another's call may wait as long as this one would: nothing came in all that time.
        let Ok(mut earliest) = tokio::time::timeout(wait, self.turn.lock()).await else { return Ok(Vec::new()) };
        tokio::time::sleep_until(*earliest).await;
        let received = self.ask(max, wait, visibility).await;
        if matches!(&received, Ok(messages) if !messages.is_empty() && messages.len() < max) {
            *earliest = Instant::now() + self.deletions.linger;
        }
        received
    }

    async fn ask(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let received = self.inner().receive(max, wait, visibility).await;
        let is_full = matches!(&received, Ok(messages) if messages.len() >= max);
        self.is_backlogged.store(is_full, Ordering::Relaxed);
        received
    }
}

impl Queue for PacedQueue {
    fn name(&self) -> &str {
        self.inner().name()
    }

    /// As the inner queue's, but that it may take up to twice `wait`: for a turn, and then for a message.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>> {
        Box::pin(self.receive_in_turn(max, wait, visibility))
    }

    fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        Box::pin(Arc::clone(&self.deletions).delete(receipts))
    }

    fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        self.inner().give_back(receipts)
    }

    fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        self.inner().send(messages)
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        self.inner().depth()
    }
}

/// Receipts that are to be deleted with others.
struct Deletions {
    inner: SharedQueue,
    linger: Duration,
    waiting: Mutex<Vec<Waiting>>,
}

/// One caller's receipts, and where it waits for what became of them.
struct Waiting {
    receipts: Vec<ReceiptHandle>,
    done: oneshot::Sender<Vec<Result<(), QueueError>>>,
}

impl Deletions {
    async fn delete(self: Arc<Self>, receipts: Vec<ReceiptHandle>) -> Vec<Result<(), QueueError>> {
        let count = receipts.len();
        // A full batch gains nothing by waiting, and an empty one is nobody's.
        if count == 0 || count >= BATCH_MAX {
            return self.inner.delete(receipts).await;
        }
        let (done, outcomes) = oneshot::channel();
        if let Some(linger) = self.join(Waiting { receipts, done }) {
            // A task of its own: the caller that came first may be dropped, and others wait for the same call.
            let deletions = Arc::clone(&self);
            tokio::spawn(async move {
                tokio::time::sleep(linger).await;
                deletions.flush().await;
            });
        }
        // The task ends without an answer only with the process; what is not known to be deleted is given again.
        outcomes.await.unwrap_or_else(|_| (0..count).map(|_| Err(self.unfinished())).collect())
    }

    /// How long the batch lingers that these receipts begin or fill; nothing where they only join it.
    fn join(&self, caller: Waiting) -> Option<Duration> {
        let mut waiting = self.waiting.lock();
        let before = receipts_in(&waiting);
        let after = before + caller.receipts.len();
        waiting.push(caller);
        match (before, after) {
            (before, after) if before < BATCH_MAX && after >= BATCH_MAX => Some(Duration::ZERO),
            (0, _) => Some(self.linger),
            _ => None,
        }
    }

    async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        // The batch was full before its time.
        if waiting.is_empty() {
            return;
        }
        let receipts = waiting.iter().flat_map(|caller| caller.receipts.iter().cloned()).collect();
        let mut outcomes = self.inner.delete(receipts).await.into_iter();
        for Waiting { receipts, done } in waiting {
            let own = receipts.iter().map(|_| outcomes.next().unwrap_or_else(|| Err(self.unfinished()))).collect();
            // A caller that is gone does not need to know.
            let _ = done.send(own);
        }
    }

    fn unfinished(&self) -> QueueError {
        QueueError::Unavailable {
            queue: self.inner.name().to_owned(),
            operation: "delete",
            source: Box::new(BrokerError::EntryMissing),
        }
    }
}

fn receipts_in(waiting: &[Waiting]) -> usize {
    waiting.iter().map(|caller| caller.receipts.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::in_memory::{Faults, InMemoryQueue};

    const PAUSE: Duration = Duration::from_millis(20);
    const WAIT: Duration = Duration::from_secs(20);
    const VISIBILITY: Duration = Duration::from_secs(30);

    /// Counts the calls that it passes on.
    struct Counted {
        inner: InMemoryQueue,
        receives: AtomicUsize,
        deletes: AtomicUsize,
    }

    impl Queue for Counted {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn receive(
            &self,
            max: usize,
            wait: Duration,
            visibility: Duration,
        ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>> {
            self.receives.fetch_add(1, Ordering::Relaxed);
            self.inner.receive(max, wait, visibility)
        }

        fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
            self.deletes.fetch_add(1, Ordering::Relaxed);
            self.inner.delete(receipts)
        }

        fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
            self.inner.give_back(receipts)
        }

        fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
            self.inner.send(messages)
        }

        fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
            self.inner.depth()
        }
    }

    struct Rig {
        counted: Arc<Counted>,
        paced: Arc<PacedQueue>,
        received: Arc<AtomicUsize>,
    }

    /// `readers` that each take a millisecond for a batch and then delete its messages one by one, as lanes do.
    fn rig(readers: usize) -> Rig {
        let counted = Arc::new(Counted {
            inner: InMemoryQueue::new("feed"),
            receives: AtomicUsize::new(0),
            deletes: AtomicUsize::new(0),
        });
        let paced = Arc::new(PacedQueue::new(counted.clone(), PAUSE));
        let received = Arc::new(AtomicUsize::new(0));
        for _ in 0..readers {
            let (paced, received) = (Arc::clone(&paced), Arc::clone(&received));
            tokio::spawn(async move {
                while let Ok(messages) = paced.receive(BATCH_MAX, WAIT, VISIBILITY).await {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    received.fetch_add(messages.len(), Ordering::Relaxed);
                    for message in messages {
                        let paced = Arc::clone(&paced);
                        tokio::spawn(async move { paced.delete(vec![message.receipt]).await });
                    }
                }
            });
        }
        Rig { counted, paced, received }
    }

    async fn send(rig: &Rig, messages: usize) {
        let message = OutgoingMessage { body: "order".to_owned(), ..OutgoingMessage::default() };
        rig.counted.inner.send(vec![message; messages]).await;
    }

    async fn left(rig: &Rig) -> u64 {
        let depth = rig.counted.inner.depth().await.unwrap();
        depth.visible + depth.in_flight
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_single_messages_takes_a_fraction_of_the_calls() {
        let rig = rig(4);
        for _ in 0..500 {
            send(&rig, 1).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((rig.received.load(Ordering::Relaxed), left(&rig).await), (500, 0));
        let calls = (rig.counted.receives.load(Ordering::Relaxed), rig.counted.deletes.load(Ordering::Relaxed));
        assert!(calls.0 < 100 && calls.1 < 100, "{calls:?} calls for 500 messages");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_message_is_received_at_once_and_deleted_soon() {
        let rig = rig(4);
        tokio::time::sleep(Duration::from_secs(50)).await;
        send(&rig, 1).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(rig.received.load(Ordering::Relaxed), 1);
        tokio::time::sleep(PAUSE).await;
        assert_eq!(left(&rig).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_is_read_by_all_readers_without_a_rest() {
        let rig = rig(4);
        send(&rig, 4_000).await;
        // A hundred rounds of four full batches of a millisecond each, and a few to get going.
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(rig.received.load(Ordering::Relaxed), 4_000);
        tokio::time::sleep(PAUSE).await;
        assert_eq!(left(&rig).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_hears_what_became_of_its_own_receipts() {
        let rig = rig(0);
        send(&rig, 9).await;
        let messages = rig.paced.receive(BATCH_MAX, WAIT, VISIBILITY).await.unwrap();
        rig.counted.inner.set_faults(Faults { failed_percent: 50, ..Faults::default() });
        let calls = messages.chunks(3).map(|own| {
            let own = own.iter().map(|message| message.receipt.clone()).collect();
            rig.paced.delete(own)
        });
        let outcomes = futures::future::join_all(calls).await;
        assert_eq!(rig.counted.deletes.load(Ordering::Relaxed), 1);
        let deleted = outcomes.iter().flatten().filter(|outcome| outcome.is_ok()).count();
        assert!(outcomes.iter().all(|own| own.len() == 3) && (1..9).contains(&deleted), "{outcomes:?}");
        assert_eq!(left(&rig).await, u64::try_from(9 - deleted).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_dropped_takes_nobody_with_it() {
        let rig = rig(0);
        send(&rig, 2).await;
        let messages = rig.paced.receive(BATCH_MAX, WAIT, VISIBILITY).await.unwrap();
        let (first, second) = (messages[0].receipt.clone(), messages[1].receipt.clone());
        let dropped = tokio::time::timeout(Duration::from_millis(1), rig.paced.delete(vec![first])).await;
        assert!(dropped.is_err());
        let outcomes = rig.paced.delete(vec![second]).await;
        assert!(matches!(&outcomes[..], [Ok(())]));
        assert_eq!(left(&rig).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_queue_answers_within_twice_the_wait() {
        let rig = rig(1);
        let started = Instant::now();
        assert!(rig.paced.receive(BATCH_MAX, WAIT, VISIBILITY).await.unwrap().is_empty());
        assert!(started.elapsed() <= 2 * WAIT);
    }
}
