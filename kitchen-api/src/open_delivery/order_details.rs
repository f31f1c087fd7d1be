//! `GET /v1/orders/{orderId}`: the stored order in this dialect.
//!
//! While the core cannot be reached the order comes from the feed's cache of recent orders, without its last event.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::{MerchantId, OrderId};

use super::event_types::last_event;
use super::merchant_names::names_of;
use super::order::{Placed, render};
use super::path;
use super::spoken_version::OpenDeliveryVersion;
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{json_response, refusal, visible_order};

/// Answers with the order.
pub(crate) async fn details(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let order = path::order(&mut parts).await?;
    let version = authorised.access().open_delivery_version();
    match visible_order(&api, authorised.scope(), order).await {
        Ok(visible) => {
            answer(&api, order, (visible.merchant, version), &visible.reply.body, last_event(&visible.reply.state))
                .await
        }
        Err(CallError::Unavailable) => {
            // Not in the cache says nothing about the order: it may be an old one, so this is no 404.
            // Nor is one that was patched shown as it was before.
            let cached = api.feed.cached_order(order).await.filter(|cached| !cached.body.is_empty());
            // A foreign one is as one that is not there: a 404 would tell that there is such an order.
            let cached = cached.filter(|cached| authorised.scope().contains(cached.merchant));
            let cached = cached.ok_or_else(ApiError::unavailable)?;
            answer(&api, order, (cached.merchant, version), &cached.body, None).await
        }
        Err(error) => Err(refusal(&error)),
    }
}

async fn answer(
    api: &Api,
    order: OrderId,
    (merchant, version): (MerchantId, OpenDeliveryVersion),
    body: &Bytes,
    last_event: Option<&'static str>,
) -> Result<Response, ApiError> {
    // An order is shown without them too.
    let names = names_of(api, merchant).await.ok().flatten();
    let placed = Placed { order, merchant, names: names.as_ref(), last_event, version };
    let rendered = render(&placed, body).ok_or_else(|| {
        tracing::error!(order_id = %order, "a stored order is no JSON object");
        ApiError::unavailable()
    })?;
    Ok(json_response(Bytes::from(rendered)))
}
