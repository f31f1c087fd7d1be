//! Which events a stream has sent lately, so that each goes out once while its acknowledgment is on the way. Pure.
//!
//! Used by `stream`. What is acknowledged is the feed's knowledge: it does not list such an event again, and its entry here
//! simply ages.

use std::collections::HashMap;
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::EventId;
use tokio::time::Instant;

/// An event that is not acknowledged by then is sent again on the same connection, with the next look.
pub(super) const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The most events that one stream sends within [`REPEAT_AFTER`], some 50 bytes each. What is beyond goes out later.
pub(super) const SENT_MAX: usize = 5_000;

/// What was sent, and when.
#[derive(Default)]
pub(super) struct Sent {
    at: HashMap<EventId, Instant>,
}

impl Sent {
    /// Those of `pending` that are to be sent now; they count as sent.
    pub(super) fn choose(&mut self, pending: Vec<FeedEvent>, now: Instant) -> Vec<FeedEvent> {
        self.at.retain(|_, sent_at| now.duration_since(*sent_at) < REPEAT_AFTER);
        let mut chosen = pending;
        chosen.retain(|event| {
            let is_new = self.at.len() < SENT_MAX && !self.at.contains_key(&event.id);
            if is_new {
                self.at.insert(event.id, now);
            }
            is_new
        });
        chosen
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_feed::TraceId;
    use order_model::{EventCategory, EventCode, MerchantId, OrderId, Timestamp};

    use super::*;

    fn event(number: u32) -> FeedEvent {
        FeedEvent {
            id: EventId::from_bytes(u128::from(number).to_be_bytes()),
            order: OrderId::from_bytes([1; 16]),
            merchant: MerchantId::from_bytes([1; 16]),
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence: 1,
            created_at: Timestamp::default(),
            expires_at: Timestamp::MAX,
            trace: TraceId::default(),
            body: Bytes::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_goes_out_once_until_it_has_waited_too_long_for_its_acknowledgment() {
        let mut sent = Sent::default();
        let now = Instant::now();
        assert_eq!(sent.choose(vec![event(1)], now).len(), 1);
        assert_eq!(sent.choose(vec![event(1), event(2)], now), [event(2)]);
        let later = now + REPEAT_AFTER;
        assert_eq!(sent.choose(vec![event(1), event(2)], later), [event(1), event(2)]);
        assert_eq!(sent.choose(vec![event(1)], later), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_nothing_is_lost_over_it() {
        let mut sent = Sent::default();
        let now = Instant::now();
        let many: Vec<FeedEvent> = (0..6_000).map(event).collect();
        assert_eq!(sent.choose(many.clone(), now).len(), SENT_MAX);
        assert_eq!(sent.at.len(), SENT_MAX);
        assert!(sent.choose(many.clone(), now).is_empty());
        assert_eq!(sent.choose(many[SENT_MAX..].to_vec(), now + REPEAT_AFTER).len(), 1_000);
    }
}
