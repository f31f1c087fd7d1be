//! What merchants have let distributed applications do: requests (user codes), authorisations, refresh tokens, portal keys.
//!
//! A request is opened by the application, approved by a merchant's owner (or an operator) and exchanged for an
//! authorisation's tokens. `request` and `refresh_tokens` decide, purely; `approving` and `granting` read, ask them, and write
//! under the version that was read, so that any instance can take any step. Used by `oauth`, the directory and the CLI.
//! Access tokens are absent: they are signed, not stored.

mod approving;
mod codes;
mod granting;
#[cfg(test)]
mod hostile;
pub(super) mod items;
mod portal_keys;
mod refresh_tokens;
mod request;
mod revoking;

use std::time::Duration;

use event_feed::Grant;
use futures::FutureExt;
use futures::future::BoxFuture;
use order_model::{ApplicationId, MerchantId, Timestamp};
use secrecy::SecretString;

use super::{Applications, StoreError};
use crate::entropy::Entropy;
use refresh_tokens::RefreshTokens;

pub use approving::{Activation, Approved, MERCHANTS_MAX, Opened};
pub use codes::UserCode;
pub(crate) use codes::{authorisation_of_refresh_token, user_code_of_verifier};
pub(crate) use portal_keys::OPENED_MAX;
pub use request::USER_CODE_LIFETIME;

/// Names one authorisation: 128 random bits, 32 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorisationId([u8; 16]);

impl AuthorisationId {
    fn new(entropy: &Entropy) -> Self {
        Self(entropy.bytes())
    }
}

impl std::fmt::Display for AuthorisationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A text that names no authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits")]
pub struct ParseAuthorisationIdError;

impl std::str::FromStr for AuthorisationId {
    type Err = ParseAuthorisationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseAuthorisationIdError)?;
        Ok(Self(bytes))
    }
}

/// What the merchants of one flow have allowed one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAuthorisation {
    /// Its name, in every token of it.
    pub id: AuthorisationId,
    /// The merchants that its tokens see.
    pub grants: Vec<Grant>,
    /// When it was approved.
    pub created_at: Timestamp,
    refresh: RefreshTokens,
    version: u64,
}

impl StoredAuthorisation {
    /// One that was approved at `created_at` and whose tokens nobody has asked for yet.
    pub fn new(id: AuthorisationId, grants: Vec<Grant>, created_at: Timestamp) -> Self {
        Self { id, grants, created_at, refresh: RefreshTokens::default(), version: 1 }
    }
}

/// The application that asks, after it has proven who it is.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id.
    pub application: ApplicationId,
    /// Authorisations approved before this instant do not count.
    pub authorised_from: Timestamp,
}

/// What an exchange or a refresh gives.
#[derive(Debug)]
pub struct Granted {
    /// Whose tokens they are.
    pub authorisation: AuthorisationId,
    /// The refresh token, which cannot be read again.
    pub refresh_token: SecretString,
}

/// What the endpoints of `oauth` need of the table.
pub trait AuthorisationStore: Send + Sync {
    /// Opens a request of `application`, which must be a distributed one; `None` when too many were opened lately.
    fn open<'a>(&'a self, application: &'a ApplicationId) -> BoxFuture<'a, Result<Option<Opened>, StoreError>>;

    /// Approves a request for the merchant whose portal key was typed.
    fn activate<'a>(&'a self, typed_code: &'a str, key: &'a str) -> BoxFuture<'a, Result<Activation, StoreError>>;

    /// Exchanges an authorization code; `None` when anything is wrong.
    fn exchange<'a>(
        &'a self,
        client: &'a Client,
        verifier: &'a str,
        code: &'a str,
    ) -> BoxFuture<'a, Result<Option<Granted>, StoreError>>;

    /// Replaces a refresh token; `None` when anything is wrong.
    fn refresh<'a>(&'a self, client: &'a Client, token: &'a str) -> BoxFuture<'a, Result<Option<Granted>, StoreError>>;
}

impl AuthorisationStore for Applications {
    fn open<'a>(&'a self, application: &'a ApplicationId) -> BoxFuture<'a, Result<Option<Opened>, StoreError>> {
        self.open_request(application).boxed()
    }

    fn activate<'a>(&'a self, typed_code: &'a str, key: &'a str) -> BoxFuture<'a, Result<Activation, StoreError>> {
        self.approve_with_key(typed_code, key).boxed()
    }

    fn exchange<'a>(
        &'a self,
        client: &'a Client,
        verifier: &'a str,
        code: &'a str,
    ) -> BoxFuture<'a, Result<Option<Granted>, StoreError>> {
        self.exchange_code(client, verifier, code).boxed()
    }

    fn refresh<'a>(&'a self, client: &'a Client, token: &'a str) -> BoxFuture<'a, Result<Option<Granted>, StoreError>> {
        self.refresh_token(client, token).boxed()
    }
}

/// How often to decide again because somebody else has just written the item.
const ATTEMPTS: u32 = 20;
/// The pause before that, times the attempt's number.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

fn grants_of(merchants: &[MerchantId], granted_at: Timestamp) -> Vec<Grant> {
    let mut merchants = merchants.to_vec();
    merchants.sort_unstable();
    merchants.dedup();
    merchants.into_iter().map(|merchant| Grant { merchant, granted_at }).collect()
}
