//! `GET /v1/versions/orderingApp`: what we speak. Asked without a token.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::api::Api;
use crate::errors::ApiError;
use crate::orders::json_response;

/// The newest version that the 1.7.0 document can name: its list ends there.
const VERSION: &str = "1.6.0";

/// Answers with our versions.
pub(crate) async fn versions(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    let methods: &[&str] = if api.webhooks.is_some() { &["POLLING", "WEBHOOK"] } else { &["POLLING"] };
    let body = json!({
        "merchant": { "version": VERSION },
        "order": { "version": VERSION, "availableEventsMethods": methods },
    });
    Ok(json_response(Bytes::from(body.to_string())))
}
