//! `POST /v1/orders/{orderId}/tracking`: how far the merchant's own courier is.
//!
//! What is new in it becomes an event for the merchant's other applications and for the marketplace, in the iFood-style words
//! (`GTO`, `AAO`, `AAD`, `DDD`), with who delivers and in what. Fetched, on the way and delivered are `dispatch`'s and `delivered`'s
//! to say, so that a report moves no order. `eta`, `problem`, `externalTrackingURL`, the courier's id and picture and the plate have no place to be kept.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use proto::gateway_core::{ActRequest, Action, CourierReport, Worker};
use serde_json::Value;

use super::actions::{empty, unprocessable};
use super::path;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{ask, idempotency_key, refusal, visible_order};

/// What the document calls the courier's whereabouts.
pub(crate) const EVENTS: [(&str, CourierReport); 7] = [
    ("PICKUP_ONGOING", CourierReport::PickupOngoing),
    ("ARRIVED_AT_MERCHANT", CourierReport::ArrivedAtMerchant),
    ("ORDER_PICKED", CourierReport::OrderPicked),
    ("DELIVERY_ONGOING", CourierReport::DeliveryOngoing),
    ("ARRIVED_AT_CUSTOMER", CourierReport::ArrivedAtCustomer),
    ("ORDER_DELIVERED", CourierReport::OrderDelivered),
    ("CANCELLED", CourierReport::Cancelled),
];
/// The longest name or vehicle that is passed on, in characters; a longer one is cut.
const TEXT_MAX_CHARS: usize = 120;

/// Answers a report: 202.
pub(crate) async fn track(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let order = path::order(&mut parts).await?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let (report, worker) = report(&body)?;
    let act = ActRequest {
        action: Action::Track.into(),
        courier_report: report.into(),
        worker,
        idempotency_key,
        ..ActRequest::default()
    };
    let reply = ask(&api, &authorised, &parts.headers, (order, visible.merchant), act).await;
    match reply.map_err(|error| refusal(&error))?.conflict {
        Some(conflict) => Err(unprocessable(&conflict)),
        None => Ok(empty(StatusCode::ACCEPTED)),
    }
}

/// Where the courier is, and who. A report without an event says nothing of where, as one on the way does.
fn report(body: &[u8]) -> Result<(CourierReport, Option<Worker>), ApiError> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let info = &body["deliveryTrackingInfo"];
    if !info.is_object() {
        return Err(ApiError::bad_request("deliveryTrackingInfo must be an object.").at_field("deliveryTrackingInfo"));
    }
    let report = match &info["event"] {
        Value::Null => CourierReport::DeliveryOngoing,
        event => event_of(&event["type"])?,
    };
    let person = cut(info["deliveryPerson"]["name"].as_str().unwrap_or_default());
    let kinds = info["vehicle"]["type"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
    let vehicle_type = cut(&kinds.join(","));
    let is_said = !person.is_empty() || !vehicle_type.is_empty();
    Ok((report, is_said.then_some(Worker { name: person, phone: String::new(), vehicle_type })))
}

fn event_of(kind: &Value) -> Result<CourierReport, ApiError> {
    let known = kind.as_str().and_then(|kind| EVENTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind.trim())));
    known.map(|(_, report)| *report).ok_or_else(|| {
        let names: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        let message = format!("deliveryTrackingInfo.event.type must be one of {}.", names.join(", "));
        ApiError::bad_request(message).at_field("deliveryTrackingInfo.event.type")
    })
}

fn cut(text: &str) -> String {
    text.trim().chars().take(TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_where_and_who() {
        let body = br#"{"deliveryTrackingInfo":{"event":{"type":"arrived_at_customer","datetime":"x"},
            "deliveryPerson":{"id":"7","name":" Rui "},"vehicle":{"type":["CAR","VUC",7]},"eta":{"deliveryEtaInMinutes":3}}}"#;
        let (where_to, worker) = report(body).unwrap();
        let expected = Worker { name: "Rui".to_owned(), phone: String::new(), vehicle_type: "CAR,VUC".to_owned() };
        assert_eq!((where_to, worker), (CourierReport::ArrivedAtCustomer, Some(expected)));
        let nothing = report(br#"{"deliveryTrackingInfo":{"deliveryPerson":{"name":7},"vehicle":{"type":"CAR"}}}"#);
        assert_eq!(nothing.unwrap(), (CourierReport::DeliveryOngoing, None));
        for (wrong, field) in [
            ("", "deliveryTrackingInfo"),
            (r#"{"deliveryTrackingInfo":[]}"#, "deliveryTrackingInfo"),
            (r#"{"deliveryTrackingInfo":{"event":{}}}"#, "deliveryTrackingInfo.event.type"),
            (r#"{"deliveryTrackingInfo":{"event":{"type":"LOST"}}}"#, "deliveryTrackingInfo.event.type"),
        ] {
            let refused = report(wrong.as_bytes()).unwrap_err();
            assert!(refused.status() == 400 && refused.to_string().contains(field), "{wrong}: {refused}");
        }
    }
}
