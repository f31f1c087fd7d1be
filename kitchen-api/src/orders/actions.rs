//! `POST /order/v1.0/orders/{id}/{action}`: a merchant acts on an order; 202 follows the commit.
//!
//! What has happened already is a conflict (PARTNER_API 1.4), unless it is repeated under the `Idempotency-Key` that it happened
//! under. A conflict says where the order stands and what would be legal there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use order_model::{MerchantId, OrderId};
use proto::conversions::to_bytes;
use proto::gateway_core::{ActReply, ActRequest, Action};

use super::details::{order_in_path, refusal, visible_order};
use super::note::Note;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_body};
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::idempotency;
use crate::oauth::Authorised;

/// The longest idempotency key that is passed on, in bytes; a longer one is refused, because ignoring it would break its promise.
const IDEMPOTENCY_KEY_MAX_BYTES: usize = idempotency::KEY_MAX_CHARS;

/// Answers one action.
pub(crate) async fn act(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    action: Action,
) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let (parts, body) = request.into_parts();
    idempotency_key(&parts.headers)?;
    let body = read_body(&parts.headers, body, BODY_MAX_BYTES).await?;
    let note = Note::read(&body);
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let act = ActRequest { action: action.into(), reason: note.reason, code: note.code, ..ActRequest::default() };
    perform(&api, &authorised, &parts.headers, (order, visible.merchant), act).await?;
    Ok(accepted())
}

/// Has the core do `act` to an order that the application may see; who asks and why is filled in here. A conflict is 409.
pub(crate) async fn perform(
    api: &Api,
    authorised: &Authorised,
    headers: &HeaderMap,
    (order, merchant): (OrderId, MerchantId),
    act: ActRequest,
) -> Result<ActReply, ApiError> {
    let act = ActRequest { idempotency_key: idempotency_key(headers)?, ..act };
    let reply = ask(api, authorised, headers, (order, merchant), act).await;
    let mut reply = reply.map_err(|error| refusal(&error))?;
    match reply.conflict.take() {
        Some(conflict) => Err(ApiError::conflict(&conflict.state, &conflict.legal, conflict.message)),
        None => Ok(reply),
    }
}

/// Has the core do `act` to an order that the application may see; who asks is filled in here.
pub(crate) async fn ask(
    api: &Api,
    authorised: &Authorised,
    headers: &HeaderMap,
    (order, merchant): (OrderId, MerchantId),
    act: ActRequest,
) -> Result<ActReply, CallError> {
    let request = ActRequest {
        order_id: to_bytes(order.as_bytes()),
        application_id: authorised.application().as_str().to_owned(),
        merchant_id: to_bytes(merchant.as_bytes()),
        trace_id: to_bytes(&api.trace_of(headers).0),
        ..act
    };
    api.core.act(request).await
}

/// 202 without a body.
pub(crate) fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(String::new()) };
    let key = value.to_str().ok().filter(|key| key.len() <= IDEMPOTENCY_KEY_MAX_BYTES);
    key.map(str::to_owned).ok_or_else(|| {
        let message = format!("idempotency-key is at most {IDEMPOTENCY_KEY_MAX_BYTES} visible ASCII characters.");
        ApiError::bad_request(message).at_field("idempotency-key")
    })
}
