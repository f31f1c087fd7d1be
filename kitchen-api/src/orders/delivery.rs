//! `GET …/tracking` and `…/virtual-bag`: where the courier is, and what is to be picked.
//!
//! Both are made of what gateway-core shows of an order. Values stay the text they were: money and quantities are decimals.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use proto::gateway_core::CourierPosition;
use serde_json::value::RawValue;

use super::details::{json_response, order_in_path, refusal, visible_order};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// What of a grocery order is its virtual bag: what a picker needs, and nothing of the customer.
const BAG: [&str; 16] = [
    "id",
    "displayId",
    "orderType",
    "orderTiming",
    "salesChannel",
    "category",
    "createdAt",
    "preparationStartDateTime",
    "isTest",
    "merchant",
    "picking",
    "items",
    "benefits",
    "additionalFees",
    "total",
    "schedule",
];

/// Answers with the courier's last position; 404 before there is one and after the order is over.
pub(crate) async fn tracking(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let position = visible.reply.position.ok_or_else(|| ApiError::not_found("No courier is being tracked."))?;
    Ok(json_response(tracking_body(&order.to_string(), position).into()))
}

fn tracking_body(order: &str, position: CourierPosition) -> String {
    let fields = [
        ("date", position.date),
        ("deliveryTime", position.delivery_time),
        ("eta", position.eta),
        ("etaToDestination", position.eta_to_destination),
        ("etaToOrigin", position.eta_to_origin),
        ("latitude", position.latitude),
        ("longitude", position.longitude),
        ("trackDate", position.track_date),
    ];
    let mut body = format!("{{\"orderId\":\"{order}\"");
    for (name, json) in fields.iter().filter(|(_, json)| !json.is_empty()) {
        body.push_str(&format!(",\"{name}\":{json}"));
    }
    body.push('}');
    body
}

/// Answers with the picking view of a grocery order; any other order has none.
pub(crate) async fn virtual_bag(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let bag = bag(&visible.reply.body).ok_or_else(|| ApiError::not_found("Only grocery orders have a virtual bag."))?;
    Ok(json_response(Bytes::from(bag)))
}

fn bag(body: &[u8]) -> Option<String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let category: String = serde_json::from_str(fields.get("category")?.get()).ok()?;
    if !category.trim().eq_ignore_ascii_case("GROCERY") {
        return None;
    }
    let of_bag = BAG.into_iter().filter_map(|name| Some(format!("\"{name}\":{}", fields.get(name)?.get())));
    Some(format!("{{{}}}", of_bag.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_is_what_a_picker_needs_with_every_decimal_as_it_was() {
        let body = br#"{"id":"1","category":"grocery","customer":{"name":"Ana"},"items":[{"quantity":1.50}],"total":{"orderAmount":68.10}}"#;
        let expected = r#"{"id":"1","category":"grocery","items":[{"quantity":1.50}],"total":{"orderAmount":68.10}}"#;
        assert_eq!(bag(body).as_deref(), Some(expected));
        for other in [r#"{"category":"FOOD","items":[]}"#, "{}", "[]", r#"{"category":7}"#] {
            assert_eq!(bag(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn tracking_says_what_is_known() {
        let position = CourierPosition {
            latitude: "-23.550".to_owned(),
            longitude: "-46.63".to_owned(),
            eta: "12".to_owned(),
            track_date: "\"2026-11-20T12:45:00Z\"".to_owned(),
            ..CourierPosition::default()
        };
        let expected =
            r#"{"orderId":"o","eta":12,"latitude":-23.550,"longitude":-46.63,"trackDate":"2026-11-20T12:45:00Z"}"#;
        assert_eq!(tracking_body("o", position), expected);
    }
}
