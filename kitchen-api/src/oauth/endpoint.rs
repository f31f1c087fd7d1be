//! `POST /authentication/v1.0/oauth/token`: who asks, and for what; `grants` gives it (PARTNER_API, section 1.2).
//!
//! Called by the routes. Unknown clients and wrong secrets answer identically and cost the same.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use order_model::{ApplicationId, Timestamp};
use secrecy::ExposeSecret;
use serde_json::json;

use super::grants::{self, Tokens};
use super::token_form::TokenForm;
use crate::api::Api;
use crate::body::read_body;
use crate::config::Network;
use crate::directory::Application;
use crate::errors::ApiError;
use crate::orders::json_response;
use crate::server::PeerAddress;
use crate::store::HashedSecret;

const FORM: &str = "application/x-www-form-urlencoded";
/// A form of a few fields; secrets and ids are short.
const FORM_MAX_BYTES: usize = 16 * 1024;
/// Answers the token endpoint.
pub(crate) async fn issue(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let (address, body) = read_form(&api, request).await?;
    let form = TokenForm::read(&body)?;
    let now = api.clock.monotonic();
    let attempt = api.attempts.lock().attempt(&form.client_id, address, now);
    attempt.map_err(ApiError::too_many_requests)?;
    let application = match authenticate(&api, &form) {
        Some(application) => application,
        None => authenticate_again(&api, &form, address).await?,
    };
    let tokens = grants::give(&api, &application.access(), &form.grant, address).await?;
    Ok(answer(&tokens, api.tokens.lifetime_s()))
}

/// A form, and the address that its attempts are counted against.
pub(super) async fn read_form(api: &Api, request: Request) -> Result<(IpAddr, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let is_form = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
    };
    if parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| !is_form(value)) {
        return Err(ApiError::unsupported_media_type(FORM));
    }
    let peer = parts.extensions.get::<PeerAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let address = client_address(peer, &parts.headers, &api.trusted_proxies);
    Ok((address, read_body(&parts.headers, body, FORM_MAX_BYTES).await?))
}

fn answer(tokens: &Tokens, lifetime_s: i64) -> Response {
    let mut body = json!({ "accessToken": tokens.access, "type": "bearer", "expiresIn": lifetime_s });
    if let Some(refresh) = &tokens.refresh {
        body["refreshToken"] = json!(refresh.expose_secret());
    }
    never_stored(json_response(Bytes::from(body.to_string())))
}

/// Marks an answer that holds secrets.
pub(super) fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The application whose secret this is. An unknown client costs a comparison as well.
fn authenticate(api: &Api, credentials: &TokenForm) -> Option<Arc<Application>> {
    let now = api.clock.now();
    let id: Option<ApplicationId> = credentials.client_id.parse().ok();
    match id.and_then(|id| api.directory.find(&id)) {
        Some(application) => application.access().takes_secret(&credentials.client_secret, now).then_some(application),
        None => {
            let _ = HashedSecret::new("", [0; 16]).matches(&credentials.client_secret, Timestamp::default());
            None
        }
    }
}

/// A second try after one more look at the table: the application, or its secret, may be newer than the last one. An unknown
/// client and a wrong secret wait alike. The failure is counted before, so that many tries at once are counted, too.
async fn authenticate_again(api: &Api, credentials: &TokenForm, address: IpAddr) -> Result<Arc<Application>, ApiError> {
    if !api.directory.is_loaded() {
        return Err(ApiError::unavailable());
    }
    let now = api.clock.monotonic();
    api.attempts.lock().failed(&credentials.client_id, address, now);
    api.directory.look_again().await;
    let application = authenticate(api, credentials).ok_or_else(|| ApiError::unauthorized("Bad credentials"))?;
    api.attempts.lock().forgive(&credentials.client_id, address, now);
    Ok(application)
}

/// Whom an attempt is counted against: the peer, or, behind trusted proxies, the nearest address that none of them is.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let mut hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    while let Some(hop) = hops.pop() {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) if is_trusted(address) => {}
            Ok(address) => return address,
            Err(_) => return peer,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let trusted = [Network { address: "10.0.0.0".parse().unwrap(), prefix_bits: 8 }];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.1, 203.0.113.7, 10.0.0.2"));
        let address =
            |peer: &str, trusted: &[Network]| client_address(peer.parse().unwrap(), &headers, trusted).to_string();
        assert_eq!(address("10.0.0.1", &trusted), "203.0.113.7", "what the client itself claims is not believed");
        assert_eq!(address("192.0.2.1", &trusted), "192.0.2.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }
}
