//! What to do about an error of our own operations, where the error itself does not say. Pure; used by the parent alone.

use http::StatusCode;

/// What the server says before it knows whose path it is; said on every path, for it harms nowhere.
pub(super) const URI_TOO_LONG: &str = "Name fewer things in one request.";
/// As [`URI_TOO_LONG`].
pub(super) const HEADERS_TOO_LARGE: &str =
    "Send fewer or shorter headers; x-polling-merchants may be split over several requests.";
/// As [`URI_TOO_LONG`].
pub(super) const UNAVAILABLE: &str = "Send the same again after Retry-After seconds, and less often while it goes on.";
/// Said in the Merchant API, too: a 403 alone does not say it.
pub(super) const MODULE_NOT_GRANTED: &str = "Ask the platform's operator for the module (comanda app modules <client id> --grant <module>); it \
                                             counts within 5 s, for tokens that you have, too.";

/// What to do about a status. Every status that our operations answer with is here; any other one is no fault of the client.
pub(super) fn of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => {
            "Mend what the message says; /openapi/comanda.json says what is expected. The same again would be refused again."
        }
        StatusCode::UNAUTHORIZED => {
            "Ask for a token at POST /authentication/v1.0/oauth/token and send it as Authorization: Bearer; a second 401 with a \
             new token means that the application was revoked."
        }
        StatusCode::FORBIDDEN => {
            "GET /merchant/v1.0/merchants lists the merchants that the application may name; the platform's operator grants \
             others."
        }
        StatusCode::NOT_FOUND => {
            "Compare the path and its ids with /openapi/comanda.json; what is another application's is answered like what there \
             is not."
        }
        StatusCode::METHOD_NOT_ALLOWED => "The header Allow names the methods that there are.",
        StatusCode::REQUEST_TIMEOUT => "Send the same again, with its whole body at once.",
        StatusCode::CONFLICT => "Look at how things stand now and decide again; the same again would be refused again.",
        StatusCode::PRECONDITION_FAILED => "Read it again, and name the version that you read.",
        StatusCode::PAYLOAD_TOO_LARGE => "Send less; the message says how much is taken.",
        StatusCode::URI_TOO_LONG => URI_TOO_LONG,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "Send the content type that the message names.",
        StatusCode::UNPROCESSABLE_ENTITY => "Understood, and not possible as things stand: change what is asked for.",
        StatusCode::TOO_MANY_REQUESTS => "Wait for Retry-After seconds, and ask less often.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HEADERS_TOO_LARGE,
        _ => UNAVAILABLE,
    }
}
