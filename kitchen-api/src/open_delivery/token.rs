//! `POST /oauth/token`: the one token endpoint in this dialect's words.
//!
//! The same directory, limits, lockout and tokens as under the iFood-style path: `oauth::issue` decides, and only names differ
//! here. The document declares 401 alone for what cannot be granted, so a form that cannot be read is one, too.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::header;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth;
use crate::orders::json_response;

/// What the token endpoint answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    access_token: String,
    expires_in: i64,
}

/// Answers the token endpoint.
pub(crate) async fn issue(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let issued = oauth::issue(api, request).await.map_err(ApiError::bad_request_as_unauthorized)?;
    // Our own answer, whole and in memory: nothing is waited for.
    let body = issued.into_body().collect().await.map_err(|_| ApiError::unavailable())?.to_bytes();
    let issued: Issued = serde_json::from_slice(&body).map_err(|_| ApiError::unavailable())?;
    let body = json!({ "access_token": issued.access_token, "token_type": "bearer", "expires_in": issued.expires_in });
    let mut response = json_response(body.to_string().into());
    response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(response)
}
