//! The request for the customer's code: `DDCR`, right after `CFM` (PARTNER_API 1.7).
//!
//! The code itself is served to nobody, so that this event is how whoever brings the order learns that the door is opened by one.
//! Whether an order has a code is gateway-core's to know, which calls this with what `decide` says; the state of an order is
//! deliberately free of it.

use crate::event_code::EventCode;
use crate::lifecycle::decision::{Decision, EventMetadata};
use crate::lifecycle::draft::Draft;
use crate::timestamp::Timestamp;

/// What `decision`, made at `at`, is for an order that has a customer's code: one that confirms it asks for the code as well.
/// Any other stays as it is, and so does that of an order which no courier brings.
#[must_use]
pub fn asking_for_drop_code(decision: Decision, at: Timestamp) -> Decision {
    match decision {
        Decision::Append { events, next }
            if next.kind.route().has_courier() && events.iter().any(|event| event.code == EventCode::Confirmed) =>
        {
            let mut draft = Draft::after(events, next, at);
            draft.append(EventCode::DropCodeRequested, EventMetadata::None);
            draft.into_decision()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::command::{Action, Command, Update};
    use crate::lifecycle::decide::{decide, place};
    use crate::lifecycle::decision::EVENTS_PER_DECISION_MAX;
    use crate::lifecycle::kind::OrderKind;
    use crate::lifecycle::status::OrderStatus;

    const AT: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

    #[test]
    fn an_order_that_a_courier_brings_asks_for_the_code_right_after_it_is_confirmed() {
        let reported = Command::Update(Update::new(EventCode::Confirmed).unwrap());
        for kind in OrderKind::all() {
            for command in [&Command::Act(Action::Confirm), &reported] {
                let decision = decide(&place(kind, AT).1, AT, command).unwrap();
                let asking = asking_for_drop_code(decision.clone(), AT);
                if !kind.route().has_courier() {
                    assert_eq!(asking, decision, "{kind:?}");
                    continue;
                }
                let codes: Vec<_> = asking.events().iter().map(|event| (event.sequence, event.code)).collect();
                assert_eq!(codes, [(2, EventCode::Confirmed), (3, EventCode::DropCodeRequested)], "{kind:?}");
                assert!(asking.events()[0].created_at < asking.events()[1].created_at);
                assert_eq!(asking.events()[1].metadata, EventMetadata::None);
                assert!(asking.events().len() <= EVENTS_PER_DECISION_MAX);
                let next = asking.next().unwrap();
                assert_eq!((next.status, next.next_sequence), (OrderStatus::Confirmed, 4));
                assert_eq!(next.last_created_at, asking.events()[1].created_at);
            }
        }
    }

    #[test]
    fn nothing_else_asks_for_it() {
        for kind in OrderKind::all() {
            let placed = place(kind, AT).1;
            let confirmed = decide(&placed, AT, &Command::Act(Action::Confirm)).unwrap().next().unwrap().clone();
            for (lifecycle, action) in [
                (&confirmed, Action::Confirm),
                (&confirmed, Action::ReadyToPickup),
                (&placed, Action::RequestCancellation(crate::lifecycle::CancellationCode::Fraud)),
            ] {
                let decision = decide(lifecycle, AT, &Command::Act(action)).unwrap();
                assert_eq!(asking_for_drop_code(decision.clone(), AT), decision, "{action:?}");
            }
        }
    }
}
