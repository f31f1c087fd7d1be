//! Notifications of the `order-events` topic into the index: one function for the queue's consumer and for the Lambda.
//!
//! Every step can be repeated and the steps stand in an order that makes a crash between any two harmless: first the
//! events become readable, then their order's sequences are recorded and their merchant's head moves. Until the head
//! has moved the message is not deleted, so it comes again. No transaction is needed (half the write cost of one, and
//! nothing for the writers of a busy merchant to conflict on); the head may move more than once for one event, which
//! costs a poll one needless read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use event_feed::{FeedEvent, NotificationError, SequenceTrack, notification, visibility};
use futures::future::{join_all, try_join_all};
use order_model::{EventId, EventIdKey, MerchantId, OrderId, SharedClock, Timestamp};

use crate::plan::LATE_AFTER;
use crate::store::{IndexedEvent, MerchantBump, Store, StoreError};

/// How long after its last event expired an order's sequences are remembered: beyond it no event of the order counts.
const SEQUENCES_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The most missing sequences stored with an event; one is enough to hold it back.
const MISSING_MAX: usize = 16;

/// One notification as it came out of a queue.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The JSON body.
    pub body: &'a str,
    /// The string attributes.
    pub attributes: &'a BTreeMap<String, String>,
}

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    /// Polls see it, now or since earlier.
    Indexed,
    /// It is past its expiry; nothing to do.
    Expired,
    /// It can never be indexed, for this reason: a stable code without any value of the record.
    Hopeless(&'static str),
    /// The store failed; the same record may succeed later.
    Failed(StoreError),
}

/// Writes events into the index.
#[derive(Clone)]
pub struct Index {
    store: Store,
    event_id_key: EventIdKey,
}

impl Index {
    /// Over the table with this prefix; `clock_tolerance` as in [`crate::Config`].
    pub fn new(
        client: &Client,
        table_prefix: &str,
        clock: SharedClock,
        clock_tolerance: Duration,
        event_id_key: EventIdKey,
    ) -> Self {
        Self::over(Store::new(client, table_prefix, clock, clock_tolerance), event_id_key)
    }

    pub(crate) fn over(store: Store, event_id_key: EventIdKey) -> Self {
        Self { store, event_id_key }
    }

    /// Indexes records; answers one outcome each, in order. Duplicates and any order of arrival are harmless.
    pub async fn apply(&self, records: &[Record<'_>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(records.len());
        let mut events = Vec::new();
        let now = self.store.now();
        for record in records {
            let decoded = self.decode(record);
            outcomes.push(match &decoded {
                Err(reason) => Outcome::Hopeless(reason),
                Ok(event) if visibility::is_expired(event.expires_at, now) => Outcome::Expired,
                Ok(_) => Outcome::Indexed,
            });
            events.extend(decoded.ok());
        }
        if let Err(error) = self.put(&events).await {
            self.put_one_by_one(records, &mut outcomes, error).await;
        }
        outcomes
    }

    /// Indexes events that were decoded already, all or, after an error, any part of them. An expired one is only
    /// recorded as seen, so that it is nobody's gap.
    pub(crate) async fn put(&self, events: &[FeedEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.store.now();
        let followers = events.iter().filter(|event| event.sequence > 1).map(|event| event.order);
        let tracks = self.store.sequence_tracks(followers.collect::<BTreeSet<_>>()).await?;
        let live: Vec<&FeedEvent> =
            events.iter().filter(|event| !visibility::is_expired(event.expires_at, now)).collect();
        let indexed: Vec<IndexedEvent> = live.iter().map(|event| with_gap(event, &tracks, now)).collect();
        self.store.put_events(&indexed).await?;
        let sequences = sequences_by_order(events).into_iter().map(|(order, (sequences, expires_at))| {
            let remembered_until = expires_at.plus(SEQUENCES_KEPT);
            async move { self.store.record_sequences(order, &sequences, remembered_until).await }
        });
        let bumps = bumps(&live, self.store.now_at_the_latest()).into_iter().map(|bump| self.store.bump(bump));
        futures::future::try_join(try_join_all(sequences), try_join_all(bumps)).await?;
        for event in live {
            metrics::histogram!("comanda_connection_polling_index_lag_seconds").record(now.since(event.created_at));
            tracing::debug!(trace_id = %event.trace, event_id = %event.id, "indexed");
        }
        Ok(())
    }

    fn decode(&self, record: &Record<'_>) -> Result<FeedEvent, &'static str> {
        let event = notification::decode(record.body, record.attributes).map_err(NotificationError::reason)?;
        let derived =
            EventId::derive(&self.event_id_key, event.created_at, event.merchant, event.order, event.sequence);
        if derived == event.id { Ok(event) } else { Err("FOREIGN_EVENT_ID") }
    }

    /// A batch failed. If DynamoDB refused it, one record may be to blame: each gets its own attempt, so that a
    /// poisoned one does not take its neighbours along.
    async fn put_one_by_one(&self, records: &[Record<'_>], outcomes: &mut [Outcome], error: StoreError) {
        let is_refusal = !error.is_retryable();
        let attempts = records.iter().zip(outcomes.iter_mut()).map(|(record, outcome)| async move {
            if matches!(outcome, Outcome::Hopeless(_)) {
                return;
            }
            let Ok(event) = self.decode(record) else { return };
            let again = if is_refusal {
                self.put(&[event]).await
            } else {
                Err(StoreError::unavailable("batch", "the batch it was in failed"))
            };
            match again {
                Ok(()) => {}
                Err(error) if error.is_retryable() => *outcome = Outcome::Failed(error),
                Err(_) => *outcome = Outcome::Hopeless("REFUSED_BY_STORE"),
            }
        });
        join_all(attempts).await;
        let failed = outcomes.iter_mut().find(|outcome| matches!(outcome, Outcome::Failed(_)));
        if let (Some(first), false) = (failed, is_refusal) {
            *first = Outcome::Failed(error);
        }
    }
}

fn with_gap(event: &FeedEvent, tracks: &HashMap<OrderId, SequenceTrack>, now: Timestamp) -> IndexedEvent {
    let nothing = SequenceTrack::default();
    let track = tracks.get(&event.order).unwrap_or(&nothing);
    let mut missing = Vec::new();
    if track.lower_is_missing(event.sequence) {
        let lower = track.complete_through().saturating_add(1)..event.sequence;
        missing = lower.filter(|number| track.beyond().binary_search(number).is_err()).take(MISSING_MAX).collect();
    }
    IndexedEvent { event: event.clone(), missing, indexed_at: now }
}

fn sequences_by_order(events: &[FeedEvent]) -> BTreeMap<OrderId, (Vec<u32>, Timestamp)> {
    let mut by_order: BTreeMap<OrderId, (Vec<u32>, Timestamp)> = BTreeMap::new();
    for event in events {
        let (sequences, expires_at) = by_order.entry(event.order).or_default();
        if !sequences.contains(&event.sequence) {
            sequences.push(event.sequence);
        }
        *expires_at = (*expires_at).max(event.expires_at);
    }
    by_order
}

fn bumps(events: &[&FeedEvent], now: Timestamp) -> Vec<MerchantBump> {
    let mut late_by_merchant: BTreeMap<MerchantId, bool> = BTreeMap::new();
    for event in events {
        let is_late = now.since(event.created_at) > LATE_AFTER;
        *late_by_merchant.entry(event.merchant).or_default() |= is_late;
    }
    late_by_merchant.into_iter().map(|(merchant, late)| MerchantBump { merchant, late }).collect()
}
