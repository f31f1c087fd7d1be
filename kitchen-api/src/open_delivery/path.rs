//! The one parameter that a path of this dialect has. Its place depends on the prefix, so the router is asked for it.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use order_model::OrderId;

use crate::errors::ApiError;
use crate::orders;

/// The parameter, decoded; empty when there is none or it is no text.
pub(super) async fn parameter(parts: &mut Parts) -> String {
    Path::<String>::from_request_parts(parts, &()).await.map(|Path(text)| text).unwrap_or_default()
}

/// The order id of the path; what is no id is an unknown order.
pub(super) async fn order(parts: &mut Parts) -> Result<OrderId, ApiError> {
    parameter(parts).await.parse().map_err(|_| orders::unknown())
}
