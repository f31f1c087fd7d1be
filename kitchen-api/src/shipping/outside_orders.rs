//! `POST /shipping/v1.0/merchants/{id}/orders`: an order made outside (by telephone, on the restaurant's own site) is placed, taken
//! and a courier asked for.
//!
//! Three steps of the core, each of which it commits by itself: the order (`PLC`), its confirmation in the name of the application
//! that made it (`CFM`: it is the restaurant's own order, and without it nobody may ask for a courier) and the request (`RDR`).
//! Everything they are known by, the order's id too, is made of the quote's id. So a quote is good for one order, and whoever sends
//! the same request again, with an Idempotency-Key or without, finishes what was begun and places no second order. Where a later
//! step could not be taken the answer says that the order stands.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use order_model::{MerchantId, OrderId};
use proto::conversions::to_bytes;
use proto::gateway_core::{
    ActRequest, Action, Conflict, GetOrderRequest, Outcome, PlaceOrder, SubmitReply, SubmitRequest, place_order,
    submit_request,
};
use proto::merchant_connection::Merchant;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::order_request::{self, Wanted};
use super::order_text::{self, Frame};
use super::quotes::{offer, unavailable};
use crate::api::Api;
use crate::body::read_json;
use crate::calls::CallError;
use crate::catalog::refused;
use crate::errors::{ApiError, RETRY_AFTER_S};
use crate::idempotency::derived;
use crate::merchants::{coordinates_of, fetch_one, merchant_in_path, uuid_text};
use crate::oauth::Authorised;
use crate::orders::{ask, json_response, refusal};
use crate::store::kept::Quote;

/// Who places orders made outside, as the core records it.
const SOURCE: &str = "comanda-shipping";
/// The largest body.
const BODY_MAX_BYTES: usize = 128 * 1024;
/// The largest order as it is placed: the core takes no larger one.
const ORDER_MAX_BYTES: usize = 192 * 1024;
/// How much farther than the quoted place the address may be, in metres: one is a point on a map, the other a door.
const DISTANCE_SLACK_M: u32 = 100;

/// Places the order.
pub(crate) async fn place_outside_order(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let wanted = order_request::read(&body).map_err(refused)?;
    let profile = fetch_one(&api, merchant).await?;
    let quote = own_quote(&api, &authorised, merchant, &wanted.quote).await?;
    let order = order_of(&quote)?;
    // An order that stands already was admitted when it was placed: its courier is asked for even if the store has closed since.
    if !stands(&api, order).await? {
        admit(&api, merchant, &profile, &quote, &wanted).await?;
    }
    place(&api, &parts.headers, (order, merchant), &profile, (&quote, &wanted), &body).await?;
    ask_for_courier(&api, &authorised, &parts.headers, (order, merchant), &quote).await?;
    let mut response = json_response(Bytes::from(json!({ "id": order.to_string() }).to_string()));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The quote that was made for this application and merchant; another's and an unknown one answer alike.
async fn own_quote(api: &Api, authorised: &Authorised, merchant: MerchantId, id: &str) -> Result<Quote, ApiError> {
    let found = api.requests.quote(id).await.map_err(|error| unavailable(&error))?;
    let is_own = |quote: &Quote| quote.merchant == merchant && quote.application == *authorised.application();
    found.filter(is_own).ok_or_else(|| wrong_quote("There is no such quote for this merchant."))
}

fn wrong_quote(message: &'static str) -> ApiError {
    ApiError::bad_request(message)
        .at_field("delivery.quoteId")
        .with_hint("Ask for a quote (deliveryAvailabilities) and name its id; it is good for one order.")
}

/// The order that is placed under a quote.
fn order_of(quote: &Quote) -> Result<OrderId, ApiError> {
    uuid_text(derived(b"outside order", quote.id.as_bytes())).parse().map_err(|_| ApiError::unavailable())
}

/// Whether the core has the order.
async fn stands(api: &Api, order: OrderId) -> Result<bool, ApiError> {
    let request = GetOrderRequest { order_id: to_bytes(order.as_bytes()), ..GetOrderRequest::default() };
    match api.core.get_order(request).await {
        Ok(_) => Ok(true),
        Err(CallError::NotFound) => Ok(false),
        Err(CallError::Invalid | CallError::Unavailable) => Err(ApiError::unavailable()),
    }
}

/// Judges a new order: the quote holds, the address is no farther than it was quoted for, and the store is as a quote demands.
async fn admit(
    api: &Api,
    merchant: MerchantId,
    profile: &Merchant,
    quote: &Quote,
    wanted: &Wanted,
) -> Result<(), ApiError> {
    if api.clock.now() >= quote.valid_until {
        return Err(wrong_quote("The quote has expired."));
    }
    let destination = wanted.address.coordinates;
    let is_farther = coordinates_of(profile)
        .is_some_and(|origin| origin.distance_m(destination) > quote.distance_m.saturating_add(DISTANCE_SLACK_M));
    if is_farther {
        let message = format!("The address is farther than the {} m that were quoted.", quote.distance_m);
        return Err(ApiError::bad_request(message).at_field("delivery.deliveryAddress.coordinates"));
    }
    offer(api, merchant, profile, destination).await.map(|_| ())
}

async fn place(
    api: &Api,
    headers: &HeaderMap,
    (order, merchant): (OrderId, MerchantId),
    profile: &Merchant,
    (quote, wanted): (&Quote, &Wanted),
    body: &[u8],
) -> Result<(), ApiError> {
    let (now, is_test) = (api.clock.now(), profile.is_test);
    let frame = Frame { order, merchant, merchant_name: &profile.name, is_test, quote, now };
    let text = order_text::write(&frame, wanted);
    if text.len() > ORDER_MAX_BYTES {
        let message = format!("The order would have more than {ORDER_MAX_BYTES} bytes.");
        return Err(ApiError::bad_request(message).at_field("items"));
    }
    let place = PlaceOrder {
        order_id: to_bytes(order.as_bytes()),
        merchant: Some(place_order::Merchant::MerchantId(to_bytes(merchant.as_bytes()))),
        facts: Some(order_text::facts(&frame, wanted)),
        body: Bytes::from(text),
    };
    let request = SubmitRequest {
        source: SOURCE.to_owned(),
        message_id: quote.id.clone(),
        // The request's, and not that of the order, whose times differ at a repeat.
        body_digest: Bytes::copy_from_slice(&Sha256::digest(body)),
        occurred_at_ms: now.unix_ms(),
        trace_id: to_bytes(&api.trace_of(headers).0),
        content: Some(submit_request::Content::Place(place)),
    };
    let reply = api.core.submit(request).await.map_err(|error| refusal(&error))?;
    match reply.outcome() {
        Outcome::Committed | Outcome::Repeated => Ok(()),
        Outcome::Rejected if is_another(&reply) => Err(used(order)),
        // The core does not know the merchant yet, or not any more.
        Outcome::Rejected | Outcome::Unspecified => Err(ApiError::unavailable()),
    }
}

/// Whether the quote's order was placed by another request.
fn is_another(reply: &SubmitReply) -> bool {
    let reason = reply.rejection.as_ref().map(|rejection| rejection.reason.as_str());
    matches!(reason, Some("ID_REUSED" | "ORDER_EXISTS"))
}

fn used(order: OrderId) -> ApiError {
    let message = format!("Under this quote another order was placed: {order}.");
    ApiError::new(StatusCode::CONFLICT, "QuoteUsed", message).at_field("delivery.quoteId").with_hint(
        "A quote is good for one order: ask for another one. The same request again, byte for byte, is a repeat.",
    )
}

async fn ask_for_courier(
    api: &Api,
    authorised: &Authorised,
    headers: &HeaderMap,
    order: (OrderId, MerchantId),
    quote: &Quote,
) -> Result<(), ApiError> {
    let step = async |action: Action, purpose: &[u8]| {
        let idempotency_key = hex::encode(derived(purpose, quote.id.as_bytes()));
        let act = ActRequest { action: action.into(), idempotency_key, ..ActRequest::default() };
        let reply = ask(api, authorised, headers, order, act).await;
        reply.map(|reply| reply.conflict).map_err(|_| begun(order.0))
    };
    // In conflict where somebody else has taken it, or cancelled it: whether a courier can be asked for says the next step.
    step(Action::Confirm, b"confirm").await?;
    let conflict = step(Action::RequestDriver, b"request driver").await?;
    conflict.map_or(Ok(()), |conflict| Err(without_courier(order.0, &conflict)))
}

/// 503: the order stands, and the courier is asked for by the same request sent again.
fn begun(order: OrderId) -> ApiError {
    let message = format!(
        "The order {order} was placed, and its courier could not be asked for yet. Send the same request again: it places no \
         second order."
    );
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).with_retry_after(RETRY_AFTER_S)
}

fn without_courier(order: OrderId, conflict: &Conflict) -> ApiError {
    let message = format!("The order {order} was placed, and no courier was asked for: {}.", conflict.message);
    ApiError::conflict(&conflict.state, &conflict.legal, message)
}
