//! Answers of the catalog: JSON within a limit, entity tags, refusals.
//!
//! Used by `endpoints` and `lists`.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::edits::Expected;
use super::limits::ANSWER_MAX_BYTES;
use super::refusal::{Kind, Refusal};
use crate::errors::ApiError;
use crate::orders::json_response;

/// An answer under way; it ends where it becomes too large.
#[derive(Default)]
pub(super) struct Json(Vec<u8>);

impl Write for Json {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > ANSWER_MAX_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Json {
    pub(super) fn add(&mut self, value: &impl Serialize) -> Result<(), ApiError> {
        serde_json::to_writer(self, value).map_err(|_| too_large())
    }

    pub(super) fn add_text(&mut self, text: &str) -> Result<(), ApiError> {
        self.write_all(text.as_bytes()).map_err(|_| too_large())
    }

    /// Adds an object without its closing brace, for what comes after its own fields.
    pub(super) fn open(&mut self, value: &impl Serialize) -> Result<(), ApiError> {
        self.add(value)?;
        self.0.pop();
        Ok(())
    }

    /// Adds each of `values`, with commas between them.
    pub(super) fn add_all<T: Serialize>(&mut self, values: impl Iterator<Item = T>) -> Result<(), ApiError> {
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.add_text(",")?;
            }
            self.add(&value)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Response {
        json_response(Bytes::from(self.0))
    }
}

fn too_large() -> ApiError {
    let message = format!(
        "The answer would be larger than {ANSWER_MAX_BYTES} bytes: read the categories without their items, and the items of each."
    );
    ApiError::new(StatusCode::CONFLICT, "CatalogTooLarge", message)
}

/// 200 with one value.
pub(super) fn one(value: &impl Serialize) -> Result<Response, ApiError> {
    let mut json = Json::default();
    json.add(value)?;
    Ok(json.finish())
}

pub(super) fn with_status(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    response
}

/// Says which version was answered.
pub(super) fn with_version(mut response: Response, version: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"r{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// 204.
pub(super) fn gone() -> Response {
    with_status(Response::new(Body::empty()), StatusCode::NO_CONTENT)
}

/// What `If-Match` says.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(Expected::Anything) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Expected::Something);
    }
    let version =
        text.strip_prefix("\"r").and_then(|text| text.strip_suffix('"')).and_then(|digits| digits.parse().ok());
    let expected = "If-Match must be * or an ETag of this API as it was answered.";
    version.map(Expected::Version).ok_or_else(|| ApiError::bad_request(expected).at_field("If-Match"))
}

/// A refusal as it is answered.
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let Refusal { kind, field, message } = refusal;
    let error = match kind {
        Kind::Invalid => ApiError::bad_request(message),
        Kind::NotFound => ApiError::not_found(message),
        Kind::Conflict => ApiError::new(StatusCode::CONFLICT, "Conflict", message),
        Kind::Changed => ApiError::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message),
        Kind::Limit => ApiError::new(StatusCode::BAD_REQUEST, "CatalogLimit", message),
    };
    match field {
        Some(field) => error.at_field(field),
        None => error,
    }
}
