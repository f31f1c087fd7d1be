//! `POST /shipping/v1.0/orders/{id}/deliveryAddressChangeRequest`: an order is to go elsewhere; 202 follows the commit.
//!
//! gateway-core decides whether that can still be, keeps the new address in the order and tells the merchant's applications that
//! there is one (`DAR`), without it. It counts once somebody accepts it.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use proto::gateway_core::{ActRequest, Action};

use super::address::Address;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::catalog::reader::Object;
use crate::catalog::refused;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{accepted, order_in_path, perform, refusal, visible_order};

/// Answers the request.
pub(crate) async fn request_address_change(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let address = Object::body(&body).and_then(|sent| Address::read(&sent)).map_err(refused)?;
    let act = ActRequest {
        action: Action::RequestAddressChange.into(),
        new_address: Bytes::from(address.to_json().to_string()),
        ..ActRequest::default()
    };
    perform(&api, &authorised, &parts.headers, (order, visible.merchant), act).await?;
    Ok(accepted())
}
