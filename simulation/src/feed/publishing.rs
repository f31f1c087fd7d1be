//! Orders that are placed and go on: the core commits their events and SNS delivers them to both feeds.
//!
//! Delivery is delayed, repeated and out of order. Driven from outside of the hosts, between their steps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId, notification};
use message_bus::OutgoingMessage;
use order_model::{EventCategory, EventCode, EventId, OrderId, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;

use super::cloud::Cloud;
use super::queue::SharedState;
use super::{key, merchant, recorded};
use crate::clock::START_MS;
use crate::history::Observation;
use crate::recorder::Recorder;

/// Events of an order at the most.
const EVENTS_MAX: u32 = 5;

/// The longest between two events, ms.
const PAUSE_MAX_MS: u64 = 160;

/// How long an event is good for, as the core has it.
const EXPIRES_AFTER: Duration = Duration::from_secs(8 * 3_600);

struct Open {
    order: OrderId,
    merchant: u32,
    next: u32,
}

/// See the module.
pub struct Publisher {
    cloud: Arc<Cloud>,
    feed: Arc<SharedState>,
    recorder: Recorder,
    random: StdRng,
    merchants: u32,
    orders: u128,
    open: Vec<Open>,
    next_at: Duration,
    last_created_ms: i64,
    /// Index entries that are on their way, with when they arrive.
    indexing: Vec<(Duration, FeedEvent)>,
}

impl Publisher {
    /// One that begins at `from`.
    pub fn new(
        cloud: Arc<Cloud>,
        feed: Arc<SharedState>,
        recorder: Recorder,
        random: StdRng,
        merchants: u32,
        from: Duration,
    ) -> Self {
        let (orders, open, indexing) = (0, Vec::new(), Vec::new());
        Self { cloud, feed, recorder, random, merchants, orders, open, next_at: from, last_created_ms: 0, indexing }
    }

    /// Does what is due at `now`; commits nothing from `until` on.
    pub fn work(&mut self, now: Duration, until: Duration) {
        while self.next_at <= now && self.next_at < until {
            self.publish(self.next_at);
            self.next_at += Duration::from_millis(self.random.random_range(10..=PAUSE_MAX_MS));
        }
        // The fallback has a queue of its own, from which nothing is lost; it waits while DynamoDB is out for all.
        if self.cloud.is_reached_by(0) {
            let (due, later) = std::mem::take(&mut self.indexing).into_iter().partition(|(at, _)| *at <= now);
            self.indexing = later;
            let due: Vec<(Duration, FeedEvent)> = due;
            self.cloud.tables(|tables| {
                for (_, event) in due {
                    tables.indexed.entry(event.id).or_insert((event, now));
                }
            });
        }
    }

    fn publish(&mut self, at: Duration) {
        let event = self.commit(at);
        let (body, attributes) = notification::encode(&event, "IFOOD", None);
        let message = OutgoingMessage { body, attributes };
        let copies = if self.random.random_bool(0.2) { self.random.random_range(2..=4) } else { 1 };
        for _ in 0..copies {
            let visible_at = at + self.delay();
            self.feed.put(message.clone(), event.id.to_string(), visible_at);
        }
        let indexed_at = at + self.delay();
        self.indexing.push((indexed_at, event));
    }

    fn delay(&mut self) -> Duration {
        let longest_ms = if self.random.random_bool(0.2) { 3_000 } else { 60 };
        Duration::from_millis(self.random.random_range(1..=longest_ms))
    }

    fn commit(&mut self, at: Duration) -> FeedEvent {
        if self.open.is_empty() || self.random.random_bool(0.4) {
            self.orders += 1;
            let merchant = self.random.random_range(1..=self.merchants);
            self.open.push(Open { order: OrderId::from_bytes(self.orders.to_be_bytes()), merchant, next: 1 });
        }
        let chosen = self.random.random_range(0..self.open.len());
        let Open { order, merchant: of, next: sequence } = self.open[chosen];
        if sequence == EVENTS_MAX {
            self.open.swap_remove(chosen);
        } else {
            self.open[chosen].next += 1;
        }
        let created_ms = START_MS + i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        self.last_created_ms = created_ms.max(self.last_created_ms + 1);
        let event = event(order, of, sequence, Timestamp::from_unix_ms(self.last_created_ms));
        self.cloud.tables(|tables| tables.committed.entry(order).or_default().push(event.clone()));
        self.recorder.see(Observation::Committed {
            event: recorded(&event),
            code: event.code.full_code().to_owned(),
            created_at_ms: event.created_at.unix_ms(),
        });
        event
    }
}

fn event(order: OrderId, of: u32, sequence: u32, created_at: Timestamp) -> FeedEvent {
    let mut event = FeedEvent {
        id: EventId::derive(&key(), created_at, merchant(of), order, sequence),
        order,
        merchant: merchant(of),
        code: if sequence == 1 { EventCode::Placed } else { EventCode::Confirmed },
        category: EventCategory::Food,
        sequence,
        created_at,
        expires_at: created_at.plus(EXPIRES_AFTER),
        trace: TraceId([3; 16]),
        body: Bytes::new(),
    };
    event.body = notification::encode_body(&event, "IFOOD", None);
    event
}
