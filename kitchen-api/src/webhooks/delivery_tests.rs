//! The states of a delivery.

use event_feed::TraceId;
use order_model::{EventCategory, EventIdKey};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);
const IFOOD: Policy = Policy { dialect: Dialect::IFood, resumed_at: None };

pub(in crate::webhooks) fn event(number: u8) -> FeedEvent {
    let (merchant, order) = (MerchantId::from_bytes([3; 16]), OrderId::from_bytes([number; 16]));
    let id = EventId::derive(&EventIdKey::from_bytes([7; 16]), START, merchant, order, 1);
    let body = format!(r#"{{"id":"{id}","code":"PLC","fullCode":"PLACED","orderId":"{order}","sequence":1}}"#);
    FeedEvent {
        id,
        order,
        merchant,
        code: EventCode::Placed,
        category: EventCategory::Food,
        sequence: 1,
        created_at: START,
        expires_at: START.plus(Duration::from_secs(8 * 60 * 60)),
        trace: TraceId::default(),
        body: Bytes::from(body),
    }
}

pub(in crate::webhooks) fn delivery(number: u8) -> Delivery {
    Delivery::recorded(&event(number), &"pos".parse().unwrap(), START, false)
}

fn ended(at: Timestamp, outcome: Outcome) -> Finished {
    Finished { at, latency: Duration::from_millis(12), outcome, is_acknowledged: true }
}

#[test]
fn a_delivery_is_sent_once_when_it_is_taken_by_two() {
    let mut delivery = delivery(1);
    assert_eq!(delivery.begin(START, None), Task::Send);
    assert_eq!(delivery.begin(START.plus(LEASE / 2), None), Task::Nothing, "leased");
    delivery.finish(&ended(START, Outcome::Answered(202)), &IFOOD, START, 0);
    assert_eq!(delivery.state, State::Delivered { at: START });
    assert_eq!(delivery.begin(START.plus(LEASE * 2), None), Task::Nothing, "delivered");
    assert_eq!(delivery.version, 3);
    assert_eq!(delivery.attempts[0].status, Some(202));
}

#[test]
fn what_was_taken_and_never_came_back_is_due_again() {
    let mut taken = Delivery::recorded(&event(1), &"pos".parse().unwrap(), START, true);
    assert_eq!(taken.begin(START, None), Task::Nothing);
    assert_eq!(taken.begin(START.plus(LEASE), None), Task::Send);
}

#[test]
fn a_failing_receiver_makes_a_dead_letter_that_can_be_asked_for() {
    let mut delivery = delivery(1);
    let mut now = START;
    for attempt in 1..=6 {
        assert_eq!(delivery.begin(now, None), Task::Send, "attempt {attempt}");
        delivery.finish(&ended(now, Outcome::Answered(503)), &IFOOD, now, 0);
        if let State::Waiting { due_at } = delivery.state {
            now = due_at;
        }
    }
    assert_eq!(now.since(START), Duration::from_secs(900));
    assert_eq!(delivery.state, State::Dead { at: now, reason: DeathReason::RetriesExhausted });
    let event = delivery.event;
    let late = now.plus(Duration::from_secs(24 * 60 * 60));
    assert!(delivery.redeliver(late));
    assert!(!delivery.redeliver(late), "it waits already");
    assert_eq!(delivery.begin(late, None), Task::Send, "although the event has expired");
    assert_eq!((delivery.event, delivery.failures), (event, 0), "the same id, a new run");
    delivery.finish(&ended(late, Outcome::TimedOut), &IFOOD, late, 0);
    assert_eq!(delivery.state, State::Waiting { due_at: late.plus(Duration::from_secs(30)) });
}

#[test]
fn a_refusal_is_dead_at_once() {
    for status in [301, 400, 404, 410, 429] {
        let mut delivery = delivery(1);
        delivery.begin(START, None);
        delivery.finish(&ended(START, Outcome::Answered(status)), &IFOOD, START, 0);
        assert_eq!(delivery.state, State::Dead { at: START, reason: DeathReason::Rejected }, "{status}");
    }
}

#[test]
fn a_pause_does_not_count_against_the_retries() {
    let mut delivery = delivery(1);
    delivery.begin(START, None);
    delivery.finish(&ended(START, Outcome::TimedOut), &IFOOD, START, 0);
    let later = START.plus(Duration::from_secs(7 * 60 * 60));
    assert_eq!(delivery.begin(later, None), Task::Send);
    let resumed = Policy { resumed_at: Some(later), ..IFOOD };
    delivery.finish(&ended(later, Outcome::TimedOut), &resumed, later, 0);
    assert_eq!(delivery.state, State::Waiting { due_at: later.plus(Duration::from_secs(60)) });
}

#[test]
fn what_expired_or_was_revoked_is_not_sent() {
    let expired = START.plus(Duration::from_secs(8 * 60 * 60));
    let mut delivery = delivery(1);
    assert_eq!(delivery.clone().begin(expired, None), Task::Bury);
    assert_eq!(delivery.begin(START, Some(DeathReason::Revoked)), Task::Bury);
    assert_eq!(delivery.state, State::Dead { at: START, reason: DeathReason::Revoked });
}

#[test]
fn an_acknowledgment_that_fails_is_repeated_without_sending_again() {
    let mut delivery = delivery(1);
    delivery.begin(START, None);
    let failed = Finished { is_acknowledged: false, ..ended(START, Outcome::Answered(200)) };
    delivery.finish(&failed, &IFOOD, START, 0);
    let next = START.plus(Duration::from_secs(5));
    assert_eq!(delivery.state, State::Acknowledging { due_at: next });
    assert_eq!(delivery.begin(next, None), Task::Acknowledge);
    delivery.acknowledged(false, next);
    let next = next.plus(Duration::from_secs(5));
    assert_eq!(delivery.begin(next, None), Task::Acknowledge);
    delivery.acknowledged(true, next);
    assert_eq!(delivery.state, State::Delivered { at: next });
    assert_eq!(delivery.attempts.len(), 1);
}

proptest! {
    /// Whatever happens to it: versions grow, the log is bounded, nothing that ended begins again by itself, and a receiver that always
    /// fails is given up on within the window.
    #[test]
    fn a_delivery_always_ends(
        steps in proptest::collection::vec((0_u64..4_000, 0_usize..6, any::<u64>()), 1..60),
        is_standard in any::<bool>(),
    ) {
        let outcomes = [
            Outcome::Answered(503), Outcome::TimedOut, Outcome::Unreachable, Outcome::Refused, Outcome::Answered(500),
            Outcome::Answered(502),
        ];
        let policy = Policy { dialect: if is_standard { Dialect::Standard } else { Dialect::IFood }, resumed_at: None };
        let (mut delivery, mut now) = (delivery(1), START);
        for (seconds, outcome, random) in steps {
            now = now.plus(Duration::from_secs(seconds));
            let before = delivery.version;
            match delivery.begin(now, None) {
                Task::Send => {
                    delivery.finish(&ended(now, outcomes[outcome]), &policy, now, random);
                    prop_assert!(delivery.version == before + 2);
                }
                Task::Nothing => prop_assert_eq!(delivery.version, before),
                Task::Bury => {
                    let is_dead = matches!(delivery.state, State::Dead { .. });
                    prop_assert!(is_dead);
                }
                Task::Acknowledge => prop_assert!(false, "nothing was delivered"),
            }
            prop_assert!(delivery.attempts.len() <= ATTEMPTS_LOGGED_MAX);
        }
        let end = now.plus(Duration::from_secs(9 * 60 * 60));
        if delivery.begin(end, None) == Task::Send {
            delivery.finish(&ended(end, Outcome::TimedOut), &policy, end, 0);
        }
        let is_dead = matches!(delivery.state, State::Dead { .. });
        prop_assert!(is_dead, "{:?}", delivery.state);
    }
}
