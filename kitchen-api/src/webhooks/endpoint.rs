//! `/comanda/v1/webhook…`: what an application may do with its own webhook.
//!
//! An application reaches its own webhook and deliveries only: the id comes from its token, never from the request. Where this process
//! has no table of webhooks, all of it answers 503.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use order_model::EventId;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::admin::{AdminError, PAGE_MAX, Redelivered, WebhookAdmin};
use super::dial::URL_MAX_BYTES;
use super::dialect::Dialect;
use super::subscription::{PresenceMode, Wanted};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::json_response;
use crate::routes::path_segment;
use crate::store::Kind;

/// Where the event's id stands in `/comanda/v1/webhook/deliveries/{eventId}/redeliver`.
const EVENT_SEGMENT: usize = 4;
/// Deliveries of a page when nothing is said.
const PAGE_DEFAULT: u16 = 50;
/// What a webhook is set by.
const FIELDS: [&str; 5] = ["url", "dialect", "presence", "acknowledges", "secret"];

/// What to do about an error; each of ours says it.
mod hints {
    pub(super) const SET: &str =
        "PUT /comanda/v1/webhook takes what NewWebhook in GET /openapi/comanda.json describes.";
    pub(super) const NONE: &str = "Set one with PUT /comanda/v1/webhook.";
    pub(super) const CENTRALIZED: &str = "Poll for events, or use the token of a centralized application.";
    pub(super) const PAGE: &str =
        "Send limit as a whole number from 1 to 100, and before as the `next` of the page before.";
    pub(super) const UNKNOWN: &str =
        "GET /comanda/v1/webhook/deliveries lists the deliveries of a week, each with its eventId.";
    pub(super) const NOT_DEAD: &str = "GET /comanda/v1/webhook/dead-letters lists what can be sent again.";
    pub(super) const REPEAT: &str = "Send the same request again after Retry-After.";
}

/// Answers with the webhook.
pub(crate) async fn show(api: Arc<Api>, authorised: Authorised, _: Request) -> Result<Response, ApiError> {
    let shown = admin(&api)?.show(authorised.application()).await.map_err(|error| refusal(&error))?;
    shown.map(|shown| json_answer(&shown)).ok_or_else(no_webhook)
}

/// Sets or changes it.
pub(crate) async fn set(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    // What it would be sent is not one set of merchants but one for each authorisation (PARTNER_API, 1.2).
    if authorised.access().kind() == Kind::Distributed {
        let refused = ApiError::forbidden("Webhooks are for centralized applications.");
        return Err(refused.with_hint(hints::CENTRALIZED));
    }
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let wanted = read_wanted(&body)?;
    // Nothing would be sent: better said now than found out.
    authorised.require(wanted.dialect.module())?;
    let shown = admin(&api)?.set(authorised.application(), &wanted).await.map_err(|error| refusal(&error))?;
    Ok(json_answer(&shown))
}

/// Removes it.
pub(crate) async fn remove(api: Arc<Api>, authorised: Authorised, _: Request) -> Result<Response, ApiError> {
    let removed = admin(&api)?.remove(authorised.application()).await.map_err(|error| refusal(&error))?;
    if removed { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(no_webhook()) }
}

/// Goes on after a pause; one that is not paused goes on anyway.
pub(crate) async fn resume(api: Arc<Api>, authorised: Authorised, _: Request) -> Result<Response, ApiError> {
    let resumed = admin(&api)?.resume(authorised.application()).await.map_err(|error| refusal(&error))?;
    resumed.map(|_| empty(StatusCode::ACCEPTED)).ok_or_else(no_webhook)
}

/// Answers with a page of the log.
pub(crate) async fn deliveries(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let (most, before) = read_page(request.uri().query())?;
    let page = admin(&api)?.deliveries(authorised.application(), before, most).await;
    page.map(|page| json_answer(&page)).map_err(|error| refusal(&error))
}

/// Answers with the dead letters that died first.
pub(crate) async fn dead_letters(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let (most, _) = read_page(request.uri().query())?;
    let dead = admin(&api)?.dead_letters(authorised.application(), most).await;
    dead.map(|dead| json_answer(&dead)).map_err(|error| refusal(&error))
}

/// Sends one dead letter again.
pub(crate) async fn redeliver(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let unknown = || ApiError::not_found("There is no such delivery.").with_hint(hints::UNKNOWN);
    let event: EventId = path_segment(request.uri().path(), EVENT_SEGMENT).parse().map_err(|_| unknown())?;
    let redelivered = admin(&api)?.redeliver(authorised.application(), event).await;
    match redelivered.map_err(|error| refusal(&error))? {
        Redelivered::Yes => Ok(empty(StatusCode::ACCEPTED)),
        Redelivered::Unknown => Err(unknown()),
        Redelivered::NotDead => {
            let message = "The delivery is no dead letter: it waits to be sent, or was delivered.";
            Err(ApiError::new(StatusCode::CONFLICT, "NotADeadLetter", message).with_hint(hints::NOT_DEAD))
        }
    }
}

/// Sends dead letters again, and answers how many.
pub(crate) async fn redeliver_all(api: Arc<Api>, authorised: Authorised, _: Request) -> Result<Response, ApiError> {
    let redelivered = admin(&api)?.redeliver_all(authorised.application()).await;
    let (redelivered, is_more) = redelivered.map_err(|error| refusal(&error))?;
    Ok(json_answer(&json!({ "redelivered": redelivered, "more": is_more })))
}

fn admin(api: &Api) -> Result<&WebhookAdmin, ApiError> {
    api.webhooks.as_ref().ok_or_else(unavailable)
}

fn no_webhook() -> ApiError {
    ApiError::not_found("The application has no webhook.").with_hint(hints::NONE)
}

fn unavailable() -> ApiError {
    ApiError::unavailable().with_hint(hints::REPEAT)
}

/// 400 for something that is wrong with a wanted webhook.
fn unfit(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::bad_request(message).with_hint(hints::SET)
}

fn refusal(error: &AdminError) -> ApiError {
    match error {
        AdminError::Unacceptable(wrong) => unfit(wrong.message.clone()).at_field(wrong.field),
        AdminError::Store(_) => unavailable(),
    }
}

fn json_answer(value: &Value) -> Response {
    json_response(Bytes::from(value.to_string()))
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Reads `limit` and `before`.
fn read_page(query: Option<&str>) -> Result<(u16, Option<EventId>), ApiError> {
    let (mut most, mut before) = (PAGE_DEFAULT, None);
    let wrong = |expected: &'static str, field: &'static str| {
        ApiError::bad_request(expected).at_field(field).with_hint(hints::PAGE)
    };
    for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
                most = number.ok_or_else(|| wrong("expected a whole number from 1 to 100", "limit"))?;
            }
            "before" => {
                let event = value.parse().map_err(|_| wrong("expected the `next` of the page before", "before"))?;
                before = Some(event);
            }
            _ => {}
        }
    }
    Ok((most, before))
}

/// Reads a wanted webhook. Strict, as our own endpoints are: a field that is not known is a mistake.
fn read_wanted(body: &[u8]) -> Result<Wanted, ApiError> {
    let object: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => return Err(unfit("The body must be a JSON object.")),
    };
    if object.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return Err(unfit(format!("The body may have these fields: {}.", FIELDS.join(", "))));
    }
    let text = |name: &'static str, expected: &'static str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(unfit(expected).at_field(name)),
    };
    let wrong = |name, expected: &'static str| move || unfit(expected).at_field(name);
    let (url_expected, dialect_expected) = ("expected a URL", "expected IFOOD, STANDARD or OPEN_DELIVERY");
    let presence_expected = "expected NONE, ALL or PER_MERCHANT";
    let url = text("url", url_expected)?.ok_or_else(wrong("url", url_expected))?;
    let dialect = text("dialect", dialect_expected)?.and_then(Dialect::parse);
    let presence = match text("presence", presence_expected)? {
        Some(name) => PresenceMode::parse(name).ok_or_else(wrong("presence", presence_expected))?,
        None => PresenceMode::None,
    };
    let acknowledges = match object.get("acknowledges") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(acknowledges)) => Some(*acknowledges),
        Some(_) => return Err(wrong("acknowledges", "expected true or false")()),
    };
    let secret = text("secret", "expected a string")?;
    Ok(Wanted {
        // What is longer is refused for its length, and need not be kept.
        url: url.chars().take(URL_MAX_BYTES + 1).collect(),
        dialect: dialect.ok_or_else(wrong("dialect", dialect_expected))?,
        presence,
        acknowledges,
        secret: secret.map(|secret| SecretString::from(secret.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_webhook_is_read_strictly() {
        let read = |body: &str| read_wanted(body.as_bytes()).map_err(|error| error.status().as_u16());
        let wanted = read(r#"{"url":"https://a.example.com/","dialect":"standard"}"#).unwrap();
        assert_eq!(
            (wanted.dialect, wanted.presence, wanted.acknowledges),
            (Dialect::Standard, PresenceMode::None, None)
        );
        assert!(wanted.secret.is_none());
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"url":"x"}"#,
            r#"{"dialect":"IFOOD"}"#,
            r#"{"url":1,"dialect":"IFOOD"}"#,
            r#"{"url":"x","dialect":"SOAP"}"#,
            r#"{"url":"x","dialect":"IFOOD","presence":"SOME"}"#,
            r#"{"url":"x","dialect":"IFOOD","acknowledges":"yes"}"#,
            r#"{"url":"x","dialect":"IFOOD","secret":7}"#,
            r#"{"url":"x","dialect":"IFOOD","paused":false}"#,
        ] {
            assert_eq!(read(wrong).err(), Some(400), "{wrong}");
        }
    }

    #[test]
    fn a_page_is_read() {
        let id = EventId::from_bytes([9; 16]);
        assert_eq!(read_page(None).unwrap(), (50, None));
        assert_eq!(read_page(Some(&format!("limit=7&before={id}&x=y"))).unwrap(), (7, Some(id)));
        for wrong in ["limit=0", "limit=101", "limit=x", "before=x", "limit=99999999"] {
            assert_eq!(read_page(Some(wrong)).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
