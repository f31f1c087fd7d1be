//! The queue: visibility timeouts, receive counts, dead letters, long polls.
//!
//! A synchronous store under a lock, and a thin shell that waits on tokio's clock.

mod store;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::faults::{Dice, Faults};
use crate::failure::BrokerError;
use crate::limits;
use crate::queue::{BATCH_MAX, OutgoingMessage, Queue, QueueDepth, QueueError, ReceiptHandle, ReceivedMessage};

use store::Store;

/// The longest time a receive waits, as SQS has it.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest time a message is hidden, as SQS has it.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Milliseconds since 1970, for the time a message was sent.
type UnixClock = Box<dyn Fn() -> i64 + Send + Sync>;

/// A queue in memory.
pub struct InMemoryQueue {
    name: String,
    state: Mutex<State>,
    /// Told of every message that becomes visible other than by the passing of time.
    arrived: Notify,
    dead_letters: Option<(Arc<InMemoryQueue>, u32)>,
    clock: Option<UnixClock>,
}

struct State {
    store: Store,
    faults: Faults,
    dice: Dice,
}

impl InMemoryQueue {
    /// An empty queue without dead letters. Faults, once set, follow a seed made of the name.
    pub fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let state = State { store: Store::default(), faults: Faults::default(), dice: Dice::new(seed) };
        let (state, arrived) = (Mutex::new(state), Notify::new());
        Self { name: name.to_owned(), state, arrived, dead_letters: None, clock: None }
    }

    /// Moves a message to `dead_letters` instead of receiving it more than `max_receive_count` times (at least 1).
    #[must_use]
    pub fn with_dead_letters(mut self, dead_letters: Arc<InMemoryQueue>, max_receive_count: u32) -> Self {
        self.dead_letters = Some((dead_letters, max_receive_count.max(1)));
        self
    }

    /// Fills in when a message was sent, from a clock that gives milliseconds since 1970.
    #[must_use]
    pub fn with_clock(mut self, now_unix_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Some(Box::new(now_unix_ms));
        self
    }

    /// Decides faults by another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.state.lock().dice = Dice::new(seed);
        self
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Puts a message in, past limits and failures: what a topic, a redrive or a test's setup does.
    pub(super) fn put(&self, message: OutgoingMessage) {
        let sent_at_unix_ms = self.clock.as_ref().map(|clock| clock());
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { store, faults, dice } = &mut *state;
        let copies = if dice.hits(faults.duplicated_percent) { 1 + u32::from(faults.duplicates) } else { 1 };
        for (id, copy) in store.copies(message, sent_at_unix_ms, copies) {
            let delay = dice.hits(faults.delayed_percent).then_some(faults.delay);
            let overtaken = if dice.hits(faults.reordered_percent) { dice.below(store.ready_len()) } else { 0 };
            store.insert(id, copy, delay.map(|delay| now + delay), overtaken);
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// One entry of a batch: fails as the faults say, else takes effect.
    fn entry(
        &self,
        operation: &'static str,
        effect: impl FnOnce() -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let (is_failed, is_lost) = {
            let State { faults, dice, .. } = &mut *self.state.lock();
            (faults.unavailable || dice.hits(faults.failed_percent), dice.hits(faults.answer_lost_percent))
        };
        if is_failed {
            return Err(self.unavailable(operation));
        }
        effect()?;
        if is_lost { Err(self.unavailable(operation)) } else { Ok(()) }
    }

    /// What is visible now, and when the next hidden message will be.
    fn take(&self, max: usize, visibility: Duration) -> (Vec<ReceivedMessage>, Option<Instant>) {
        let max_receive_count = self.dead_letters.as_ref().map(|(_, count)| *count);
        let (taken, next) = {
            let store = &mut self.state.lock().store;
            let taken = store.take(max, Instant::now(), visibility, max_receive_count);
            (taken, store.next_visible())
        };
        if let Some((dead_letters, _)) = &self.dead_letters {
            taken.exhausted.into_iter().for_each(|message| dead_letters.put(message));
        }
        (taken.received, next)
    }

    async fn take_or_wait(&self, max: usize, wait: Duration, visibility: Duration) -> Vec<ReceivedMessage> {
        let deadline = Instant::now() + wait;
        loop {
            // Made before the look at the store, so that an arrival between the two is not missed.
            let arrived = self.arrived.notified();
            let (received, next) = self.take(max, visibility);
            if !received.is_empty() || Instant::now() >= deadline {
                return received;
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            let _ = tokio::time::timeout_at(until, arrived).await;
        }
    }

    fn unavailable(&self, operation: &'static str) -> QueueError {
        QueueError::Unavailable { queue: self.name.clone(), operation, source: Box::new(BrokerError::Injected) }
    }

    fn refused(&self, operation: &'static str, reason: &str) -> QueueError {
        QueueError::Refused { queue: self.name.clone(), operation, reason: reason.to_owned() }
    }
}

impl Queue for InMemoryQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>> {
        async move {
            if self.state.lock().faults.unavailable {
                return Err(self.unavailable("receive"));
            }
            let (max, wait) = (max.clamp(1, BATCH_MAX), wait.min(WAIT_MAX));
            let received = self.take_or_wait(max, wait, visibility.min(VISIBILITY_MAX)).await;
            let State { faults, dice, .. } = &mut *self.state.lock();
            if dice.hits(faults.answer_lost_percent) { Err(self.unavailable("receive")) } else { Ok(received) }
        }
        .boxed()
    }

    fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        let delete = |receipt: ReceiptHandle| {
            self.entry("delete", || {
                self.state.lock().store.delete(&receipt.0);
                Ok(())
            })
        };
        let results = receipts.into_iter().map(delete).collect();
        async move { results }.boxed()
    }

    fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        let give_back = |(receipt, delay): (ReceiptHandle, Duration)| {
            self.entry("give_back", || {
                let delay = delay.min(VISIBILITY_MAX);
                if !self.state.lock().store.give_back(&receipt.0, Instant::now(), delay) {
                    return Err(self.refused("give_back", "MessageNotInflight"));
                }
                self.arrived.notify_waiters();
                Ok(())
            })
        };
        let results = receipts.into_iter().map(give_back).collect();
        async move { results }.boxed()
    }

    fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        let send = |message: OutgoingMessage| match limits::refusal(&message.body, &message.attributes) {
            Some(code) => Err(self.refused("send", code)),
            None => self.entry("send", || {
                self.put(message);
                Ok(())
            }),
        };
        let results = messages.into_iter().map(send).collect();
        async move { results }.boxed()
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        let depth = {
            let State { store, faults, .. } = &mut *self.state.lock();
            if faults.unavailable { None } else { Some(store.depth(Instant::now())) }
        };
        async move { depth.ok_or_else(|| self.unavailable("depth")) }.boxed()
    }
}
