//! `POST /authentication/v1.0/oauth/token`: client credentials against an access token (PARTNER_API, section 1.2).
//!
//! Called by the routes. Unknown clients and wrong secrets answer identically and cost the same. The snake_case spellings
//! are taken too: refusing them helps nobody.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use order_model::{ApplicationId, Timestamp};
use serde_json::json;

use super::form::pairs;
use crate::api::Api;
use crate::body::read_body;
use crate::config::Network;
use crate::directory::Application;
use crate::errors::ApiError;
use crate::server::PeerAddress;
use crate::store::HashedSecret;

const FORM: &str = "application/x-www-form-urlencoded";
/// A form of four fields; secrets and ids are short.
const FORM_MAX_BYTES: usize = 16 * 1024;
/// The longest client id, secret or grant type we look at, in bytes.
const FIELD_MAX_BYTES: usize = 1024;

#[derive(Default)]
struct Credentials {
    grant_type: String,
    client_id: String,
    client_secret: String,
}

/// Answers the token endpoint.
pub(crate) async fn issue(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
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
    let body = read_body(&parts.headers, body, FORM_MAX_BYTES).await?;
    let credentials = read_credentials(&body)?;

    let now = api.clock.monotonic();
    let attempt = api.attempts.lock().attempt(&credentials.client_id, address, now);
    attempt.map_err(ApiError::too_many_requests)?;
    let application = match authenticate(&api, &credentials) {
        Some(application) => application,
        None => authenticate_again(&api, &credentials, address).await?,
    };
    let access = application.access();
    let token = api.tokens.issue(access.scope.application(), access.not_before()).map_err(|error| {
        tracing::error!(%error, "no token could be signed");
        ApiError::unavailable()
    })?;
    Ok(answer(&token, api.tokens.lifetime_s()))
}

fn answer(token: &str, lifetime_s: i64) -> Response {
    let body = json!({ "accessToken": token, "type": "bearer", "expiresIn": lifetime_s });
    let mut response = Response::new(Body::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn read_credentials(body: &[u8]) -> Result<Credentials, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("The form is not UTF-8."))?;
    let mut credentials = Credentials::default();
    for (name, value) in pairs(text) {
        let field = match &*name {
            "grantType" | "grant_type" => &mut credentials.grant_type,
            "clientId" | "client_id" => &mut credentials.client_id,
            "clientSecret" | "client_secret" => &mut credentials.client_secret,
            _ => continue,
        };
        *field = value.into_owned();
    }
    let missing = |field| ApiError::bad_request(format!("{field} is missing or too long.")).at_field(field);
    let fits = |value: &str| !value.is_empty() && value.len() <= FIELD_MAX_BYTES;
    if !fits(&credentials.grant_type) {
        return Err(missing("grantType"));
    }
    if credentials.grant_type != "client_credentials" {
        let message = "grantType must be client_credentials.";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "UnsupportedGrantType", message).at_field("grantType"));
    }
    if !fits(&credentials.client_id) {
        return Err(missing("clientId"));
    }
    if !fits(&credentials.client_secret) {
        return Err(missing("clientSecret"));
    }
    Ok(credentials)
}

/// The application whose secret this is. An unknown client costs a comparison as well.
fn authenticate(api: &Api, credentials: &Credentials) -> Option<Arc<Application>> {
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
async fn authenticate_again(
    api: &Api,
    credentials: &Credentials,
    address: IpAddr,
) -> Result<Arc<Application>, ApiError> {
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
    fn credentials_are_read_in_both_spellings_and_gaps_are_named() {
        let read = read_credentials(b"grantType=client_credentials&clientId=a&clientSecret=b%2B&x=y").ok().unwrap();
        assert_eq!((read.client_id.as_str(), read.client_secret.as_str()), ("a", "b+"));
        assert!(read_credentials(b"grant_type=client_credentials&client_id=a&client_secret=b").is_ok());
        for (form, status) in [
            ("", 400),
            ("grantType=client_credentials&clientId=a", 400),
            ("grantType=client_credentials&clientSecret=a", 400),
            ("grantType=password&clientId=a&clientSecret=b", 400),
        ] {
            assert_eq!(read_credentials(form.as_bytes()).err().unwrap().status(), status, "{form}");
        }
    }

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
