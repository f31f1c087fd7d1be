//! The one error of the public API and how it looks on the wire: the iFood envelope (PARTNER_API, section 1.1), or a problem
//! (RFC 9457) on Open Delivery's paths; on our own paths the envelope, always with a hint.
//!
//! Handlers and the server return [`ApiError`]; only [`ApiError::into_response`],
//! [`ApiError::into_own_response`] and [`ApiError::into_problem`] render it. Deliberately
//! absent: causes. What a client reads never holds a stack trace, a peer's message or a value of the request's body.

mod hints;

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use order_model::MerchantId;
use serde_json::{Value, json};

use crate::modules::Module;

/// What a client should wait before it repeats a request that our own dependencies made fail, in seconds.
pub const RETRY_AFTER_S: u32 = 1;

/// A request that is answered with 400 or more.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {message}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    rest: Option<Box<Rest>>,
}

/// How much was too much, and when more may come: what a client paces itself by that is answered 429. Whoever refuses has to
/// know both, so that no 429 leaves one of the headers out (PARTNER_API, section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// The limit that was reached: requests, or whatever is counted.
    pub limit: u32,
    /// When the next may come, in seconds; 0 is taken for 1.
    pub retry_after_s: u32,
}

impl Throttle {
    /// Sets the headers of a 429.
    pub fn set(self, headers: &mut HeaderMap) {
        let retry_after_s = HeaderValue::from(self.retry_after_s.max(1));
        headers.insert(header::RETRY_AFTER, retry_after_s.clone());
        headers.insert("x-ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(0));
        headers.insert("x-ratelimit-reset", retry_after_s);
    }
}

/// What few errors carry; boxed so that a handler's result stays small.
#[derive(Debug, Clone, Default)]
struct Rest {
    field: Option<Cow<'static, str>>,
    hint: Option<&'static str>,
    details: Option<Value>,
    unauthorised: Vec<MerchantId>,
    retry_after_s: Option<u32>,
    cancellation_status: Option<&'static str>,
    throttle: Option<Throttle>,
}

impl ApiError {
    /// An error with this status, stable code and message for a human.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), rest: None }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401: no token, or one that does not count.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// 403: foreign or unknown merchants, alike.
    pub fn forbidden_merchants(merchants: Vec<MerchantId>) -> Self {
        let message = "The application has no permission for some of the merchants.";
        let mut error = Self::new(StatusCode::FORBIDDEN, "Forbidden", message);
        error.rest().unauthorised = merchants;
        error
    }

    /// 403: the application has no permission.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 403: the application has not the module that the operation belongs to, whatever the request names.
    pub fn module_not_granted(module: Module) -> Self {
        let name = module.name();
        let message = format!("The application does not have the module {name}: the platform's operator grants it.");
        Self::new(StatusCode::FORBIDDEN, "ModuleNotGranted", message).with_hint(hints::MODULE_NOT_GRANTED)
    }

    /// 404: foreign, unknown or too old, alike.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "This resource does not know that method.")
    }

    /// 408: the client was too slow with its body.
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "The request's body did not arrive in time.")
    }

    /// 409, with where the order stands and what would be legal there.
    pub fn conflict(state: &str, legal: &[String], message: String) -> Self {
        let mut error = Self::new(StatusCode::CONFLICT, "Conflict", message);
        error.rest().details = Some(json!([{ "state": state, "legal": legal }]));
        error
    }

    /// 413: a body above `limit_bytes`.
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        let message = format!("The request's body is larger than {limit_bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message)
    }

    /// 414.
    pub fn uri_too_long(limit_bytes: usize) -> Self {
        let message = format!("The request's URI is longer than {limit_bytes} bytes.");
        Self::new(StatusCode::URI_TOO_LONG, "UriTooLong", message).with_hint(hints::URI_TOO_LONG)
    }

    /// 415.
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        let message = format!("Send the body as {expected}.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422: understood, and not possible as things stand.
    pub fn unprocessable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntity", message)
    }

    /// 429; the only way to make one.
    pub fn too_many_requests(throttle: Throttle) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Throttling applied.");
        error.rest().throttle = Some(throttle);
        error
    }

    /// 431.
    pub fn headers_too_large(limit_bytes: usize) -> Self {
        let message = format!("The request's headers are larger than {limit_bytes} bytes.");
        let error = Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RequestHeaderFieldsTooLarge", message);
        error.with_hint(hints::HEADERS_TOO_LARGE)
    }

    /// 503 with `Retry-After`: something behind us cannot answer; the same request is safe to repeat.
    pub fn unavailable() -> Self {
        let message = "The service cannot answer for the moment. The request can be repeated.";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
        error.rest().retry_after_s = Some(RETRY_AFTER_S);
        error.with_hint(hints::UNAVAILABLE)
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn at_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.rest().field = Some(field.into());
        self
    }

    /// Says what to do about it, better than the status alone does.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.rest().hint = Some(hint);
        self
    }

    /// Says when to repeat the request.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.rest().retry_after_s = Some(seconds);
        self
    }

    /// Says how the cancellation of an order stands; shown in a problem only.
    #[must_use]
    pub fn with_cancellation_status(mut self, status: &'static str) -> Self {
        self.rest().cancellation_status = Some(status);
        self
    }

    /// A 400 as a 401, for where a request that cannot be read counts as one without credentials.
    #[must_use]
    pub fn bad_request_as_unauthorized(self) -> Self {
        let status = if self.status == StatusCode::BAD_REQUEST { StatusCode::UNAUTHORIZED } else { self.status };
        Self { status, ..self }
    }

    /// The answer on Open Delivery's paths: `application/problem+json` with a title and the status.
    pub fn into_problem(self) -> Response {
        let mut body = json!({ "title": self.message, "status": self.status.as_u16() });
        if let Some(status) = self.rest.as_ref().and_then(|rest| rest.cancellation_status) {
            body["cancellationStatus"] = json!(status);
        }
        self.respond(body.to_string(), "application/problem+json")
    }

    /// The answer on our own paths: the envelope, with what to do about it whether the error says so or not.
    pub fn into_own_response(mut self) -> Response {
        let status = self.status;
        self.rest().hint.get_or_insert_with(|| hints::of(status));
        self.into_response()
    }

    /// The status it is answered with.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Both shapes in one: clients read `error.…` or the top level.
    fn body(&self) -> String {
        let mut error = json!({ "code": self.code, "message": self.message });
        let mut top = json!({ "code": self.code, "message": self.message });
        if let Some(rest) = &self.rest {
            if let Some(field) = &rest.field {
                error["field"] = json!(field);
            }
            if let Some(hint) = rest.hint {
                error["hint"] = json!(hint);
            }
            if let Some(details) = &rest.details {
                error["details"] = details.clone();
            }
            if !rest.unauthorised.is_empty() {
                let ids: Vec<String> = rest.unauthorised.iter().map(ToString::to_string).collect();
                error["unauthorizedMerchants"] = json!(ids);
                top["unauthorizedMerchants"] = json!(ids);
            }
        }
        top["error"] = error;
        top.to_string()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        self.respond(body, "application/json")
    }
}

impl ApiError {
    fn respond(self, body: String, content_type: &'static str) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let Some(rest) = self.rest else { return response };
        if let Some(retry_after_s) = rest.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if let Some(throttle) = rest.throttle {
            throttle.set(headers);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_error_is_readable_in_both_shapes_clients_know() {
        let merchant = MerchantId::from_bytes([1; 16]);
        let body: Value = serde_json::from_str(&ApiError::forbidden_merchants(vec![merchant]).body()).unwrap();
        assert_eq!(body["error"]["code"], "Forbidden");
        assert_eq!(body["error"]["unauthorizedMerchants"], json!([merchant.to_string()]));
        assert_eq!(body["unauthorizedMerchants"], json!([merchant.to_string()]));
        assert_eq!(body["code"], body["error"]["code"]);
        assert_eq!(body["message"], body["error"]["message"]);
        let body: Value = serde_json::from_str(&ApiError::bad_request("x").at_field("types").body()).unwrap();
        assert_eq!(body["error"]["field"], "types");
    }

    #[test]
    fn a_problem_has_a_title_and_its_status() {
        let response = ApiError::unprocessable("No.").with_cancellation_status("CANCELLED").into_problem();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (422, &HeaderValue::from_static("application/problem+json"))
        );
        let unauthorised = ApiError::bad_request("x").bad_request_as_unauthorized().into_problem();
        assert_eq!(
            (unauthorised.status().as_u16(), &unauthorised.headers()["www-authenticate"]),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert_eq!(ApiError::unavailable().into_problem().headers()["retry-after"], "1");
    }

    #[test]
    fn on_our_own_paths_every_error_says_what_to_do() {
        let hint = |error: ApiError| {
            let body = error.into_own_response().into_body();
            let body = axum::body::to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()["error"]["hint"].as_str().unwrap_or_default().to_owned()
        };
        for status in 400..=599 {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(!hint(ApiError::new(status, "Code", "Message.")).is_empty(), "{status}");
        }
        assert_eq!(hint(ApiError::bad_request("x").with_hint("Do this.")), "Do this.", "a better one stays");
        assert!(!ApiError::bad_request("x").body().contains("hint"), "elsewhere the envelope is as it was");
    }

    #[test]
    fn what_can_be_repeated_says_when() {
        assert_eq!(ApiError::unavailable().into_response().headers()["retry-after"], "1");
        let throttle = Throttle { limit: 20, retry_after_s: 0 };
        for refused in [
            ApiError::too_many_requests(throttle).into_response(),
            ApiError::too_many_requests(throttle).into_problem(),
        ] {
            let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
            assert_eq!([header("retry-after"), header("x-ratelimit-reset")], ["1", "1"]);
            assert_eq!([header("x-ratelimit-limit"), header("x-ratelimit-remaining")], ["20", "0"]);
        }
        assert!(ApiError::bad_request("x").into_response().headers().get("retry-after").is_none());
    }
}
