//! Submissions as a stranger might send them through the agent: each is refused by its field, or can be committed and served.

use hostile_inputs::{any_bytes, json_of, text_of};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::*;

const ORDER: OrderId = OrderId::from_bytes([4; 16]);
/// The codes whose metadata says more than what partners see.
const CODES: [EventCode; 6] = [
    EventCode::HandshakeDispute,
    EventCode::HandshakeSettlement,
    EventCode::OrderPatched,
    EventCode::GoingToOrigin,
    EventCode::DropCodeRequested,
    EventCode::Confirmed,
];

fn metadata() -> Value {
    json!({
        "disputeId": "d-1", "parentDisputeId": "d-0", "expiresAt": "2026-11-20T12:00:00Z", "timeoutAction": "VOID",
        "action": "CANCELLATION", "latitude": -23.55, "longitude": "-46.63", "eta": 12, "code": "1234",
        "patch": { "delivery": { "observations": "x" }, "items": [], "displayId": "7" },
        "alternatives": [{ "id": "1", "type": "REFUND", "metadata": { "maxAmount": { "value": "800", "currency": "BRL" },
            "allowedsAdditionalTimeInMinutes": [5, 10] } }],
        "metadata": { "evidences": [{ "content": "/9j/4A==" }, { "url": "https://x/1" }], "negotiationReasons": ["A"] },
        "customer": { "name": "Ana", "phone": { "number": "0800" } },
    })
}

fn request(content: wire::submit_request::Content) -> wire::SubmitRequest {
    wire::SubmitRequest {
        source: "app".to_owned(),
        message_id: "1".to_owned(),
        body_digest: Bytes::from_static(&[1; 32]),
        content: Some(content),
        ..wire::SubmitRequest::default()
    }
}

fn reported_of(code: EventCode, metadata: &str) -> Result<(Command, Cause), Malformed> {
    let update = wire::UpdateOrder {
        order_id: conversions::to_bytes(ORDER.as_bytes()),
        code: u32::from(code.number()),
        metadata: Bytes::copy_from_slice(metadata.as_bytes()),
    };
    match submitted(request(wire::submit_request::Content::Update(update)), "https://x").unwrap()? {
        (Content::Update(_, command), cause) => Ok((command, cause)),
        (Content::Place(..), _) => panic!("an order"),
    }
}

fn is_object(json: &[u8]) -> bool {
    json.first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(json).is_ok()
}

#[test]
fn the_sample_is_accepted() {
    for code in CODES {
        reported_of(code, &metadata().to_string()).unwrap();
    }
    let (_, cause) = reported_of(EventCode::HandshakeDispute, &metadata().to_string()).unwrap();
    assert!(cause.evidence.is_some() && cause.opens.is_some());
    assert!(reported_of(EventCode::OrderPatched, &metadata().to_string()).unwrap().1.patch.is_some());
    assert!(reported_of(EventCode::GoingToOrigin, &metadata().to_string()).unwrap().1.position.is_some());
}

proptest! {
    /// What is committed is an object that everybody downstream can read, and says no more than what may be told.
    #[test]
    fn an_update_is_refused_by_its_field_or_can_be_served(
        code in prop::sample::select(CODES.to_vec()),
        metadata in json_of(metadata()),
    ) {
        match reported_of(code, &metadata) {
            Ok((_, cause)) => {
                if let Some(clean) = &cause.metadata {
                    prop_assert!(is_object(clean.as_bytes()));
                    // What is told is cleaned once and for all.
                    let again = personal_data::publishable_metadata(code, clean.as_bytes()).unwrap();
                    prop_assert_eq!(clean, &again);
                }
                for file in cause.evidence.iter().flat_map(|brought| &brought.files) {
                    prop_assert!(file.content.len() <= evidence::EVIDENCE_BYTES_MAX);
                }
                if let Some(position) = &cause.position {
                    for number in [&position.latitude, &position.longitude] {
                        prop_assert!(number.parse::<f64>().is_ok_and(f64::is_finite), "{}", number);
                    }
                }
            }
            Err(Malformed(field)) => prop_assert!(field.starts_with("metadata") && field.len() < 200, "{}", field),
        }
    }

    #[test]
    fn an_order_is_refused_by_its_field_or_can_be_served(
        body in json_of(json!({ "id": "1", "merchant": { "id": "m" }, "delivery": { "dropCode": "1" }, "total": 1.5 })),
        order_type in text_of("DELIVERY".to_owned()),
        sales_channel in text_of("IFOOD".to_owned()),
        promised_at_ms in any::<i64>(),
    ) {
        let place = wire::PlaceOrder {
            order_id: conversions::to_bytes(ORDER.as_bytes()),
            merchant: Some(wire::place_order::Merchant::OpenDeliveryMerchantId("m".repeat(40))),
            facts: Some(wire::OrderFacts { order_type, sales_channel, promised_at_ms, ..wire::OrderFacts::default() }),
            body: Bytes::from(body),
        };
        match submitted(request(wire::submit_request::Content::Place(place)), "").unwrap() {
            Ok((Content::Place(_, placed), _)) => {
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&placed.body).is_ok());
                prop_assert!((1..=SALES_CHANNEL_BYTES_MAX).contains(&placed.sales_channel.len()));
                let id = MerchantId::from_bytes([7; 16]);
                let named = merchant_field::with_id(&placed.body, id);
                let spelled = merchant_field::spelling(&placed.body);
                prop_assert!(spelled.is_none() || merchant_field::spelling(&named) == Some(id.to_string()));
                let split = crate::codes::OrderBody::split(&named);
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&split.json).is_ok());
            }
            Ok((Content::Update(..), _)) => prop_assert!(false, "an update"),
            Err(Malformed(field)) => prop_assert!(field == "orderType" || field == "order", "{}", field),
        }
    }

    #[test]
    fn bytes_are_no_metadata(code in prop::sample::select(CODES.to_vec()), bytes in any_bytes()) {
        let clean = publishable(code, &bytes);
        prop_assert!(clean.is_err() || is_object(bytes.trim_ascii()));
    }
}
