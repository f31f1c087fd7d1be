//! `POST …/validatePickupCode` and `…/verifyDeliveryCode`: the code that a courier or a customer gave.
//!
//! gateway-core knows the right one and counts the wrong ones. A wrong courier's code is an answer, `{"success":false}`; a wrong
//! customer's code is 400 "Confirmation code is invalid", which is what the live API was seen to answer: clients that work
//! against it know that, while the documented 422 never reached them. Codes get into no log.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use proto::gateway_core::{ActRequest, Action, Objection};
use serde_json::Value;

use super::actions::perform;
use super::details::{json_response, order_in_path, refusal, visible_order};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// The longest code, in bytes.
const CODE_MAX_BYTES: usize = 64;

/// Answers `validatePickupCode`.
pub(crate) async fn validate_pickup_code(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let is_right = check(&api, &authorised, request, Action::ValidatePickupCode).await?.is_right;
    let body: &[u8] = if is_right { br#"{"success":true}"# } else { br#"{"success":false}"# };
    Ok(json_response(Bytes::from_static(body)))
}

/// Answers `verifyDeliveryCode`.
pub(crate) async fn verify_delivery_code(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let checked = check(&api, &authorised, request, Action::VerifyDeliveryCode).await?;
    checked.or_invalid().map(|_| json_response(Bytes::from_static(br#"{"success":true}"#)))
}

/// What became of a code.
pub(crate) struct Checked {
    is_right: bool,
    event_ids: Vec<Bytes>,
}

impl Checked {
    /// The events of the right code.
    ///
    /// # Errors
    /// 400 when it was wrong.
    pub(crate) fn or_invalid(self) -> Result<Vec<Bytes>, ApiError> {
        if self.is_right {
            Ok(self.event_ids)
        } else {
            Err(ApiError::bad_request("Confirmation code is invalid").at_field("code"))
        }
    }
}

/// Has the core check the code of the body.
pub(crate) async fn check(
    api: &Api,
    authorised: &Authorised,
    request: Request,
    action: Action,
) -> Result<Checked, ApiError> {
    let order = order_in_path(&request)?;
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let confirmation_code = code(&body)?;
    let visible = visible_order(api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let act = ActRequest { action: action.into(), confirmation_code, ..ActRequest::default() };
    let reply = perform(api, authorised, &parts.headers, (order, visible.merchant), act).await?;
    Ok(Checked { is_right: reply.objection() == Objection::NoObjection, event_ids: reply.event_ids })
}

/// The code, which some clients send as a number.
fn code(body: &[u8]) -> Result<String, ApiError> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = match &said["code"] {
        Value::String(code) => code.trim().to_owned(),
        Value::Number(code) => code.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    if (1..=CODE_MAX_BYTES).contains(&code.len()) {
        return Ok(code);
    }
    let message = format!("Send the code as {{\"code\":\"…\"}}, of at most {CODE_MAX_BYTES} characters.");
    Err(ApiError::bad_request(message).at_field("code"))
}
