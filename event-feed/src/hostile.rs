//! Notifications as a stranger might send them: each is refused, or is the event that it says it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use hostile_inputs::{json_of, survives, text_of};
use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, Timestamp};
use proptest::prelude::*;

use crate::event::{FeedEvent, TraceId};
use crate::hold_back::{BEYOND_GAP_MAX, GAPS_MAX, SequenceTrack};
use crate::notification::{BODY_BYTES_MAX, NotificationError, decode, encode};

type Attributes = BTreeMap<String, String>;

fn sent() -> (String, Attributes) {
    let (merchant, order) = (MerchantId::from_bytes([3; 16]), OrderId::from_bytes([4; 16]));
    let created_at = Timestamp::from_unix_ms(1_795_000_000_123);
    let event = FeedEvent {
        id: EventId::derive(&EventIdKey::from_bytes([7; 16]), created_at, merchant, order, 2),
        order,
        merchant,
        code: EventCode::Confirmed,
        category: EventCategory::Grocery,
        sequence: 2,
        created_at,
        expires_at: Timestamp::MAX,
        trace: TraceId([9; 16]),
        body: Bytes::new(),
    };
    encode(&event, "IFOOD", Some(r#"{"CLIENT_ID":"dev-pos"}"#))
}

/// Some attributes are missing, some say something else.
fn attributes() -> impl Strategy<Value = Attributes> {
    let valid = sent().1;
    let damage = valid.iter().map(|(name, value)| (Just(name.clone()), prop::option::of(text_of(value.clone()))));
    let damage = prop::strategy::Union::new(damage);
    prop::collection::vec(damage, 0..3).prop_map(move |damages| {
        let mut attributes = valid.clone();
        for (name, value) in damages {
            match value {
                Some(value) => drop(attributes.insert(name, value)),
                None => drop(attributes.remove(&name)),
            }
        }
        attributes
    })
}

/// The event again, by way of its notification; the body is what it was.
fn again(event: &FeedEvent) -> Option<FeedEvent> {
    let (body, attributes) = encode(event, "IFOOD", None);
    decode(&body, &attributes).ok().map(|read| FeedEvent { body: event.body.clone(), ..read })
}

proptest! {
    #[test]
    fn a_notification_is_refused_or_survives(
        body in json_of(serde_json::from_str(&sent().0).unwrap()),
        attributes in attributes(),
    ) {
        let read = decode(&body, &attributes).ok();
        if let Some(event) = &read {
            prop_assert_eq!(&event.body[..], body.as_bytes());
        }
        survives(read, again);
    }

    #[test]
    fn sequences_of_any_size_are_tracked_within_bounds(
        complete_through in extreme(),
        seen in prop::collection::vec(extreme(), 0..40),
        asked in extreme(),
    ) {
        let track = SequenceTrack::from_parts(complete_through, seen.iter().copied());
        prop_assert!(track.gaps().len() <= GAPS_MAX && track.beyond().len() <= BEYOND_GAP_MAX);
        // Nothing is missing below what was seen without a gap, and of nothing that is behind it.
        prop_assert!(asked > track.complete_through() || !track.lower_is_missing(asked));
        let again = |track: &SequenceTrack| {
            Some(SequenceTrack::from_parts(track.complete_through(), track.beyond().iter().copied()))
        };
        survives(Some(track), again);
    }
}

fn extreme() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0..5u32, (u32::MAX - 5)..=u32::MAX]
}

#[test]
fn a_body_is_measured_before_it_is_read() {
    let (_, attributes) = sent();
    let nested = "[".repeat(BODY_BYTES_MAX + 1);
    assert_eq!(decode(&nested, &attributes), Err(NotificationError::TooLarge));
    assert_eq!(decode(&nested[1..], &attributes), Err(NotificationError::MalformedBody));
}
