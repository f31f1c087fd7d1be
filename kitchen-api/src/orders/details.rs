//! `GET /order/v1.0/orders/{id}` and `…/cancellationReasons`, and the one way to an order's merchant.
//!
//! A foreign order, an unknown one and a text that is no id answer identically. While the core cannot be reached the
//! details come from the feed's cache of recent orders.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::Scope;
use http::{HeaderValue, header};
use order_model::{MerchantId, OrderId};
use proto::gateway_core::{GetOrderReply, GetOrderRequest};
use serde_json::json;

use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::routes::path_segment;

/// Where the order's id stands in `/order/v1.0/orders/{id}…`.
const ID_SEGMENT: usize = 3;

pub(crate) fn unknown() -> ApiError {
    ApiError::not_found("There is no such order.")
}

/// The order id of the path; what is no id is an unknown order.
pub(crate) fn order_in_path(request: &Request) -> Result<OrderId, ApiError> {
    path_segment(request.uri().path(), ID_SEGMENT).parse().map_err(|_| unknown())
}

/// An order whose merchant the application may see.
pub(crate) struct VisibleOrder {
    pub(crate) merchant: MerchantId,
    pub(crate) reply: GetOrderReply,
}

/// Looks an order up at the core and checks it against `scope`.
pub(crate) async fn visible_order(api: &Api, scope: &Scope, order: OrderId) -> Result<VisibleOrder, CallError> {
    let order_id = proto::conversions::to_bytes(order.as_bytes());
    visible(api, scope, GetOrderRequest { order_id, ..GetOrderRequest::default() }).await
}

/// As [`visible_order`], however the order is named.
pub(super) async fn visible(api: &Api, scope: &Scope, request: GetOrderRequest) -> Result<VisibleOrder, CallError> {
    let reply = api.core.get_order(request).await?;
    let merchant = proto::conversions::merchant_id(&reply.merchant_id).map_err(|_| CallError::Unavailable)?;
    if scope.contains(merchant) { Ok(VisibleOrder { merchant, reply }) } else { Err(CallError::NotFound) }
}

pub(crate) fn refusal(error: &CallError) -> ApiError {
    match error {
        CallError::NotFound => unknown(),
        CallError::Invalid => ApiError::bad_request("The request is not valid for this order."),
        CallError::Unavailable => ApiError::unavailable(),
    }
}

/// Answers with the order, patches included.
pub(crate) async fn details(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    match visible_order(&api, authorised.scope(), order).await {
        Ok(visible) => Ok(json_response(visible.reply.body)),
        Err(CallError::Unavailable) => {
            // Not in the cache says nothing about the order: it may be an old one, so this is no 404.
            // Nor is one that was patched shown as it was before.
            let cached = api.feed.cached_order(order).await.filter(|cached| !cached.body.is_empty());
            // A foreign one is as one that is not there: a 404 would tell that there is such an order.
            let cached = cached.filter(|cached| authorised.scope().contains(cached.merchant));
            cached.map(|cached| json_response(cached.body)).ok_or_else(ApiError::unavailable)
        }
        Err(error) => Err(refusal(&error)),
    }
}

/// Answers with the reasons the order can be cancelled for; `[]` when it cannot.
pub(crate) async fn cancellation_reasons(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let reasons = visible.reply.cancellation_reasons.iter();
    let reasons: Vec<serde_json::Value> =
        reasons.map(|reason| json!({ "cancelCodeId": reason.code, "description": reason.description })).collect();
    Ok(json_response(Bytes::from(json!(reasons).to_string())))
}

pub(crate) fn json_response(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
