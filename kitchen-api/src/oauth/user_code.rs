//! `POST /authentication/v1.0/oauth/userCode`: a distributed application begins a flow (PARTNER_API, section 1.2).
//!
//! Called by the routes. Needs no secret, as the clients know it: what it gives is worth nothing without the client's secret and an
//! owner's portal key. An unknown client and one that has no such flow answer identically.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::ApplicationId;
use secrecy::ExposeSecret;
use serde_json::json;

use super::activation;
use super::endpoint::{never_stored, read_form};
use super::form::pairs;
use super::grants::unavailable;
use super::token_form::{filled, form_text};
use crate::api::Api;
use crate::errors::{ApiError, Throttle};
use crate::orders::json_response;
use crate::store::{Kind, OPENED_MAX, USER_CODE_LIFETIME};

/// Too many requests were opened. The window they are counted in is ten minutes long; some of it is over.
const TOO_MANY_OPEN: Throttle = Throttle { limit: OPENED_MAX, retry_after_s: 60 };

/// Opens a request for authorisation.
pub(crate) async fn user_code(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let (address, body) = read_form(&api, request).await?;
    let client_id = filled(read_client_id(form_text(&body)?), "clientId")?;
    let (subject, now) = (format!("userCode {client_id}"), api.clock.monotonic());
    let attempt = api.attempts.lock().attempt(&subject, address, now);
    attempt.map_err(ApiError::too_many_requests)?;
    if !api.directory.is_loaded() {
        return Err(ApiError::unavailable());
    }
    let application = match distributed(&api, &client_id) {
        Some(application) => application,
        None => {
            api.attempts.lock().failed(&subject, address, now);
            api.directory.look_again().await;
            let application = distributed(&api, &client_id).ok_or_else(|| ApiError::unauthorized("Bad credentials"))?;
            api.attempts.lock().forgive(&subject, address, now);
            application
        }
    };
    let opened = api.authorisations.open(&application).await.map_err(|error| unavailable(&error))?;
    let opened = opened.ok_or_else(|| ApiError::too_many_requests(TOO_MANY_OPEN))?;
    let url = activation::url(&api.public_url);
    let body = json!({
        "userCode": opened.user_code.to_string(),
        "authorizationCodeVerifier": opened.verifier.expose_secret(),
        "verificationUrl": url,
        "verificationUrlComplete": format!("{url}?c={}", opened.user_code),
        "expiresIn": USER_CODE_LIFETIME.as_secs(),
    });
    Ok(never_stored(json_response(Bytes::from(body.to_string()))))
}

fn read_client_id(form: &str) -> String {
    let sent = pairs(form).filter(|(name, _)| matches!(&**name, "clientId" | "client_id"));
    sent.last().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The application, if it is known, counts and is a distributed one.
fn distributed(api: &Api, client_id: &str) -> Option<ApplicationId> {
    let id: ApplicationId = client_id.parse().ok()?;
    let access = api.directory.find(&id)?.access();
    (access.kind() == Kind::Distributed && !access.is_revoked()).then_some(id)
}
