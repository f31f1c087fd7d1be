//! `POST /order/v1.0/disputes/{disputeId}/accept|reject|alternatives/{alternativeId}`: a merchant answers a dispute; 201
//! follows the commit.
//!
//! The dispute's id alone leads to its order, and the order to the merchant that the application must see. Whether the
//! dispute is open, and what it lets a merchant answer, is gateway-core's decision.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::Scope;
use http::StatusCode;
use order_model::OrderId;
use order_model::lifecycle::DisputeId;
use proto::gateway_core::{ActRequest, Action, DisputeAnswer, GetOrderRequest, Objection};
use serde_json::Value;

use super::actions::perform;
use super::details::{json_response, refusal, visible};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_body};
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::json_depth::read_if_shallow;
use crate::oauth::Authorised;
use crate::routes::path_segment;

/// Where the dispute's id stands in `/order/v1.0/disputes/{disputeId}…`.
const DISPUTE_SEGMENT: usize = 3;
/// Where the alternative's id stands in `…/alternatives/{alternativeId}`.
const ALTERNATIVE_SEGMENT: usize = 5;
/// The longest text that is passed on, in characters. What is longer is cut, and then nothing that was offered.
const TEXT_MAX_CHARS: usize = 257;

/// Answers one answer.
pub(crate) async fn answer_dispute(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    action: Action,
) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let dispute: DisputeId = path_segment(path, DISPUTE_SEGMENT).parse().map_err(|_| unknown())?;
    let alternative = path_segment(path, ALTERNATIVE_SEGMENT).to_owned();
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, BODY_MAX_BYTES).await?;
    let disputed = disputed_order(&api, authorised.scope(), &dispute).await?;
    let answer = DisputeAnswer { dispute_id: dispute.to_string(), alternative_id: alternative, ..read(&body) };
    let act = ActRequest { action: action.into(), dispute: Some(answer), ..ActRequest::default() };
    let reply = perform(&api, &authorised, &parts.headers, disputed, act).await?;
    match reply.objection() {
        Objection::NoObjection => {
            let mut response = json_response(Bytes::from_static(br#"{"status":"ACCEPTED"}"#));
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
        objection => Err(refused(objection)),
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("There is no such dispute.")
}

/// The order that has this dispute, when its merchant is in `scope`.
async fn disputed_order(
    api: &Api,
    scope: &Scope,
    dispute: &DisputeId,
) -> Result<(OrderId, order_model::MerchantId), ApiError> {
    let request = GetOrderRequest { dispute_id: dispute.to_string(), ..GetOrderRequest::default() };
    let found = visible(api, scope, request).await.map_err(|error| match error {
        CallError::NotFound | CallError::Invalid => unknown(),
        error @ CallError::Unavailable => refusal(&error),
    })?;
    let order = proto::conversions::order_id(&found.reply.order_id).map_err(|_| ApiError::unavailable())?;
    Ok((order, found.merchant))
}

/// What is wrong with the answer, at the field that says it.
fn refused(objection: Objection) -> ApiError {
    let (message, field) = match objection {
        // Neither is ever said of an answer.
        Objection::NoObjection | Objection::WrongCode => return ApiError::unavailable(),
        Objection::AlternativeUnknown => return ApiError::not_found("The dispute offers no such alternative."),
        Objection::ReasonNotOffered => ("The reason must be one of those that the dispute lists.", "reason"),
        Objection::AlternativeTypeDiffers => ("The type must be that of the alternative.", "type"),
        Objection::AmountNotOffered => (
            "The amount must be cents as decimal digits, at most the alternative's maximum, in its currency.",
            "metadata.amount",
        ),
        Objection::TimeNotOffered => {
            ("The minutes must be among those that the alternative lists.", "metadata.additionalTimeInMinutes")
        }
        Objection::TimeReasonNotOffered => {
            ("The reason must be one of those that the alternative lists.", "metadata.reason")
        }
    };
    ApiError::bad_request(message).at_field(field)
}

/// Reads what was sent: no body, `{}` and what is no JSON all say nothing, as with the other actions (PARTNER_API, section 8).
fn read(body: &[u8]) -> DisputeAnswer {
    let said: Value = read_if_shallow(body).unwrap_or_default();
    let terms = &said["metadata"];
    let minutes = text(&terms["additionalTimeInMinutes"]).parse().unwrap_or_default();
    // Both names are sent; the published one of a client's answer is `reason`, of the dispute's own lists the other.
    let reason = text(&terms["additionalTimeReason"]);
    DisputeAnswer {
        reason: text(&said["reason"]),
        alternative_type: text(&said["type"]),
        amount_value: text(&terms["amount"]["value"]),
        amount_currency: text(&terms["amount"]["currency"]),
        additional_minutes: minutes,
        additional_reason: if reason.is_empty() { text(&terms["reason"]) } else { reason },
        ..DisputeAnswer::default()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().chars().take(TEXT_MAX_CHARS).collect(),
        // Written as it came: a decimal is no number of cents, and stays recognisable as none.
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_anything_else_is_tolerated() {
        for nothing in ["", "{}", "[]", "null", "not json", r#"{"reason":{"a":1},"metadata":7}"#] {
            assert_eq!(read(nothing.as_bytes()), DisputeAnswer::default(), "{nothing}");
        }
        let refund = read(br#"{"type":"REFUND","metadata":{"amount":{"value":"800","currency":"BRL"}}}"#);
        assert_eq!((refund.alternative_type.as_str(), refund.amount_value.as_str()), ("REFUND", "800"));
        assert_eq!(read(br#"{"metadata":{"amount":{"value":8.5}}}"#).amount_value, "8.5");
        for key in ["additionalTimeReason", "reason"] {
            let time = read(format!(r#"{{"metadata":{{"additionalTimeInMinutes":10,"{key}":"R"}}}}"#).as_bytes());
            assert_eq!((time.additional_minutes, time.additional_reason.as_str()), (10, "R"));
        }
        assert_eq!(read(format!(r#"{{"reason":"{}"}}"#, "é".repeat(999)).as_bytes()).reason.chars().count(), 257);
    }
}
