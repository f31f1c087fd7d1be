//! One event in this dialect, rendered from its header; its body is looked at only where the type has metadata.
//!
//! Pure; used by `polling` and, for webhooks, by `pushed`. Metadata is what the core or an internal app wrote (PARTNER_API 2.1), so nothing in it is relied on:
//! what cannot be read becomes the least that the document requires, because no event may be lost for its metadata. `sourceAppId` and
//! `virtualBrand`, which are optional, are fields of the order here: a poll reads no orders.

use event_feed::FeedEvent;
use order_model::lifecycle::CancellationCode;
use order_model::{EventCode, EventId, OrderId, Timestamp};

use super::cancellation_codes::Reason;
use super::event_types;
use super::json::{Object, Writer};

/// What of an event is rendered.
pub(super) struct Header<'a> {
    pub(super) id: EventId,
    pub(super) code: EventCode,
    pub(super) order: OrderId,
    pub(super) created_at: Timestamp,
    /// The event as the iFood-style polls show it.
    pub(super) body: &'a [u8],
}

/// The event as JSON; `None` where this dialect has no word for it. `base_url` is where our paths begin.
pub(super) fn render(event: &FeedEvent, base_url: &str) -> Option<String> {
    let (id, code, order, created_at) = (event.id, event.code, event.order, event.created_at);
    render_header(&Header { id, code, order, created_at, body: &event.body }, base_url)
}

/// The same, of what is left of an event.
pub(super) fn render_header(event: &Header<'_>, base_url: &str) -> Option<String> {
    let event_type = event_types::of_code(event.code)?;
    let mut json = Writer::default();
    json.text("eventId", &event.id.to_string())
        .text("eventType", event_type)
        .text("orderId", &event.order.to_string())
        .text("orderURL", &format!("{base_url}/v1/orders/{}", event.order))
        .text("createdAt", &event.created_at.to_string());
    json.put_if("metadata", metadata(event));
    Some(json.finish())
}

fn metadata(event: &Header<'_>) -> Option<String> {
    let sent = || {
        let body = std::str::from_utf8(event.body).ok().and_then(Object::read);
        body.and_then(|body| body.object("metadata")).unwrap_or_default()
    };
    match event.code {
        EventCode::Confirmed => {
            let mut json = Writer::default();
            json.text_if("clientId", sent().text(&["CLIENT_ID", "clientId"]));
            Some(json.finish())
        }
        EventCode::PickupAreaAssigned => {
            let area = sent().text(&["PICKUP_AREA_CODE", "pickupArea"])?;
            Some(Writer::default().text("pickupArea", &area).finish())
        }
        EventCode::CancellationRequested
        | EventCode::CancellationRequestFailed
        | EventCode::Cancelled
        | EventCode::ConsumerCancellationRequested
        | EventCode::ConsumerCancellationDenied => Some(cancellation(event.code, &sent())),
        _ => None,
    }
}

fn cancellation(code: EventCode, sent: &Object<'_>) -> String {
    let reason = reason_of(code, sent);
    // A no says why it is one; this dialect's codes have no word for that, so that its text does.
    let text = sent.text(&["DENIAL_REASON", "CANCEL_REASON", "reason"]).unwrap_or_else(|| reason.name().to_owned());
    let mut json = Writer::default();
    json.text("reason", &text).text("code", reason.name());
    json.text_if("clientId", sent.text(&["CLIENT_ID", "clientId"]));
    json.finish()
}

/// The reason an event was given, in either dialect's code, as a text or a number; else what its kind and origin say.
fn reason_of(code: EventCode, sent: &Object<'_>) -> Reason {
    let given = sent
        .text(&["CANCEL_CODE", "cancelCodeId", "code"])
        .or_else(|| sent.number("CANCEL_CODE").or_else(|| sent.number("code")).map(str::to_owned));
    let read = given
        .as_deref()
        .and_then(|given| CancellationCode::parse(given).map(Reason::of_code).or_else(|| Reason::parse(given)));
    let consumer_asked =
        matches!(code, EventCode::ConsumerCancellationRequested | EventCode::ConsumerCancellationDenied)
            || sent.text(&["CANCEL_ORIGIN"]).is_some_and(|origin| origin.eq_ignore_ascii_case("CONSUMER"));
    match read {
        Some(reason) => reason,
        None if consumer_asked => Reason::ConsumerCancellationRequested,
        None => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_feed::TraceId;
    use order_model::{EventCategory, EventId, MerchantId, OrderId, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn rendered(code: EventCode, metadata: &str) -> Option<Value> {
        let event = FeedEvent {
            id: EventId::from_bytes([1; 16]),
            order: OrderId::from_bytes([2; 16]),
            merchant: MerchantId::from_bytes([3; 16]),
            code,
            category: EventCategory::Food,
            sequence: 1,
            created_at: "2026-11-20T12:00:00.123Z".parse().unwrap(),
            expires_at: Timestamp::MAX,
            trace: TraceId::default(),
            body: Bytes::from(format!(r#"{{"id":"x","metadata":{metadata}}}"#)),
        };
        render(&event, "https://api.example.com/od").map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn an_event_has_its_own_id_and_leads_to_its_order() {
        let order = OrderId::from_bytes([2; 16]).to_string();
        let expected = json!({
            "eventId": EventId::from_bytes([1; 16]).to_string(), "eventType": "CREATED", "orderId": order,
            "orderURL": format!("https://api.example.com/od/v1/orders/{order}"), "createdAt": "2026-11-20T12:00:00.123Z",
        });
        assert_eq!(rendered(EventCode::Placed, "null"), Some(expected));
        assert_eq!(rendered(EventCode::AssignDriver, "{}"), None);
    }

    #[test]
    fn required_metadata_is_always_there() {
        let metadata = |code, sent: &str| rendered(code, sent).unwrap().get("metadata").cloned();
        assert_eq!(metadata(EventCode::Confirmed, r#"{"CLIENT_ID":"pos"}"#), Some(json!({ "clientId": "pos" })));
        assert_eq!(metadata(EventCode::Confirmed, "null"), Some(json!({})));
        let area = r#"{"PICKUP_AREA_CODE":"B2","PICKUP_AREA_TYPE":"X"}"#;
        assert_eq!(metadata(EventCode::PickupAreaAssigned, area), Some(json!({ "pickupArea": "B2" })));
        assert_eq!(metadata(EventCode::PickupAreaAssigned, "{}"), None);
        let of = |reason: &str, code: &str| Some(json!({ "reason": reason, "code": code }));
        let sent = r#"{"CANCEL_CODE":"503","CANCEL_REASON":"Item indisponível","CANCEL_ORIGIN":"RESTAURANT"}"#;
        assert_eq!(metadata(EventCode::Cancelled, sent), of("Item indisponível", "UNAVAILABLE_ITEM"));
        assert_eq!(
            metadata(EventCode::Cancelled, r#"{"CANCEL_ORIGIN":"CONSUMER","CANCEL_REASON":"x"}"#),
            of("x", "CONSUMER_CANCELLATION_REQUESTED")
        );
        assert_eq!(
            metadata(EventCode::CancellationRequested, r#"{"CANCEL_CODE":509,"reason":"r"}"#),
            of("r", "INTERNAL_DIFFICULTIES_OF_THE_RESTAURANT")
        );
        for sent in ["null", "[]", "7", r#"{"CANCEL_CODE":{}}"#] {
            let other = of("OTHER_CANCELLATION_REASON", "OTHER_CANCELLATION_REASON");
            assert_eq!(metadata(EventCode::CancellationRequestFailed, sent), other, "{sent}");
        }
        let consumer = of("CONSUMER_CANCELLATION_REQUESTED", "CONSUMER_CANCELLATION_REQUESTED");
        assert_eq!(metadata(EventCode::ConsumerCancellationRequested, "null"), consumer);
        let denied = r#"{"CANCEL_ORIGIN":"CONSUMER","CANCEL_REASON":"x","DENIAL_CODE":"OUT_FOR_DELIVERY","DENIAL_REASON":"saiu"}"#;
        assert_eq!(
            metadata(EventCode::ConsumerCancellationDenied, denied),
            of("saiu", "CONSUMER_CANCELLATION_REQUESTED")
        );
    }
}
