//! `GET /v1/versions/orderingApp`, what we speak, and `/v1/versions/merchant`, in which versions we use what a POS serves.
//!
//! Both are asked without a token; where the first comes with one, the answer is what its application can read. The document names the
//! ordering application as the second's host and draws it the other way round. It is served: nobody in it is named, so it says what we use.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::api::Api;
use crate::errors::ApiError;
use crate::orders::json_response;

/// The newest version that the list of `/v1/versions/merchant` can name, in every document so far.
const MERCHANT_VERSION: &str = "1.2.1";

/// Answers with our versions.
pub(crate) async fn versions(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let spoken = api.authenticate(request.headers()).map(|asking| asking.access().open_delivery_version());
    let version = spoken.unwrap_or_default().announced();
    let methods: &[&str] = if api.webhooks.is_some() { &["POLLING", "WEBHOOK"] } else { &["POLLING"] };
    let body = json!({
        "merchant": { "version": version },
        "order": { "version": version, "availableEventsMethods": methods },
    });
    Ok(json_response(Bytes::from(body.to_string())))
}

/// Answers with the versions of a POS's endpoints: its document, which we read, and its webhook, where we send any.
pub(crate) async fn merchant_versions(api: Arc<Api>, _: Request) -> Result<Response, ApiError> {
    let mut body = json!({ "merchantEndpoint": MERCHANT_VERSION });
    if api.webhooks.is_some() {
        body["ordersWebhook"] = json!(MERCHANT_VERSION);
    }
    Ok(json_response(Bytes::from(body.to_string())))
}
