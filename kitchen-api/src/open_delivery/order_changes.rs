//! `PATCH /v1/orders/{orderId}/details`: when the kitchen begins.
//!
//! The only detail that the document lets a POS change. It becomes a patch of the order, which both dialects serve from then on
//! and every application of the merchant is told of (`OPA`). The document knows no 422 here: what is too late is 400.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use order_model::Timestamp;
use proto::gateway_core::{ActRequest, Action};
use serde_json::Value;

use super::actions::{empty, refused};
use super::path;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{ask, idempotency_key, refusal, visible_order};

/// Answers a change: 200 without a body.
pub(crate) async fn change_details(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let order = path::order(&mut parts).await?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let Some(start) = preparation_start(&body)? else { return Ok(empty(StatusCode::OK)) };
    let act = ActRequest {
        action: Action::ChangePreparationStart.into(),
        preparation_start_ms: start.unix_ms(),
        idempotency_key,
        ..ActRequest::default()
    };
    let reply = ask(&api, &authorised, &parts.headers, (order, visible.merchant), act).await;
    match reply.map_err(|error| refusal(&error))?.conflict {
        Some(conflict) => Err(ApiError::bad_request(refused(&conflict))),
        None => Ok(empty(StatusCode::OK)),
    }
}

/// The new instant; `None` when nothing is to change.
fn preparation_start(body: &[u8]) -> Result<Option<Timestamp>, ApiError> {
    let Ok(Value::Object(said)) = serde_json::from_slice::<Value>(body) else {
        return Err(ApiError::bad_request("Send what is to change as a JSON object."));
    };
    let start = match said.get("preparationStartDateTime") {
        None | Some(Value::Null) => return Ok(None),
        Some(sent) => sent.as_str().and_then(|text| text.parse::<Timestamp>().ok()),
    };
    // Before 1970 is no time to begin.
    start.filter(|start| start.unix_ms() > 0).map(Some).ok_or_else(|| {
        let message = "preparationStartDateTime must be an instant, e.g. 2026-11-20T12:00:00Z.";
        ApiError::bad_request(message).at_field("preparationStartDateTime")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_and_nothing_is_no_change() {
        let at = |body: &str| preparation_start(body.as_bytes()).ok().map(|start| start.map(|start| start.to_string()));
        let noon = Some(Some("2026-11-20T12:00:00.000Z".to_owned()));
        assert_eq!(at(r#"{"preparationStartDateTime":"2026-11-20T09:00:00-03:00","x":1}"#), noon);
        assert_eq!((at("{}"), at(r#"{"preparationStartDateTime":null}"#)), (Some(None), Some(None)));
        for wrong in ["", "[]", r#"{"preparationStartDateTime":7}"#, r#"{"preparationStartDateTime":"noon"}"#] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(at(r#"{"preparationStartDateTime":"1969-12-31T23:59:59Z"}"#), None);
    }
}
