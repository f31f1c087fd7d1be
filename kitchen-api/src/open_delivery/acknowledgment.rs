//! `POST /v1/events/acknowledgment`: as under the iFood-style paths, of at most 100 events.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;

use crate::api::Api;
use crate::errors::ApiError;
use crate::events::acknowledge_at_most;
use crate::oauth::Authorised;

/// Events in one acknowledgment.
const EVENTS_MAX: usize = 100;

/// Answers an acknowledgment.
pub(crate) async fn acknowledge(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    acknowledge_at_most(EVENTS_MAX, api, authorised, request).await
}
