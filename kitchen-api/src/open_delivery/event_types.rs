//! The types of events, and the codes they are events of (PARTNER_API, section 4).
//!
//! Pure; used to render events, to read filters and for an order's last event. Which codes there is a type for is
//! `event_feed::Dialect`'s to say, because both feeds need to know; a test holds the two together.

use event_feed::Dialect;
use order_model::EventCode;

/// Every type, with the codes it stands for. Picking groceries is how their preparation begins.
const TYPES: [(&str, &[EventCode]); 15] = [
    ("CREATED", &[EventCode::Placed]),
    ("CONFIRMED", &[EventCode::Confirmed]),
    ("PREPARATION_REQUESTED", &[EventCode::RecommendedPreparationStart]),
    ("PREPARING", &[EventCode::PreparationStarted, EventCode::SeparationStarted]),
    ("READY_FOR_PICKUP", &[EventCode::ReadyToPickup]),
    ("DISPATCHED", &[EventCode::Dispatched]),
    ("PICKUP_AREA_ASSIGNED", &[EventCode::PickupAreaAssigned]),
    ("PICKED_UP", &[EventCode::Collected]),
    ("DELIVERED", &[EventCode::Delivered]),
    ("CONCLUDED", &[EventCode::Concluded]),
    ("CANCELLATION_REQUESTED", &[EventCode::CancellationRequested]),
    ("CANCELLATION_REQUEST_DENIED", &[EventCode::CancellationRequestFailed]),
    ("CANCELLED", &[EventCode::Cancelled]),
    ("ORDER_CANCELLATION_REQUEST", &[EventCode::ConsumerCancellationRequested]),
    ("CANCELLED_DENIED", &[EventCode::ConsumerCancellationDenied]),
];

/// Every type, for the document.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// The type of an event of `code`; `None` where this dialect has no word for it.
pub(super) fn of_code(code: EventCode) -> Option<&'static str> {
    if !Dialect::OpenDelivery.has(code) {
        return None;
    }
    TYPES.iter().find(|(_, codes)| codes.contains(&code)).map(|(name, _)| *name)
}

/// The codes that a type stands for, in any case; none for what is no type.
pub(super) fn codes_of(name: &str) -> &'static [EventCode] {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(&[], |(_, codes)| codes)
}

/// The last event of an order that stands at `state`, which is the name of its status.
pub(super) fn last_event(state: &str) -> Option<&'static str> {
    match state {
        "PLACED" => Some("CREATED"),
        "CONFIRMED" => Some("CONFIRMED"),
        "SEPARATION_STARTED" | "SEPARATION_ENDED" | "PREPARATION_STARTED" => Some("PREPARING"),
        "READY_TO_PICKUP" => Some("READY_FOR_PICKUP"),
        "DISPATCHED" => Some("DISPATCHED"),
        "CONCLUDED" => Some("CONCLUDED"),
        "CANCELLED" => Some("CANCELLED"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use order_model::lifecycle::OrderStatus;

    use super::*;

    #[test]
    fn the_feed_shows_exactly_the_codes_that_have_a_type() {
        for &code in EventCode::ALL {
            let types: Vec<&str> =
                TYPES.iter().filter(|(_, codes)| codes.contains(&code)).map(|(name, _)| *name).collect();
            assert_eq!(types.len(), usize::from(Dialect::OpenDelivery.has(code)), "{code:?}");
            assert_eq!(of_code(code), types.first().copied());
        }
    }

    #[test]
    fn types_are_read_in_any_case_and_every_status_has_one() {
        assert_eq!(codes_of("created"), [EventCode::Placed]);
        assert_eq!(codes_of("PLACED"), []);
        for status in OrderStatus::ALL {
            let name = last_event(status.name()).unwrap();
            assert!(!codes_of(name).is_empty(), "{status:?}");
        }
    }
}
