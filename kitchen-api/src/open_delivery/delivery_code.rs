//! `POST /v1/orders/{orderId}/validateCode?deliveryCode`: the code that a customer gave at the door.
//!
//! gateway-core knows the right one and counts the wrong ones. The document has 400 for whatever is no yes, a foreign or
//! unknown order included, and the two are told apart by nothing. The code gets into no log and no error.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use proto::gateway_core::{ActRequest, Action, Objection};
use serde_json::json;

use super::actions::refused;
use super::path;
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::{Authorised, form_pairs};
use crate::orders::{ask, json_response, visible_order};

/// The longest code, in bytes.
const CODE_MAX_BYTES: usize = 64;

/// Answers the check of a code.
pub(crate) async fn validate_code(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let code = delivery_code(parts.uri.query().unwrap_or_default())?;
    let order = path::order(&mut parts).await.map_err(|_| no_such_order())?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let action = Action::VerifyDeliveryCode.into();
    let act = ActRequest { action, confirmation_code: code.clone(), ..ActRequest::default() };
    let reply = ask(&api, &authorised, &parts.headers, (order, visible.merchant), act).await;
    let reply = reply.map_err(|error| refusal(&error))?;
    if let Some(conflict) = &reply.conflict {
        let why = if conflict.message.is_empty() { refused(conflict) } else { conflict.message.clone() };
        return Err(ApiError::bad_request(why));
    }
    if reply.objection() != Objection::NoObjection {
        return Err(ApiError::bad_request("The delivery code is wrong."));
    }
    let body = json!({ "orderId": order.to_string(), "deliveryCode": code });
    Ok(json_response(Bytes::from(body.to_string())))
}

fn delivery_code(query: &str) -> Result<String, ApiError> {
    let sent = form_pairs(query).filter(|(name, _)| name == "deliveryCode").last();
    let code = sent.map(|(_, code)| code.trim().to_owned()).unwrap_or_default();
    if (1..=CODE_MAX_BYTES).contains(&code.len()) {
        return Ok(code);
    }
    let message = format!("Send the code as ?deliveryCode=…, of at most {CODE_MAX_BYTES} characters.");
    Err(ApiError::bad_request(message).at_field("deliveryCode"))
}

fn no_such_order() -> ApiError {
    ApiError::bad_request("There is no such order.")
}

fn refusal(error: &CallError) -> ApiError {
    match error {
        CallError::NotFound => no_such_order(),
        CallError::Invalid => ApiError::bad_request("The request is not valid for this order."),
        CallError::Unavailable => ApiError::unavailable(),
    }
}
