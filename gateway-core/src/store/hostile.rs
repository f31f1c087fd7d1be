//! Items as a stranger might have written them: each is refused, with the name of what is wrong, or survives being written
//! and read again.

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use hostile_inputs::{Item, item_of, json_of, survives, unnamed_attributes};
use order_model::lifecycle::state::Lifecycle;
use order_model::lifecycle::stored::StoredLifecycle;
use order_model::lifecycle::timing::Gap;
use order_model::{EventCategory, EventCode, EventId, EvidenceId, MerchantId, OrderId, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::attributes::ItemReader;
use super::event_item::StoredEvent;
use super::keys::KeySpace;
use super::{MessageKey, MessageRecord};
use super::{dispute_item, event_item, evidence_item, message_item, order_item, serving_item};
use crate::codes::OrderBody;
use crate::disputes::{DisputeOffer, DisputeRecord};
use crate::evidence::{ContentType, Evidence};
use crate::order::{OpenRequest, Order};
use crate::position::Position;
use crate::serving::ServingRecord;

const ID: OrderId = OrderId::from_bytes([4; 16]);

/// With everything that an order can have.
fn order() -> Order {
    let order = crate::planning::sample_order();
    let lifecycle = StoredLifecycle {
        merchant_request: 3,
        consumer_request: 4,
        dispute: "d-1".to_owned(),
        dispute_expires_at_ms: 1_795_000_000_000,
        dispute_timeout_action: 1,
        dispute_asks: 2,
        settled_dispute: "d-0".to_owned(),
        ..order.lifecycle.to_stored()
    };
    Order {
        id: ID,
        lifecycle: Lifecycle::from_stored(&lifecycle).unwrap(),
        open_requests: vec![OpenRequest { sequence: 3, id: EventId::from_bytes([1; 16]) }],
        evidence: vec![EvidenceId::from_bytes([2; 16])],
        position: Some(Position { latitude: "-23.55".to_owned(), ..Position::default() }),
        due_at: Some(Timestamp::from_unix_ms(1_795_000_000_000)),
        ..order
    }
}

fn event() -> StoredEvent {
    let at = Timestamp::from_unix_ms(1_795_000_000_000);
    let event = FeedEvent {
        id: EventId::from_bytes([1; 16]),
        order: ID,
        merchant: MerchantId::from_bytes([3; 16]),
        code: EventCode::Placed,
        category: EventCategory::Grocery,
        sequence: 7,
        created_at: at,
        expires_at: at,
        trace: TraceId([4; 16]),
        body: Bytes::from_static(b"{}"),
    };
    StoredEvent { event, occurred_at: Some(at), published_at: None }
}

fn dispute() -> DisputeRecord {
    let metadata = br#"{"negotiationReasons":["A"],"alternatives":[{"id":"1","type":"REFUND","metadata":{"maxAmount":{"value":"800","currency":"BRL"}}}]}"#;
    let kept_until = Timestamp::from_unix_ms(1_795_000_000_000);
    DisputeRecord { order: ID, offer: DisputeOffer::of_metadata(metadata), kept_until }
}

fn evidence() -> Evidence {
    let id = EvidenceId::from_bytes([5; 16]);
    Evidence { id, content_type: ContentType::Webp, content: Bytes::from_static(b"RIFF") }
}

fn message() -> MessageRecord {
    MessageRecord {
        key: MessageKey::new(KeySpace::Message, "app", "1"),
        digest: [5; 32],
        order: ID,
        event_ids: vec![EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16])],
        expires_at: Timestamp::from_unix_ms(1_795_000_000_000),
    }
}

fn serving() -> ServingRecord {
    let at = Timestamp::from_unix_ms;
    ServingRecord { version: 9, last_served: Some(at(70)), gaps: vec![Gap { from: at(1), until: at(20) }] }
}

fn dispute_encoded(record: &DisputeRecord) -> Item {
    dispute_item::encode(&"d-1".parse().unwrap(), record)
}

fn body_item() -> Item {
    order_item::encode_body(&order(), &OrderBody::split(&Bytes::from_static(br#"{"delivery":{"dropCode":"1"}}"#)))
}

/// The body and its version, written and read again.
fn body_again((body, version): &(OrderBody, u64)) -> Option<(OrderBody, u64)> {
    order_item::decode_body(order_item::encode_body(&Order { body_version: *version, ..order() }, body)).ok()
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let (at, nothing) = (Timestamp::from_unix_ms(1_795_000_000_000), Vec::<String>::new());
    assert_eq!(unnamed_attributes(&order_item::encode(&order()), |item| order_item::decode(ID, item)), nothing);
    assert_eq!(unnamed_attributes(&body_item(), |item| order_item::decode_body(item.clone())), nothing);
    assert_eq!(unnamed_attributes(&event_item::encode(&event(), at), event_item::decode), nothing);
    assert_eq!(unnamed_attributes(&dispute_encoded(&dispute()), dispute_item::decode), nothing);
    let evidence_id = evidence().id;
    let evidence = evidence_item::encode(&order(), &evidence());
    assert_eq!(unnamed_attributes(&evidence, |item| evidence_item::decode(evidence_id, item.clone())), nothing);
    let message = message();
    let read = |item: &Item| message_item::decode(message.key, item);
    assert_eq!(unnamed_attributes(&message_item::encode(&message), read), nothing);
    assert_eq!(unnamed_attributes(&serving_item::encode(&serving()), serving_item::decode), nothing);
}

/// A version is written by whoever adds one to it: the last number there is has no next.
#[test]
fn a_version_that_cannot_grow_is_refused() {
    let with = |version: u64| {
        let mut item = order_item::encode(&order());
        item.insert("version".to_owned(), aws_sdk_dynamodb::types::AttributeValue::N(version.to_string()));
        ItemReader::open(&item, "order", 1).unwrap().counter("version").ok()
    };
    let last = i64::MAX.unsigned_abs();
    assert_eq!(
        [0, 1, last - 1, last, last + 1, u64::MAX].map(with),
        [Some(0), Some(1), Some(last - 1), None, None, None]
    );
}

proptest! {
    #[test]
    fn an_order_is_refused_or_survives(item in item_of(order_item::encode(&order()))) {
        let again = |order: &Order| order_item::decode(ID, &order_item::encode(order)).ok();
        survives(order_item::decode(ID, &item).ok(), again);
    }

    #[test]
    fn a_body_is_refused_or_survives(item in item_of(body_item())) {
        survives(order_item::decode_body(item).ok(), body_again);
    }

    /// Whatever an older version stored, the customer's code leaves it at once.
    #[test]
    fn any_body_survives_without_its_code(
        json in json_of(json!({"id": "1", "delivery": {"pickupCode": "1234", "dropCode": "9876", "x": 1.5}})),
    ) {
        let body = OrderBody::stored(Bytes::from(json), None);
        survives(Some((body.clone(), 1)), body_again);
        prop_assert_eq!(OrderBody::split(&body.json).drop_code, None);
    }

    #[test]
    fn an_event_is_refused_or_survives(item in item_of(event_item::encode(&event(), Timestamp::MAX))) {
        // An item is new when it is written: nobody has published it.
        let read = event_item::decode(&item).ok().map(|stored| StoredEvent { published_at: None, ..stored });
        survives(read, |stored| event_item::decode(&event_item::encode(stored, Timestamp::MAX)).ok());
    }

    #[test]
    fn a_dispute_is_refused_or_survives(item in item_of(dispute_encoded(&dispute()))) {
        survives(dispute_item::decode(&item).ok(), |record| dispute_item::decode(&dispute_encoded(record)).ok());
    }

    #[test]
    fn evidence_is_refused_or_survives(item in item_of(evidence_item::encode(&order(), &evidence()))) {
        let read = |item| evidence_item::decode(evidence().id, item).ok();
        survives(read(item), |evidence| read(evidence_item::encode(&order(), evidence)));
    }

    #[test]
    fn a_message_is_refused_or_survives(item in item_of(message_item::encode(&message()))) {
        let read = |item: &Item| message_item::decode(message().key, item).ok();
        survives(read(&item), |record| read(&message_item::encode(record)));
    }

    #[test]
    fn a_serving_record_is_refused_or_survives(item in item_of(serving_item::encode(&serving()))) {
        let read = serving_item::decode(&item).ok();
        if let Some(record) = &read {
            prop_assert_eq!(record.report(Timestamp::default()).version, record.version + 1);
        }
        survives(read, |record| serving_item::decode(&serving_item::encode(record)).ok());
    }
}
