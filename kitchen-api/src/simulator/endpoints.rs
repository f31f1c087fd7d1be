//! `POST /comanda/v1/simulator/orders` and `…/orders/{id}/steps`: 202 follows the commit.
//!
//! The order's id and the id of what is submitted come from the request's effect key, so that a request that is carried out
//! again (see [`crate::idempotency`]) places no second order and takes no second step.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::Scope;
use http::{HeaderMap, StatusCode};
use order_model::lifecycle::DisputeId;
use order_model::{EventCode, MerchantId, OrderId};
use proto::conversions::to_bytes;
use proto::gateway_core::{Outcome, PlaceOrder, SubmitReply, SubmitRequest, UpdateOrder, place_order, submit_request};
use proto::merchant_connection::Merchant;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{order_text, request, slots, steps};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::idempotency::{self, derived};
use crate::merchants::{find_one, uuid_text};
use crate::oauth::Authorised;
use crate::orders::{json_response, refusal, unknown, visible_order};
use crate::rate_limits::caller;
use crate::routes::path_segment;

/// Who places simulated orders, as the core records it.
const SOURCE: &str = "comanda-simulator";
/// Where the order's id stands in `/comanda/v1/simulator/orders/{id}/steps`.
const ID_SEGMENT: usize = 4;

/// Places an order.
pub(crate) async fn place(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let wanted = request::read(&body)?;
    let merchant = test_merchant(&api, authorised.scope(), wanted.merchant).await?;
    let effect = idempotency::effect(&parts.headers, &api.entropy);
    let order: OrderId = uuid_text(derived(b"order", &effect)).parse().map_err(|_| ApiError::unavailable())?;
    slots::take(&api, &caller(&authorised), order).await?;
    let written = order_text::write(order, &wanted, &merchant.name, api.clock.now());
    let place = PlaceOrder {
        order_id: to_bytes(order.as_bytes()),
        merchant: Some(place_order::Merchant::MerchantId(to_bytes(wanted.merchant.as_bytes()))),
        facts: Some(written.facts),
        body: Bytes::from(written.body),
    };
    let content = submit_request::Content::Place(place);
    let reply = submit(&api, &parts.headers, &effect, &body, content).await?;
    match reply.outcome() {
        Outcome::Committed | Outcome::Repeated => {
            Ok(taken(&json!({ "orderId": order.to_string(), "merchantId": wanted.merchant.to_string() })))
        }
        // An order of our own making is refused where the core does not know the merchant yet; its slot becomes free by itself.
        Outcome::Rejected | Outcome::Unspecified => Err(ApiError::unavailable()),
    }
}

/// Lets something happen to an order.
pub(crate) async fn step(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order: OrderId = path_segment(request.uri().path(), ID_SEGMENT).parse().map_err(|_| unknown())?;
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let wanted = steps::read(&body)?;
    test_merchant(&api, authorised.scope(), visible.merchant).await?;
    if !is_test_order(&visible.reply.body) {
        return Err(not_simulated("NotATestOrder", "The order is not marked isTest."));
    }
    let effect = idempotency::effect(&parts.headers, &api.entropy);
    let dispute: DisputeId = uuid_text(derived(b"dispute", &effect)).parse().map_err(|_| ApiError::unavailable())?;
    let update = UpdateOrder {
        order_id: to_bytes(order.as_bytes()),
        code: u32::from(wanted.code.number()),
        metadata: Bytes::from(steps::metadata(wanted, &dispute, api.clock.now())),
    };
    let content = submit_request::Content::Update(update);
    let reply = submit(&api, &parts.headers, &effect, &body, content).await?;
    match reply.outcome() {
        Outcome::Committed | Outcome::Repeated => {}
        Outcome::Rejected => return Err(illegal(&visible.reply.state)),
        Outcome::Unspecified => return Err(ApiError::unavailable()),
    }
    let mut answer =
        json!({ "orderId": order.to_string(), "step": wanted.code.full_code(), "code": wanted.code.code() });
    if wanted.code == EventCode::HandshakeDispute {
        answer["disputeId"] = json!(dispute.as_str());
    }
    Ok(taken(&answer))
}

/// A merchant that the application may see and that is marked as a test merchant. A foreign one, an unknown one and one that
/// was granted and does not exist answer identically.
async fn test_merchant(api: &Api, scope: &Scope, id: MerchantId) -> Result<Merchant, ApiError> {
    let forbidden = || ApiError::forbidden_merchants(vec![id]);
    if !scope.contains(id) {
        return Err(forbidden());
    }
    let merchant = find_one(api, id).await?.ok_or_else(forbidden)?;
    if merchant.is_test {
        return Ok(merchant);
    }
    Err(not_simulated(
        "NotATestMerchant",
        "The merchant is not marked as a test merchant: nothing is simulated for it.",
    ))
}

fn not_simulated(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, message)
        .with_hint("Ask the platform's operator for a test merchant (`comanda merchant add … --test`).")
}

fn illegal(state: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "StepNotPossible", format!("Not possible for an order that is {state}."))
        .at_field("step")
        .with_hint("docs/LIFECYCLE.md says which step is possible when.")
}

fn is_test_order(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|order| order["isTest"] == true)
}

/// The digest is the request's and not that of what is written for it, whose times differ each time.
async fn submit(
    api: &Api,
    headers: &HeaderMap,
    effect: &[u8; 16],
    body: &[u8],
    content: submit_request::Content,
) -> Result<SubmitReply, ApiError> {
    let request = SubmitRequest {
        source: SOURCE.to_owned(),
        message_id: hex::encode(effect),
        body_digest: Bytes::copy_from_slice(&Sha256::digest(body)),
        occurred_at_ms: api.clock.now().unix_ms(),
        trace_id: to_bytes(&api.trace_of(headers).0),
        content: Some(content),
    };
    api.core.submit(request).await.map_err(|error| refusal(&error))
}

fn taken(body: &Value) -> Response {
    let mut response = json_response(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
