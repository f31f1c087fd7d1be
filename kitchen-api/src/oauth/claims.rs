//! Access tokens: what they claim, how they are signed and what makes one count (RELIABILITY, "Security", 4.1).
//!
//! Used by the token endpoint and by the check of every request. jsonwebtoken checks form, algorithm, signature, `iss` and
//! `aud`; times are checked here, with the clock that was passed in.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use order_model::{ApplicationId, SharedClock, Timestamp};
use serde::{Deserialize, Serialize};

use super::cache::{Cache, CachedToken};
use super::keys::{KeyError, Keys};
use crate::config::TokenConfig;
use crate::directory::{Access, Authorisation, Directory};
use crate::entropy::Entropy;
use crate::modules::Modules;
use crate::store::{AuthorisationId, Kind, TokenId};

/// How far the clocks of two instances may be apart, in seconds.
const LEEWAY_S: i64 = 30;
/// A token younger than this may be of an authorisation that this instance has not read yet: 503, not 401, so that no client
/// throws it away.
const JUST_ISSUED_S: i64 = 5;
/// The longest token we look at, in bytes; ours have about 400.
const TOKEN_MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The application.
    sub: String,
    /// Unique per token, a [`TokenId`]: by it a single one is taken back.
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// The authorisation of a distributed application that it is for: a reference, looked up at every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization_id: Option<String>,
}

/// A token that counts.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    /// What its bearer may see.
    pub(crate) access: Arc<Access>,
    /// The modules that its application has now. A token claims none: what was taken away must not come with it.
    pub(crate) modules: Modules,
}

/// Why a token does not count. Clients read only that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is not one of ours")]
    Invalid,
    #[error("the token has expired")]
    Expired,
    #[error("the token counts only later")]
    NotYet,
    #[error("the application, or its authorisation, is not known here yet")]
    NotLoaded,
    #[error("the token was revoked")]
    Revoked,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    keys: Keys,
    header: Header,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime_s: i64,
    cache: Cache,
    clock: SharedClock,
    entropy: Entropy,
}

impl Tokens {
    pub(crate) fn new(config: &TokenConfig, clock: SharedClock, entropy: Entropy) -> Result<Self, KeyError> {
        let keys = Keys::read(config)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(keys.signing_id.clone());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        // Their clock is the system's; ours is the one passed in. See `check_times`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            keys,
            header,
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime_s: i64::try_from(config.lifetime.as_secs()).unwrap_or(i64::MAX),
            cache: Cache::new(&entropy),
            clock,
            entropy,
        })
    }

    /// How long a new token counts, in seconds.
    pub(crate) fn lifetime_s(&self) -> i64 {
        self.lifetime_s
    }

    /// A new token for `application`, whose tokens count from `not_before` on. `iat` has whole seconds, so within the
    /// second of a revocation it is moved past it: the new token counts, those before it do not.
    pub(crate) fn issue(
        &self,
        application: &ApplicationId,
        not_before: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.issue_under(None, application, not_before)
    }

    /// The same of a distributed application, for what one authorisation lets it see.
    pub(crate) fn issue_under(
        &self,
        authorisation: Option<AuthorisationId>,
        application: &ApplicationId,
        not_before: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now_s = self.clock.now().unix_ms() / 1000;
        let issued_s = not_before.unix_s_ceil().clamp(now_s, now_s + 1);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: application.as_str().to_owned(),
            jti: TokenId::from_bytes(self.entropy.bytes()).to_string(),
            iat: issued_s,
            nbf: issued_s,
            exp: now_s.saturating_add(self.lifetime_s),
            authorization_id: authorisation.map(|id| id.to_string()),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.keys.signing)
    }

    /// What the bearer of `token` may do now. The signature is checked once per token; its times, its application and
    /// whether it was revoked every time.
    pub(crate) fn check(&self, token: &[u8], directory: &Directory) -> Result<Admitted, TokenError> {
        let now = self.clock.now();
        let digest = self.cache.digest_of(token);
        if let Some(known) = self.cache.look(&digest, |known| known.admit(now)) {
            return known;
        }
        let token = std::str::from_utf8(token).map_err(|_| TokenError::Invalid)?;
        let verified = self.verify(token, now, directory)?;
        let admitted = verified.admit(now);
        self.cache.insert(digest, verified, now);
        admitted
    }

    fn verify(&self, token: &str, now: Timestamp, directory: &Directory) -> Result<CachedToken, TokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let key = header.kid.and_then(|id| self.keys.verifying.get(&id)).ok_or(TokenError::Invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        let claims = claims.map_err(|_| TokenError::Invalid)?.claims;
        check_times(&claims, now.unix_ms() / 1000)?;
        let id: ApplicationId = claims.sub.parse().map_err(|_| TokenError::Invalid)?;
        let application = directory.find(&id).ok_or_else(|| {
            // Signed by us, so it exists or existed; only a directory that was read can tell which.
            if directory.is_loaded() { TokenError::Revoked } else { TokenError::NotLoaded }
        })?;
        let authorisation = match claims.authorization_id.as_deref() {
            Some(named) => Some(find_authorisation(directory, &id, named, claims.iat, now)?),
            None => None,
        };
        Ok(CachedToken {
            application,
            authorisation,
            id: claims.jti.parse().map_err(|_| TokenError::Invalid)?,
            issued_at: Timestamp::from_unix_ms(claims.iat.saturating_mul(1000)),
            expires_at: Timestamp::from_unix_ms(claims.exp.saturating_add(LEEWAY_S).saturating_mul(1000)),
        })
    }
}

impl CachedToken {
    fn admit(&self, now: Timestamp) -> Result<Admitted, TokenError> {
        if now >= self.expires_at {
            return Err(TokenError::Expired);
        }
        let application = self.application.access();
        if !application.takes_token(self.id, self.issued_at) {
            return Err(TokenError::Revoked);
        }
        let modules = application.modules();
        // A token sees what its authorisation lets it see, and never what the application does beyond it.
        let access = match (&self.authorisation, application.kind()) {
            (None, Kind::Centralised) => application,
            (Some(authorisation), Kind::Distributed) => {
                let access = authorisation.access();
                if !access.counts_for(&application) {
                    return Err(TokenError::Revoked);
                }
                access
            }
            (None, Kind::Distributed) | (Some(_), Kind::Centralised) => return Err(TokenError::Revoked),
        };
        Ok(Admitted { access, modules })
    }
}

/// The authorisation `named` in a token that was issued at `issued_s`.
fn find_authorisation(
    directory: &Directory,
    application: &ApplicationId,
    named: &str,
    issued_s: i64,
    now: Timestamp,
) -> Result<Arc<Authorisation>, TokenError> {
    let id: AuthorisationId = named.parse().map_err(|_| TokenError::Invalid)?;
    directory.find_authorisation(application, id).ok_or_else(|| {
        if !directory.is_loaded() {
            return TokenError::NotLoaded;
        }
        if now.unix_ms() / 1000 >= issued_s.saturating_add(JUST_ISSUED_S) {
            return TokenError::Revoked;
        }
        directory.look_soon();
        TokenError::NotLoaded
    })
}

fn check_times(claims: &Claims, now_s: i64) -> Result<(), TokenError> {
    if now_s >= claims.exp.saturating_add(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.max(claims.iat) > now_s.saturating_add(LEEWAY_S) {
        return Err(TokenError::NotYet);
    }
    Ok(())
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
