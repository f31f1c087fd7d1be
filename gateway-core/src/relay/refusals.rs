//! Which events the topic refuses, how often each was refused, and when each is offered to it again: decisions without I/O.
//!
//! Used by the reconciler. A refusal blames the event and not the topic, so it must slow down nobody else: after
//! [`REFUSALS_MAX`] of them the event leaves the shards that are read all the time. It is never given up: what the topic
//! refuses today (a limit, a policy) it may take tomorrow. The counts are of this process; a new one tries at once.

use std::collections::HashMap;
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::OrderId;

use super::batch::Unpublished;

/// Refusals of one event after which it is set aside: one may be a broker's mistake, four within 4 s are not.
pub(crate) const REFUSALS_MAX: u32 = 4;
/// Between the first two attempts of an event; doubles with each until it is set aside.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Between attempts of an event that was set aside; grows from the first to the second.
const ASIDE_RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// Events remembered, about 50 bytes each, also those that the topic took in the end. When full everything is forgotten:
/// what is refused is tried once more.
const REMEMBERED_MAX: usize = 10_000;

/// What names an event.
type Key = (OrderId, u32);

/// What to do about an event that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// For the first time: say so.
    First,
    /// Try again soon.
    Again,
    /// Set it aside, or leave it there.
    Aside,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    times: u32,
    retry_at: Duration,
}

/// The refusals of all events. Time is monotonic and passed in.
#[derive(Debug, Default)]
pub(crate) struct Refusals(HashMap<Key, Refused>);

impl Refusals {
    /// Counts one refusal of `event`.
    pub(crate) fn note(&mut self, event: &FeedEvent, now: Duration) -> Verdict {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        let fresh = Refused { times: 0, retry_at: now };
        let refused = self.0.entry((event.order, event.sequence)).or_insert(fresh);
        refused.times = refused.times.saturating_add(1);
        refused.retry_at = now + pause_after(refused.times);
        match refused.times {
            REFUSALS_MAX.. => Verdict::Aside,
            1 => Verdict::First,
            _ => Verdict::Again,
        }
    }

    /// An event that was found aside: one refusal more and it stays there.
    pub(crate) fn know_aside(&mut self, event: &Unpublished) {
        if self.0.len() < REMEMBERED_MAX {
            let known = Refused { times: REFUSALS_MAX - 1, retry_at: Duration::ZERO };
            self.0.entry((event.order, event.sequence)).or_insert(known);
        }
    }

    /// Whether `event` may be offered now.
    pub(crate) fn is_due(&self, event: &Unpublished, now: Duration) -> bool {
        self.0.get(&(event.order, event.sequence)).is_none_or(|refused| refused.retry_at <= now)
    }
}

fn pause_after(times: u32) -> Duration {
    match times.checked_sub(REFUSALS_MAX) {
        None => RETRY_AFTER * 2u32.saturating_pow(times.saturating_sub(1)),
        Some(aside) => ASIDE_RETRY_AFTER.0.saturating_mul(2u32.saturating_pow(aside)).min(ASIDE_RETRY_AFTER.1),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_feed::TraceId;
    use order_model::{EventCategory, EventCode, EventId, MerchantId, Timestamp};

    use super::*;

    fn event(order: u128) -> FeedEvent {
        FeedEvent {
            id: EventId::from_bytes([1; 16]),
            order: OrderId::from_bytes(order.to_be_bytes()),
            merchant: MerchantId::from_bytes([3; 16]),
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence: 1,
            created_at: Timestamp::default(),
            expires_at: Timestamp::default(),
            trace: TraceId::default(),
            body: Bytes::new(),
        }
    }

    fn marked(order: u128) -> Unpublished {
        let FeedEvent { order, sequence, created_at, .. } = event(order);
        Unpublished { order, sequence, created_at }
    }

    /// How long it is not due after its latest refusal at `now`.
    fn pause(refusals: &Refusals, now: Duration) -> Duration {
        let waits = |ms: &u64| !refusals.is_due(&marked(1), now + Duration::from_millis(*ms));
        Duration::from_millis((0..=900_000).step_by(500).take_while(waits).count() as u64 * 500)
    }

    #[test]
    fn it_is_tried_soon_then_set_aside_then_every_few_minutes_for_ever() {
        let (mut refusals, mut now) = (Refusals::default(), Duration::from_secs(5));
        let mut seen = Vec::new();
        for _ in 0..10 {
            let verdict = refusals.note(&event(1), now);
            let pause = pause(&refusals, now);
            seen.push((verdict, pause.as_millis()));
            now += pause;
        }
        use Verdict::{Again, Aside, First};
        assert_eq!(seen[..3], [(First, 500), (Again, 1_000), (Again, 2_000)]);
        assert_eq!(seen[3..6], [(Aside, 60_000), (Aside, 120_000), (Aside, 240_000)]);
        assert!(seen[7..].iter().all(|last| *last == (Aside, 900_000)), "{seen:?}");
        assert!(refusals.is_due(&marked(2), Duration::ZERO), "others are not held up");
    }

    #[test]
    fn what_an_earlier_process_set_aside_is_tried_at_once_and_stays_there() {
        let mut refusals = Refusals::default();
        refusals.know_aside(&marked(1));
        assert!(refusals.is_due(&marked(1), Duration::ZERO));
        assert_eq!(refusals.note(&event(1), Duration::ZERO), Verdict::Aside);
        refusals.know_aside(&marked(1));
        assert!(!refusals.is_due(&marked(1), Duration::from_secs(59)));
    }

    #[test]
    fn the_count_is_bounded() {
        let mut refusals = Refusals::default();
        for order in 0..25_000 {
            refusals.note(&event(order), Duration::ZERO);
            refusals.know_aside(&marked(order + 1_000_000));
        }
        assert!(refusals.0.len() <= REMEMBERED_MAX);
    }
}
