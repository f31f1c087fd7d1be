//! What is said to a client before any of its requests can be read: a whole HTTP/1.1 answer as bytes.
//!
//! Used by the accept loop when no place is free, and by `connection` in place of hyper's own answer to a head that it cannot take, which
//! has no body. The path is not known by then, so the body reads as the error of either dialect.

use http::StatusCode;
use serde_json::json;

/// The status of the head of an error that hyper makes up by itself, from how it begins: `None` for anything else.
pub(super) fn made_by_hyper(head: &[u8]) -> Option<StatusCode> {
    let status = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok()?;
    of_head(status).map(|_| status)
}

/// Code and message for the three statuses that hyper answers a head with.
fn of_head(status: StatusCode) -> Option<(&'static str, &'static str)> {
    match status {
        StatusCode::BAD_REQUEST => Some(("BadRequest", "This is not an HTTP/1.1 request.")),
        StatusCode::URI_TOO_LONG => Some(("UriTooLong", "The request's URI is too long.")),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some((
            "RequestHeaderFieldsTooLarge",
            "The request's headers are more than 100, or larger than this server reads.",
        )),
        _ => None,
    }
}

/// The answer to a head that cannot be taken.
pub(super) fn head_refused(status: StatusCode) -> Vec<u8> {
    let (code, message) = of_head(status).unwrap_or(("BadRequest", "The request cannot be read."));
    answer(status, "", code, message)
}

/// The answer when no place for another connection is free.
pub(super) fn full() -> Vec<u8> {
    let message = "Too many connections. The request can be repeated.";
    answer(StatusCode::SERVICE_UNAVAILABLE, "retry-after: 1\r\n", "ServiceUnavailable", message)
}

fn answer(status: StatusCode, headers: &str, code: &str, message: &str) -> Vec<u8> {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "error": error, "code": code, "message": message, "title": message, "status": status.as_u16() });
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_valid_http_and_json_in_both_dialects() {
        let refusals = [(full(), 503), (head_refused(StatusCode::BAD_REQUEST), 400)];
        for (bytes, status) in refusals {
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&body["code"], &body["title"]), (&body["error"]["code"], &body["message"]));
            assert_eq!(body["status"], status);
        }
    }

    #[test]
    fn only_what_hyper_says_of_a_head_is_taken_for_it() {
        let of = |head: &str| made_by_hyper(head.as_bytes()).map(|status| status.as_u16());
        assert_eq!(of("HTTP/1.1 431 Request Header Fields Too Large\r\n"), Some(431));
        assert_eq!(of("HTTP/1.0 400 Bad Request\r\n"), Some(400));
        assert_eq!(of("HTTP/1.1 414 URI Too Long\r\n"), Some(414));
        for other in ["HTTP/1.1 100 Continue\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 4", "data: x\n\n", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
