//! What is sent: the body and headers of a request, in each dialect.
//!
//! Pure. A body holds what polls show and nothing else; it is never logged.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use order_model::{MerchantId, Timestamp};
use serde_json::json;

use super::delivery::Delivery;
use super::dialect::Dialect;
use super::new_event::NewEvent;
use super::signing::{body_signature, standard_signature};
use super::subscription::Subscription;
use crate::json_depth::read_if_shallow;

/// Merchants named in one keep-alive (PARTNER_API, 2.7).
pub const KEEPALIVE_MERCHANTS_MAX: usize = 1_000;
/// Who we are to a receiver.
pub(super) const USER_AGENT: &str = concat!("comanda-webhooks/", env!("CARGO_PKG_VERSION"));

/// A request, without its URL.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A delivery as it is sent at `now`.
pub fn of_event(delivery: &Delivery, webhook: &Subscription, now: Timestamp) -> Message {
    let body = match webhook.dialect {
        Dialect::IFood | Dialect::OpenDelivery => delivery.body.clone(),
        Dialect::Standard => in_envelope(delivery),
    };
    signed(&delivery.event.to_string(), body, webhook, now)
}

/// A delivery as Open Delivery has it.
pub fn of_new_event(event: NewEvent, delivery: &Delivery, webhook: &Subscription, now: Timestamp) -> Message {
    let mut message = signed(&delivery.event.to_string(), Bytes::from(event.body), webhook, now);
    if let Ok(app_id) = HeaderValue::from_str(&event.app_id) {
        message.headers.insert(HeaderName::from_static("x-app-id"), app_id);
    }
    // Its POS chose the id: what no header can carry is told by our own.
    let merchant = HeaderValue::from_bytes(event.merchant_id.as_bytes());
    if let Ok(merchant) = merchant.or_else(|_| HeaderValue::from_str(&delivery.merchant.to_string())) {
        message.headers.insert(HeaderName::from_static("x-app-merchantid"), merchant);
    }
    message
}

/// The envelope that Standard Webhooks recommend. The event inside stays the text it is.
fn in_envelope(delivery: &Delivery) -> Bytes {
    let kind = delivery.code.full_code().to_ascii_lowercase();
    let created_at = delivery.event.created_at();
    let mut envelope = format!(r#"{{"type":"order.{kind}","timestamp":"{created_at}","data":"#).into_bytes();
    envelope.extend_from_slice(&delivery.body);
    envelope.push(b'}');
    Bytes::from(envelope)
}

/// A keep-alive of this id, which asks about `merchants` where the answer is to list those that are online.
pub fn keepalive(id: &str, merchants: Option<&[MerchantId]>, webhook: &Subscription, now: Timestamp) -> Message {
    let mut event = json!({ "code": "KEEPALIVE", "fullCode": "KEEPALIVE", "id": id });
    if let Some(merchants) = merchants {
        let ids: Vec<String> = merchants.iter().map(ToString::to_string).collect();
        event["merchantIds"] = json!(ids);
    }
    let body = match webhook.dialect {
        // Open Delivery has none; a webhook that asks for them in it is refused.
        Dialect::IFood | Dialect::OpenDelivery => event.to_string(),
        Dialect::Standard => json!({ "type": "keepalive", "timestamp": now.to_string(), "data": event }).to_string(),
    };
    signed(id, Bytes::from(body), webhook, now)
}

fn signed(id: &str, body: Bytes, webhook: &Subscription, now: Timestamp) -> Message {
    let secrets = webhook.signing_secrets(now);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let mut set = |name: &'static str, value: &str| {
        // Ids, digits and base64 are header values; anything else would be a bug, and is left out rather than a panic.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    match webhook.dialect {
        // They have room for one signature: the newest secret signs.
        Dialect::IFood | Dialect::OpenDelivery => {
            let signature = secrets.first().map(|secret| body_signature(secret, &body)).unwrap_or_default();
            let is_ifood = webhook.dialect == Dialect::IFood;
            set(if is_ifood { "x-ifood-signature" } else { "x-app-signature" }, &signature);
        }
        Dialect::Standard => {
            let mut seconds = String::new();
            let _ = write!(seconds, "{}", now.unix_ms() / 1000);
            set("webhook-id", id);
            set("webhook-timestamp", &seconds);
            set("webhook-signature", &standard_signature(&secrets, id, now, &body));
        }
    }
    Message { headers, body }
}

/// The merchants that an answer to a keep-alive says are online; none when it cannot be read. Ids that were not asked about are for the
/// caller to drop.
pub fn online_merchants(body: &[u8]) -> Vec<MerchantId> {
    #[derive(serde::Deserialize)]
    struct Answer {
        #[serde(rename = "merchantIds")]
        merchant_ids: Vec<String>,
    }
    let answer: Option<Answer> = read_if_shallow(body);
    let ids = answer.map(|answer| answer.merchant_ids).unwrap_or_default();
    ids.iter().take(KEEPALIVE_MERCHANTS_MAX).filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::super::delivery::tests::delivery;
    use super::super::subscription::tests::subscription;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_795_000_000_500);

    #[test]
    fn ifoods_dialect_is_the_event_of_polls_signed_as_it_is() {
        let (delivery, webhook) = (delivery(1), subscription(Dialect::IFood));
        let message = of_event(&delivery, &webhook, NOW);
        assert_eq!(message.body, delivery.body);
        let expected = body_signature("dummysecret", &delivery.body);
        assert_eq!(message.headers["x-ifood-signature"], expected.as_str());
        assert_eq!(message.headers["content-type"], "application/json");
    }

    #[test]
    fn open_delivery_names_us_and_the_merchant_and_signs_the_body() {
        let (delivery, webhook) = (delivery(1), subscription(Dialect::OpenDelivery));
        let event = |merchant: &str| NewEvent {
            app_id: "0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901".to_owned(),
            merchant_id: merchant.to_owned(),
            body: r#"{"eventType":"CREATED"}"#.to_owned(),
        };
        let message = of_new_event(event("Café 22815773000169"), &delivery, &webhook, NOW);
        assert_eq!(message.headers["x-app-id"], "0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901");
        assert_eq!(message.headers["x-app-merchantid"].as_bytes(), "Café 22815773000169".as_bytes());
        let expected = body_signature("dummysecret", br#"{"eventType":"CREATED"}"#);
        assert_eq!(message.headers["x-app-signature"], expected.as_str());
        assert!(!message.headers.contains_key("x-ifood-signature"));
        let message = of_new_event(event("a\nb"), &delivery, &webhook, NOW);
        assert_eq!(message.headers["x-app-merchantid"], delivery.merchant.to_string().as_str());
    }

    #[test]
    fn standard_webhooks_carry_id_timestamp_and_signature() {
        let (delivery, webhook) = (delivery(1), subscription(Dialect::Standard));
        let message = of_event(&delivery, &webhook, NOW);
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!((body["type"].as_str(), body["data"]["code"].as_str()), (Some("order.placed"), Some("PLC")));
        assert_eq!(body["timestamp"], delivery.event.created_at().to_string());
        let id = delivery.event.to_string();
        assert_eq!(message.headers["webhook-id"], id.as_str());
        assert_eq!(message.headers["webhook-timestamp"], "1795000000");
        let expected = standard_signature(&[webhook.secret.expose_secret()], &id, NOW, &message.body);
        assert_eq!(message.headers["webhook-signature"], expected.as_str());
        let again = of_event(&delivery, &webhook, Timestamp::from_unix_ms(1_795_000_031_000));
        assert_eq!(again.headers["webhook-id"], id.as_str(), "a repetition has the same id");
    }

    #[test]
    fn a_keepalive_asks_about_merchants_where_it_is_to() {
        let webhook = subscription(Dialect::IFood);
        let all: Value = serde_json::from_slice(&keepalive("i", None, &webhook, NOW).body).unwrap();
        assert_eq!((all["code"].as_str(), all["id"].as_str()), (Some("KEEPALIVE"), Some("i")));
        assert_eq!((all["fullCode"].as_str(), all.get("merchantIds")), (Some("KEEPALIVE"), None));
        let merchant = MerchantId::from_bytes([1; 16]);
        let some = keepalive("i", Some(&[merchant]), &webhook, NOW);
        let signature = body_signature("dummysecret", &some.body);
        assert_eq!(some.headers["x-ifood-signature"], signature.as_str());
        let some: Value = serde_json::from_slice(&some.body).unwrap();
        assert_eq!(some["merchantIds"], json!([merchant.to_string()]));
    }

    #[test]
    fn an_answer_to_a_keepalive_is_hostile_until_it_is_read() {
        let merchant = MerchantId::from_bytes([1; 16]);
        let answer = format!(r#"{{"merchantIds":["{merchant}","x"],"more":1}}"#);
        assert_eq!(online_merchants(answer.as_bytes()), [merchant]);
        for nothing in ["", "[]", "{}", r#"{"merchantIds":7}"#, r#"{"merchantIds":[1]}"#] {
            assert_eq!(online_merchants(nothing.as_bytes()), [], "{nothing}");
        }
    }
}
