//! Reads request bodies within a limit.
//!
//! Used by the handlers that look at a body. Time is limited by the server, which makes a body that is too slow fail.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::errors::ApiError;
use crate::json_depth::{JSON_DEPTH_MAX, is_too_deep};
use crate::server::BodyTimeout;

/// Bodies that have no limit of their own.
pub(crate) const BODY_MAX_BYTES: usize = 256 * 1024;

/// Reads the whole body, at most `limit_bytes`.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut chunks = Chunks::new(headers, body, limit_bytes)?;
    while let Some(chunk) = chunks.next().await? {
        if whole.is_empty() && chunks.is_at_end() {
            return Ok(chunk);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Reads the whole body, at most `limit_bytes`, for whoever takes it for JSON and refuses what is not.
///
/// # Errors
/// As [`read_body`], and 400 where it nests deeper than [`JSON_DEPTH_MAX`].
pub(crate) async fn read_json(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Bytes, ApiError> {
    let body = read_body(headers, body, limit_bytes).await?;
    check_depth(&body)?;
    Ok(body)
}

/// 400 where JSON nests deeper than [`JSON_DEPTH_MAX`].
pub(crate) fn check_depth(json: &[u8]) -> Result<(), ApiError> {
    if is_too_deep(json) { Err(too_deep()) } else { Ok(()) }
}

/// 400: objects and arrays nest too deep.
pub(crate) fn too_deep() -> ApiError {
    ApiError::bad_request(format!("The body may nest at most {JSON_DEPTH_MAX} objects and arrays inside each other."))
}

/// A body, chunk by chunk.
pub(crate) struct Chunks {
    body: Body,
    left_bytes: usize,
    limit_bytes: usize,
}

impl Chunks {
    /// # Errors
    /// 413 at once when the announced length is above `limit_bytes`.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Self, ApiError> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced: Option<u64> = announced.and_then(|digits| digits.parse().ok());
        if announced.is_some_and(|bytes| bytes > limit_bytes as u64) {
            return Err(ApiError::payload_too_large(limit_bytes));
        }
        Ok(Self { body, left_bytes: limit_bytes, limit_bytes })
    }

    /// The next chunk; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        while let Some(frame) = self.body.frame().await {
            // Trailers carry nothing for us.
            let Ok(chunk) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
            self.left_bytes = self
                .left_bytes
                .checked_sub(chunk.len())
                .ok_or_else(|| ApiError::payload_too_large(self.limit_bytes))?;
            return Ok(Some(chunk));
        }
        Ok(None)
    }

    fn is_at_end(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }
}

fn broken(error: &axum::Error) -> ApiError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<BodyTimeout>() {
            return ApiError::request_timeout();
        }
        cause = error.source();
    }
    ApiError::bad_request("The request's body broke off or is not what its headers announce.")
}
