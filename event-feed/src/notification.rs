//! How an event travels on the `order-events` topic: one JSON body and string attributes.
//!
//! gateway-core encodes; order-events and connection-polling decode, so that both hold the same event. The body is what
//! partners are answered with, byte for byte: the event object of PARTNER_API 2.1 plus `sequence`. What rules need and
//! partners do not see travels in attributes. Personal data is deliberately absent; the core keeps it out of `metadata`.

use std::collections::BTreeMap;

use bytes::Bytes;
use order_model::{EventCategory, EventCode, EventId, MerchantId, OrderId, RoutingHash, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{FeedEvent, TraceId};

/// The version that [`encode`] writes and the only one [`decode`] reads.
pub const FORMAT_VERSION: &str = "1";

/// The largest body [`decode`] accepts: what one message of any supported broker holds.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The names of the attributes.
pub mod attribute {
    /// The merchant's UUID.
    pub const MERCHANT_ID: &str = "merchantId";
    /// The short code, e.g. `PLC`.
    pub const CODE: &str = "code";
    /// The group, e.g. `ORDER_STATUS`.
    pub const GROUP: &str = "group";
    /// The category's storage number, decimal.
    pub const CATEGORY: &str = "category";
    /// Position within the order, decimal.
    pub const SEQUENCE: &str = "sequence";
    /// RFC 3339.
    pub const EXPIRES_AT: &str = "expiresAt";
    /// W3C trace context; absent when the producer sent none.
    pub const TRACEPARENT: &str = "traceparent";
    /// The version of this format.
    pub const FORMAT_VERSION: &str = "formatVersion";
}

/// A notification cannot be an event of ours; receiving it again will not change that. Names the field, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// `formatVersion` is absent or not known here.
    #[error("the format version is not known")]
    UnknownVersion,
    /// The body is larger than [`BODY_BYTES_MAX`].
    #[error("the body is too large")]
    TooLarge,
    /// The body is not a JSON object with the fields of an event.
    #[error("the body is not an event")]
    MalformedBody,
    /// A field or attribute is absent or malformed.
    #[error("{field} is absent or malformed")]
    MalformedField {
        /// Its name.
        field: &'static str,
    },
    /// The id does not belong to the merchant and instant beside it, so acknowledgments of it would go astray.
    #[error("the event id does not fit merchantId and createdAt")]
    ForeignId,
}

impl NotificationError {
    /// A stable code for the attribute `reason` of a dead letter.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownVersion => "UNKNOWN_VERSION",
            Self::TooLarge => "TOO_LARGE",
            Self::MalformedBody | Self::MalformedField { .. } | Self::ForeignId => "MALFORMED",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutgoingBody<'a> {
    id: String,
    code: &'static str,
    full_code: &'static str,
    order_id: String,
    merchant_id: String,
    created_at: String,
    sales_channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    sequence: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncomingBody {
    id: String,
    code: String,
    order_id: String,
    merchant_id: String,
    created_at: String,
    sequence: u32,
}

/// The body and attributes of the notification for `event`, whose own `body` is not looked at. `metadata_json` is one
/// JSON object without personal data; anything else is left out, because no event may be lost for its metadata.
pub fn encode(
    event: &FeedEvent,
    sales_channel: &str,
    metadata_json: Option<&str>,
) -> (String, BTreeMap<String, String>) {
    let metadata = metadata_json
        .and_then(|text| serde_json::from_str::<&RawValue>(text.trim()).ok())
        .filter(|value| value.get().starts_with('{'));
    let body = OutgoingBody {
        id: event.id.to_string(),
        code: event.code.code(),
        full_code: event.code.full_code(),
        order_id: event.order.to_string(),
        merchant_id: event.merchant.to_string(),
        created_at: event.created_at.to_string(),
        sales_channel,
        metadata,
        sequence: event.sequence,
    };
    let body = serde_json::to_string(&body).expect("strings, a number and checked JSON always serialise");
    (body, attributes_of(event))
}

/// The body alone, as a feed holds it in [`FeedEvent::body`].
pub fn encode_body(event: &FeedEvent, sales_channel: &str, metadata_json: Option<&str>) -> Bytes {
    Bytes::from(encode(event, sales_channel, metadata_json).0)
}

fn attributes_of(event: &FeedEvent) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut set = |name: &str, value: String| attributes.insert(name.to_owned(), value);
    set(attribute::MERCHANT_ID, event.merchant.to_string());
    set(attribute::CODE, event.code.code().to_owned());
    set(attribute::GROUP, event.code.group().name().to_owned());
    set(attribute::CATEGORY, event.category.number().to_string());
    set(attribute::SEQUENCE, event.sequence.to_string());
    set(attribute::EXPIRES_AT, event.expires_at.to_string());
    set(attribute::FORMAT_VERSION, FORMAT_VERSION.to_owned());
    if event.trace.is_set() {
        #[expect(clippy::cast_possible_truncation, reason = "the low half of the id is the span's id")]
        let span = u128::from_be_bytes(*event.id.as_bytes()) as u64;
        set(attribute::TRACEPARENT, event.trace.to_traceparent(span));
    }
    attributes
}

/// The event in a notification. `body` becomes [`FeedEvent::body`] unchanged.
///
/// # Errors
/// When it is not one; see [`NotificationError`]. Whether the id was made under our key is for the caller to check.
pub fn decode(body: &str, attributes: &BTreeMap<String, String>) -> Result<FeedEvent, NotificationError> {
    if attributes.get(attribute::FORMAT_VERSION).map(String::as_str) != Some(FORMAT_VERSION) {
        return Err(NotificationError::UnknownVersion);
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(NotificationError::TooLarge);
    }
    let fields: IncomingBody = serde_json::from_str(body).map_err(|_| NotificationError::MalformedBody)?;
    let malformed = |field| move || NotificationError::MalformedField { field };
    let sent = |name: &'static str| attributes.get(name).ok_or_else(malformed(name));
    let category = sent(attribute::CATEGORY)?.parse().ok().and_then(EventCategory::from_number);
    let event = FeedEvent {
        id: fields.id.parse::<EventId>().map_err(|_| malformed("id")())?,
        order: fields.order_id.parse::<OrderId>().map_err(|_| malformed("orderId")())?,
        merchant: fields.merchant_id.parse::<MerchantId>().map_err(|_| malformed("merchantId")())?,
        code: EventCode::parse(&fields.code).ok_or_else(malformed("code"))?,
        category: category.ok_or_else(malformed(attribute::CATEGORY))?,
        sequence: Some(fields.sequence).filter(|sequence| *sequence > 0).ok_or_else(malformed("sequence"))?,
        created_at: fields.created_at.parse::<Timestamp>().map_err(|_| malformed("createdAt")())?,
        expires_at: sent(attribute::EXPIRES_AT)?.parse().map_err(|_| malformed(attribute::EXPIRES_AT)())?,
        trace: attributes
            .get(attribute::TRACEPARENT)
            .map_or_else(TraceId::default, |text| TraceId::from_traceparent(text)),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let fits = event.id.routing_hash() == RoutingHash::of(event.merchant) && event.id.created_at() == event.created_at;
    if fits { Ok(event) } else { Err(NotificationError::ForeignId) }
}

#[cfg(test)]
mod tests {
    use order_model::EventIdKey;

    use super::*;

    fn event() -> FeedEvent {
        let merchant = MerchantId::from_bytes([3; 16]);
        let order = OrderId::from_bytes([4; 16]);
        let created_at = Timestamp::from_unix_ms(1_795_000_000_123);
        FeedEvent {
            id: EventId::derive(&EventIdKey::from_bytes([7; 16]), created_at, merchant, order, 2),
            order,
            merchant,
            code: EventCode::Confirmed,
            category: EventCategory::Grocery,
            sequence: 2,
            created_at,
            expires_at: Timestamp::from_unix_ms(1_795_000_900_000),
            trace: TraceId([9; 16]),
            body: Bytes::new(),
        }
    }

    #[test]
    fn an_event_survives_the_topic_and_its_body_is_what_partners_see() {
        let (body, attributes) = encode(&event(), "IFOOD \"x\"", Some(r#"{"CLIENT_ID":"dev-pos"}"#));
        assert!(attributes.len() <= 10);
        let decoded = decode(&body, &attributes).unwrap();
        assert_eq!(decoded, FeedEvent { body: Bytes::from(body.clone()), ..event() });
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((value["fullCode"].as_str(), value["sequence"].as_u64()), (Some("CONFIRMED"), Some(2)));
        assert_eq!(value["metadata"]["CLIENT_ID"], "dev-pos");
        assert_eq!(value["salesChannel"], "IFOOD \"x\"");
        assert_eq!(value["createdAt"], event().created_at.to_string());
    }

    #[test]
    fn metadata_that_is_no_object_is_left_out_and_no_trace_is_no_attribute() {
        for metadata in [None, Some(""), Some("[1]"), Some("{\"a\":")] {
            let untraced = FeedEvent { trace: TraceId::default(), ..event() };
            let (body, attributes) = encode(&untraced, "IFOOD", metadata);
            assert!(!body.contains("metadata") && !attributes.contains_key(attribute::TRACEPARENT), "{body}");
            assert!(!decode(&body, &attributes).unwrap().trace.is_set());
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_quoted() {
        let (body, attributes) = encode(&event(), "IFOOD", None);
        let without = |name: &str| {
            let mut attributes = attributes.clone();
            attributes.remove(name);
            decode(&body, &attributes).unwrap_err()
        };
        assert_eq!(without(attribute::FORMAT_VERSION), NotificationError::UnknownVersion);
        assert_eq!(without(attribute::EXPIRES_AT), NotificationError::MalformedField { field: "expiresAt" });
        assert_eq!(decode("{}", &attributes).unwrap_err(), NotificationError::MalformedBody);
        let other = body.replace(&event().merchant.to_string(), &MerchantId::from_bytes([5; 16]).to_string());
        assert_eq!(decode(&other, &attributes).unwrap_err(), NotificationError::ForeignId);
        let unknown = body.replace("\"CFM\"", "\"XXX\"");
        assert_eq!(decode(&unknown, &attributes).unwrap_err().to_string(), "code is absent or malformed");
    }
}
