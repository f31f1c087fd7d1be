//! The tokens that a client gets, once it has proven who it is: for its credentials, for a code, for a refresh token.
//!
//! Called by `endpoint`. A code or a refresh token that does not count is answered like a wrong secret, whatever is wrong with it.

use std::net::IpAddr;

use http::StatusCode;
use secrecy::SecretString;

use super::token_form::Grant;
use crate::api::Api;
use crate::directory::Access;
use crate::errors::ApiError;
use crate::store::authorisations::{authorisation_of_refresh_token, user_code_of_verifier};
use crate::store::{Client, Granted, Kind, StoreError};

/// What is answered.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<SecretString>,
}

/// Gives `client` what it asks for.
///
/// # Errors
/// 400 for a grant that its kind of application does not have, 401 for a code or token that does not count.
pub(super) async fn give(api: &Api, client: &Access, grant: &Grant, address: IpAddr) -> Result<Tokens, ApiError> {
    let id = client.scope.application();
    match (grant, client.kind()) {
        (Grant::ClientCredentials, Kind::Centralised) => {
            let access = api.tokens.issue(id, client.not_before()).map_err(|error| not_signed(&error))?;
            Ok(Tokens { access, refresh: None })
        }
        (Grant::ClientCredentials, Kind::Distributed) => Err(wrong_grant(
            "This application is distributed: ask for a user code and use grantType authorization_code, then refresh_token.",
        )),
        (Grant::AuthorizationCode { .. } | Grant::RefreshToken(_), Kind::Centralised) => {
            Err(wrong_grant("This application is centralised: use grantType client_credentials."))
        }
        (Grant::AuthorizationCode { code, verifier }, Kind::Distributed) => {
            let subject = user_code_of_verifier(verifier).map(|code| code.to_string());
            let attempts = Tries { api, address, subject: subject_of(subject.as_deref(), client) };
            let granted = attempts.bounded(api.authorisations.exchange(&asking(client), verifier, code)).await?;
            tokens_of(api, client, granted).await
        }
        (Grant::RefreshToken(token), Kind::Distributed) => {
            let subject = authorisation_of_refresh_token(token).map(|id| id.to_string());
            let attempts = Tries { api, address, subject: subject_of(subject.as_deref(), client) };
            let granted = attempts.bounded(api.authorisations.refresh(&asking(client), token)).await?;
            tokens_of(api, client, granted).await
        }
    }
}

fn asking(client: &Access) -> Client {
    Client { application: client.scope.application().clone(), authorised_from: client.authorised_from() }
}

/// What failures are counted against: the request or the authorisation named, of this client. First what is short: the
/// count looks at the beginning of a long name only.
fn subject_of(named: Option<&str>, client: &Access) -> String {
    format!("{} {}", named.unwrap_or("-"), client.scope.application())
}

/// Tries at one code or one authorisation from one address.
struct Tries<'a> {
    api: &'a Api,
    address: IpAddr,
    subject: String,
}

impl Tries<'_> {
    /// Lets `step` decide, if there may be another try. A try is counted as failed before its outcome is known, so that many
    /// at once are counted, too.
    async fn bounded(
        &self,
        step: impl Future<Output = Result<Option<Granted>, StoreError>>,
    ) -> Result<Granted, ApiError> {
        let now = self.api.clock.monotonic();
        {
            let mut attempts = self.api.attempts.lock();
            attempts.attempt(&self.subject, self.address, now).map_err(ApiError::too_many_requests)?;
            attempts.refused(&self.subject, self.address, now);
        }
        let outcome = step.await;
        if !matches!(outcome, Ok(None)) {
            self.api.attempts.lock().forgive_refused(&self.subject, self.address, now);
        }
        outcome.map_err(|error| unavailable(&error))?.ok_or_else(|| ApiError::unauthorized("Bad credentials"))
    }
}

async fn tokens_of(api: &Api, client: &Access, granted: Granted) -> Result<Tokens, ApiError> {
    let Granted { authorisation, refresh_token } = granted;
    let id = client.scope.application();
    if api.directory.find_authorisation(id, authorisation).is_none() {
        // Approved a moment ago: the token must count here as soon as it is sent. Elsewhere it does within a second.
        api.directory.look_again().await;
    }
    let access = api.tokens.issue_under(Some(authorisation), id, client.not_before());
    let access = access.map_err(|error| not_signed(&error))?;
    Ok(Tokens { access, refresh: Some(refresh_token) })
}

fn wrong_grant(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "UnauthorizedClient", message).at_field("grantType")
}

fn not_signed(error: &jsonwebtoken::errors::Error) -> ApiError {
    tracing::error!(%error, "no token could be signed");
    ApiError::unavailable()
}

/// A step on the table failed. What it says is for the log.
pub(super) fn unavailable(error: &StoreError) -> ApiError {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "an authorisation cannot be read or written");
    ApiError::unavailable()
}
