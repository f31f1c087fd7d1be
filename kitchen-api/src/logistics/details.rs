//! `GET /logistics/v1.0/orders/{id}`: the order as its courier needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{json_response, order_in_path, refusal, visible_order};

/// Answers with the order; `payments` is left out when everything is paid: the courier takes no money.
pub(crate) async fn details(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let body = visible.reply.body;
    Ok(json_response(without_payments(&body).map_or(body, Bytes::from)))
}

/// The fields of an object, values unread: money is a decimal.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// `body` without `payments`, when nothing of them is pending; `None` when it stays as it is.
fn without_payments(body: &[u8]) -> Option<String> {
    let mut order: Fields<'_> = serde_json::from_slice(body).ok()?;
    let payments: Fields<'_> = serde_json::from_str(order.remove("payments")?.get()).ok()?;
    if !is_zero(payments.get("pending")?) {
        return None;
    }
    serde_json::to_string(&order).ok()
}

/// Whether a JSON number is 0, however many decimals say so.
fn is_zero(number: &RawValue) -> bool {
    let digits = number.get().split(['e', 'E']).next().unwrap_or_default();
    digits.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_left_out_when_nothing_is_pending() {
        let order =
            |pending: &str| format!(r#"{{"id":"1","payments":{{"prepaid":68.10,"pending":{pending}}},"z":1.50}}"#);
        for zero in ["0", "0.00", "-0.0", "0e5"] {
            let body = without_payments(order(zero).as_bytes());
            assert_eq!(body.as_deref(), Some(r#"{"id":"1","z":1.50}"#), "{zero}");
        }
        for pending in ["0.01", "68.10", "1e-9", "null", r#""0""#] {
            assert_eq!(without_payments(order(pending).as_bytes()), None, "{pending}");
        }
        assert_eq!(without_payments(br#"{"id":"1"}"#), None);
    }
}
