//! The messages of one queue as a value: no lock, no clock, no chance.
//!
//! Called by [`super::InMemoryQueue`], which passes the time in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::queue::{OutgoingMessage, QueueDepth, ReceiptHandle, ReceivedMessage};

/// Names one copy of a message within its queue.
type Id = u64;

#[derive(Default)]
pub(super) struct Store {
    messages: BTreeMap<Id, Stored>,
    /// Visible now, in the order of delivery.
    ready: VecDeque<Id>,
    /// Visible from some time on: received, given back with a delay, or held back at arrival.
    hidden: BTreeSet<(Instant, Id)>,
    next: Id,
}

pub(super) struct Stored {
    message_id: String,
    body: String,
    attributes: BTreeMap<String, String>,
    sent_at_unix_ms: Option<i64>,
    receive_count: u32,
    /// Set while it is in [`Store::hidden`].
    hidden_until: Option<Instant>,
}

/// What a receive took out.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) received: Vec<ReceivedMessage>,
    /// Received as often as it may be: for the dead-letter queue, and gone from this one.
    pub(super) exhausted: Vec<OutgoingMessage>,
}

impl Store {
    /// `count` copies of one message, with ids of their own and one message id.
    pub(super) fn copies(
        &mut self,
        message: OutgoingMessage,
        sent_at_unix_ms: Option<i64>,
        count: u32,
    ) -> Vec<(Id, Stored)> {
        let message_id = format!("message-{}", self.next);
        let copy = |id| {
            let OutgoingMessage { body, attributes } = message.clone();
            let (message_id, receive_count, hidden_until) = (message_id.clone(), 0, None);
            (id, Stored { message_id, body, attributes, sent_at_unix_ms, receive_count, hidden_until })
        };
        let first = self.next;
        self.next += Id::from(count);
        (first..self.next).map(copy).collect()
    }

    /// Puts a copy in: hidden until `hidden_until`, or ready, before the last `overtaken` that are ready.
    pub(super) fn insert(&mut self, id: Id, mut stored: Stored, hidden_until: Option<Instant>, overtaken: u64) {
        stored.hidden_until = hidden_until;
        match hidden_until {
            Some(until) => {
                self.hidden.insert((until, id));
            }
            None => {
                let overtaken = usize::try_from(overtaken).unwrap_or(usize::MAX);
                self.ready.insert(self.ready.len().saturating_sub(overtaken), id);
            }
        }
        self.messages.insert(id, stored);
    }

    pub(super) fn ready_len(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Takes up to `max` visible messages and hides them for `visibility`.
    pub(super) fn take(&mut self, max: usize, now: Instant, visibility: Duration, count_max: Option<u32>) -> Taken {
        self.reveal(now);
        let mut taken = Taken::default();
        while taken.received.len() < max
            && let Some(id) = self.ready.pop_front()
        {
            let Some(stored) = self.messages.get_mut(&id) else {
                continue;
            };
            if count_max.is_some_and(|count_max| stored.receive_count >= count_max) {
                let exhausted = self.messages.remove(&id);
                taken
                    .exhausted
                    .extend(exhausted.map(|Stored { body, attributes, .. }| OutgoingMessage { body, attributes }));
                continue;
            }
            stored.receive_count += 1;
            stored.hidden_until = Some(now + visibility);
            self.hidden.insert((now + visibility, id));
            taken.received.push(stored.received(id));
        }
        taken
    }

    /// Deletes what a receipt names, unless it has been received again since.
    pub(super) fn delete(&mut self, receipt: &str) {
        if let Some(id) = self.current(receipt)
            && let Some(stored) = self.messages.remove(&id)
        {
            match stored.hidden_until {
                Some(until) => {
                    self.hidden.remove(&(until, id));
                }
                None => self.ready.retain(|ready| *ready != id),
            }
        }
    }

    /// Makes what a receipt names visible after `delay`; false if it is not in flight under this receipt.
    pub(super) fn give_back(&mut self, receipt: &str, now: Instant, delay: Duration) -> bool {
        self.reveal(now);
        let Some(id) = self.current(receipt) else { return false };
        let Some(stored) = self.messages.get_mut(&id) else {
            return false;
        };
        let Some(until) = stored.hidden_until else { return false };
        stored.hidden_until = Some(now + delay);
        self.hidden.remove(&(until, id));
        self.hidden.insert((now + delay, id));
        self.reveal(now);
        true
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_visible(&self) -> Option<Instant> {
        self.hidden.first().map(|(until, _)| *until)
    }

    pub(super) fn depth(&mut self, now: Instant) -> QueueDepth {
        self.reveal(now);
        QueueDepth { visible: self.ready.len() as u64, in_flight: self.hidden.len() as u64 }
    }

    /// Moves what is visible by now from hidden to ready.
    fn reveal(&mut self, now: Instant) {
        while let Some((until, id)) = self.hidden.first().copied()
            && until <= now
        {
            self.hidden.remove(&(until, id));
            if let Some(stored) = self.messages.get_mut(&id) {
                stored.hidden_until = None;
            }
            self.ready.push_back(id);
        }
    }

    /// The message that a receipt names, if it is the one of its last receipt.
    fn current(&self, receipt: &str) -> Option<Id> {
        let (id, count) = receipt.split_once('.')?;
        let (id, count): (Id, u32) = (id.parse().ok()?, count.parse().ok()?);
        self.messages.get(&id).filter(|stored| stored.receive_count == count).map(|_| id)
    }
}

impl Stored {
    fn received(&self, id: Id) -> ReceivedMessage {
        ReceivedMessage {
            message_id: self.message_id.clone(),
            body: self.body.clone(),
            attributes: self.attributes.clone(),
            receive_count: self.receive_count,
            sent_at_unix_ms: self.sent_at_unix_ms,
            receipt: ReceiptHandle(format!("{id}.{}", self.receive_count)),
        }
    }
}
