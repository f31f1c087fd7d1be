//! `GET /v1/merchant/{id}/status`: whether a store takes orders, and when it is open.
//!
//! The judgement is that of the iFood-style status. Holidays are absent: planned closings are instants, not dates.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::MerchantId;
use serde_json::{Value, json};

use super::hours::week_hours;
use super::merchant_names::resolve;
use super::order::stable_uuid;
use super::path;
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::merchants::store;
use crate::oauth::Authorised;
use crate::orders::json_response;

/// How a store may serve.
const SERVICE_TYPES: [&str; 3] = ["DELIVERY", "TAKEOUT", "INDOOR"];

/// Answers with the status of a merchant.
pub(crate) async fn merchant_status(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let named = path::parameter(&mut parts).await;
    let found = resolve(&api, authorised.scope(), &named).await.map_err(|error| refusal(&error))?;
    let id = found.ok_or_else(unknown)?;
    let (merchant, is_available) = store(&api, id).await?.ok_or_else(unknown)?;
    let hours = json!([{ "weekHours": week_hours(&merchant, api.clock.now()), "holidayHours": [] }]);
    let services: Vec<Value> = SERVICE_TYPES
        .iter()
        .map(|service| json!({ "id": service_id(id, service), "serviceType": service, "serviceHours": hours }))
        .collect();
    let status = if is_available { "AVAILABLE" } else { "UNAVAILABLE" };
    let body = json!({ "status": status, "services": services, "orderingAppMerchantId": id.to_string() });
    Ok(json_response(Bytes::from(body.to_string())))
}

/// Nothing is stored for a service, so its id is made of what it is.
fn service_id(merchant: MerchantId, service: &str) -> String {
    stable_uuid(&[merchant.as_bytes(), service.as_bytes()])
}

fn refusal(error: &CallError) -> ApiError {
    match error {
        CallError::NotFound | CallError::Invalid => unknown(),
        CallError::Unavailable => ApiError::unavailable(),
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("There is no such merchant.")
}
