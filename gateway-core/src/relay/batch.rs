//! What to publish together, and what the reconciler must repair: decisions without I/O.

use std::time::Duration;

use event_feed::FeedEvent;
use message_bus::{BATCH_MAX, MESSAGE_BYTES_MAX};
use order_model::{OrderId, Timestamp};

/// The most bytes of one batch: SNS limits a batch as a whole to the size of one message.
pub(crate) const BATCH_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 8 * 1024;
/// What attributes and envelope of one event may add to its body.
const OVERHEAD_BYTES: usize = 700;
/// An unpublished event older than this is the reconciler's: the task that committed it is gone or has failed.
pub(crate) const REPAIR_AGE: Duration = Duration::from_secs(1);

/// Splits `events` into batches of at most [`BATCH_MAX`] events and [`BATCH_BYTES_MAX`] bytes, in order. An event that
/// is too large for that travels alone.
pub(crate) fn batches(events: Vec<FeedEvent>) -> Vec<Vec<FeedEvent>> {
    let mut batches: Vec<Vec<FeedEvent>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let size = event.body.len() + OVERHEAD_BYTES;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MAX && bytes + size <= BATCH_BYTES_MAX => {
                bytes += size;
                batch.push(event);
            }
            _ => {
                bytes = size;
                batches.push(vec![event]);
            }
        }
    }
    batches
}

/// An event that is marked as unpublished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// Its order.
    pub(crate) order: OrderId,
    /// Its place in it.
    pub(crate) sequence: u32,
    /// When it was committed.
    pub(crate) created_at: Timestamp,
}

/// Those of `marked` that the reconciler must publish at `now`, oldest first. An event from the future was committed
/// under another clock: nobody can tell its age, so it is repaired at once.
pub(crate) fn to_repair(mut marked: Vec<Unpublished>, now: Timestamp) -> Vec<Unpublished> {
    marked.retain(|event| now.since(event.created_at) >= REPAIR_AGE || event.created_at.since(now) >= REPAIR_AGE);
    marked.sort_by_key(|event| (event.created_at, event.order, event.sequence));
    marked
}

/// The age of the oldest of `marked`; zero when there is none.
pub(crate) fn lag(marked: &[Unpublished], now: Timestamp) -> Duration {
    marked.iter().map(|event| now.since(event.created_at)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_feed::TraceId;
    use order_model::{EventCategory, EventCode, EventId, MerchantId};
    use proptest::prelude::*;

    use super::*;

    fn event(sequence: u32, body_bytes: usize) -> FeedEvent {
        FeedEvent {
            id: EventId::from_bytes([1; 16]),
            order: OrderId::from_bytes([2; 16]),
            merchant: MerchantId::from_bytes([3; 16]),
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence,
            created_at: Timestamp::default(),
            expires_at: Timestamp::default(),
            trace: TraceId::default(),
            body: Bytes::from(vec![b'x'; body_bytes]),
        }
    }

    proptest! {
        #[test]
        fn batches_keep_every_event_in_order_within_both_limits(sizes in prop::collection::vec(0usize..250_000, 0..60)) {
            let events: Vec<_> = sizes.iter().zip(1..).map(|(size, sequence)| event(sequence, *size)).collect();
            let batches = batches(events.clone());
            for batch in &batches {
                let bytes: usize = batch.iter().map(|event| event.body.len() + OVERHEAD_BYTES).sum();
                prop_assert!(!batch.is_empty() && batch.len() <= BATCH_MAX);
                prop_assert!(batch.len() == 1 || bytes <= BATCH_BYTES_MAX);
            }
            prop_assert_eq!(batches.concat(), events);
        }
    }

    #[test]
    fn young_events_are_left_to_the_task_that_committed_them() {
        let marked = |ms| Unpublished {
            order: OrderId::from_bytes([2; 16]),
            sequence: 1,
            created_at: Timestamp::from_unix_ms(ms),
        };
        let now = Timestamp::from_unix_ms(10_000);
        let all = vec![marked(9_500), marked(9_000), marked(3_000), marked(10_500), marked(11_000)];
        assert_eq!(lag(&all, now), Duration::from_secs(7));
        assert_eq!(to_repair(all, now), [marked(3_000), marked(9_000), marked(11_000)]);
        assert_eq!(lag(&[], now), Duration::ZERO);
    }
}
