//! A queue as SQS is one: shared by all nodes, at least once, in no order, with an outage.
//!
//! Its own, and not message-bus's in-memory one, because hosts of a simulation have no instants in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use message_bus::{OutgoingMessage, Queue, QueueDepth, QueueError, ReceiptHandle, ReceivedMessage};
use parking_lot::Mutex;

use super::cloud::thawed;
use crate::clock::VirtualTime;
use crate::history::Observation;
use crate::machine::Machine;
use crate::planted::SimulationBug;
use crate::recorder::Recorder;

/// How often a receive that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The longest that a receive waits, whatever it asks for: SQS may answer early.
const WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Stored {
    message: OutgoingMessage,
    /// The event it is about, for the history.
    event: String,
    visible_at: Duration,
    received: u32,
}

#[derive(Default)]
struct State {
    messages: BTreeMap<u64, Stored>,
    next: u64,
    is_down: bool,
}

/// The queue itself.
pub struct SharedState {
    time: Arc<VirtualTime>,
    recorder: Recorder,
    state: Mutex<State>,
}

impl SharedState {
    /// An empty one.
    pub fn new(time: Arc<VirtualTime>, recorder: Recorder) -> Arc<Self> {
        Arc::new(Self { time, recorder, state: Mutex::default() })
    }

    /// Puts a message about `event` in, to be seen at `visible_at`.
    pub fn put(&self, message: OutgoingMessage, event: String, visible_at: Duration) {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.messages.insert(number, Stored { message, event, visible_at, received: 0 });
    }

    /// Fails from now on, or works.
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().is_down = is_down;
    }

    fn take(&self, max: usize, visibility: Duration) -> Option<Vec<ReceivedMessage>> {
        let now = self.time.now();
        let mut state = self.state.lock();
        if state.is_down {
            return None;
        }
        let visible = state.messages.iter_mut().filter(|(_, stored)| stored.visible_at <= now);
        let mut received = Vec::new();
        let mut gone = Vec::new();
        for (number, stored) in visible.take(max) {
            stored.visible_at = now + visibility;
            stored.received += 1;
            received.push(ReceivedMessage {
                message_id: number.to_string(),
                body: stored.message.body.clone(),
                attributes: stored.message.attributes.clone(),
                receive_count: stored.received,
                sent_at_unix_ms: None,
                receipt: ReceiptHandle(format!("{number}/{}", stored.received)),
            });
            gone.push(*number);
        }
        if SimulationBug::DeleteBeforeCommit.is_planted() {
            gone.iter().for_each(|number| self.remove(&mut state, *number));
        }
        Some(received)
    }

    fn remove(&self, state: &mut State, number: u64) {
        if let Some(stored) = state.messages.remove(&number) {
            let is_last = !state.messages.values().any(|other| other.event == stored.event);
            if is_last && !stored.event.is_empty() {
                self.recorder.see(Observation::Deleted { event: stored.event });
            }
        }
    }
}

/// The queue as one machine reaches it.
#[derive(Clone)]
pub struct QueueModel {
    /// What all share.
    pub shared: Arc<SharedState>,
    /// Who asks.
    pub machine: Arc<Machine>,
    /// Its name.
    pub name: &'static str,
}

impl QueueModel {
    fn unavailable(&self, operation: &'static str) -> QueueError {
        QueueError::Unavailable { queue: self.name.to_owned(), operation, source: "the outage that was planned".into() }
    }

    /// One call that acts on the messages of `receipts`.
    async fn each(
        &self,
        operation: &'static str,
        receipts: Vec<(ReceiptHandle, Duration)>,
        act: impl Fn(&mut State, u64, Duration),
    ) -> Vec<Result<(), QueueError>> {
        tokio::time::sleep(Duration::from_millis(3)).await;
        thawed(&self.machine).await;
        let mut state = self.shared.state.lock();
        let one = |(receipt, delay): (ReceiptHandle, Duration)| {
            if state.is_down {
                return Err(self.unavailable(operation));
            }
            let (number, received) = receipt.0.split_once('/').unwrap_or_default();
            if let (Ok(number), Ok(received)) = (number.parse(), received.parse::<u32>())
                && state.messages.get(&number).is_some_and(|stored| stored.received == received)
            {
                act(&mut state, number, delay);
            }
            Ok(())
        };
        receipts.into_iter().map(one).collect()
    }
}

impl Queue for QueueModel {
    fn name(&self) -> &str {
        self.name
    }

    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>> {
        async move {
            let until = self.shared.time.now() + wait.min(WAIT_MAX);
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                thawed(&self.machine).await;
                let received = self.shared.take(max, visibility).ok_or_else(|| self.unavailable("receive"))?;
                if !received.is_empty() || self.shared.time.now() >= until {
                    return Ok(received);
                }
            }
        }
        .boxed()
    }

    fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        let receipts = receipts.into_iter().map(|receipt| (receipt, Duration::ZERO)).collect();
        self.each("delete", receipts, |state, number, _| self.shared.remove(state, number)).boxed()
    }

    fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        let shown_again = |state: &mut State, number, delay| {
            if let Some(stored) = state.messages.get_mut(&number) {
                stored.visible_at = self.shared.time.now() + delay;
            }
        };
        self.each("give back", receipts, shown_again).boxed()
    }

    fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        async move {
            let now = self.shared.time.now();
            // Only what cannot be an event is sent here: to the dead letters.
            for message in &messages {
                self.shared.recorder.see(Observation::DeadLettered { event: String::new() });
                self.shared.put(message.clone(), String::new(), now);
            }
            messages.iter().map(|_| Ok(())).collect()
        }
        .boxed()
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        let visible = self.shared.state.lock().messages.len() as u64;
        futures::future::ready(Ok(QueueDepth { visible, in_flight: 0 })).boxed()
    }
}
