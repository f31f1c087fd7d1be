//! The proof that a request carries a token that counts. A handler that reads anything takes one as its parameter.
//!
//! Made only by [`Api::authenticate`] and those that call it. A feed takes [`event_feed::AuthorisedMerchants`], which only the scope in here
//! makes. Whether the application has the module of what is asked for is decided here as well, before any handler has looked at anything.

use std::sync::Arc;

use event_feed::Scope;
use http::{HeaderMap, HeaderValue, header};
use order_model::ApplicationId;

use super::claims::{Admitted, TokenError};
use crate::api::Api;
use crate::directory::Access;
use crate::errors::ApiError;
use crate::modules::{Module, Modules};

/// How the value of an `Authorization` header begins, in any case.
const SCHEME: &[u8] = b"Bearer ";

/// An application whose token was checked for this request.
#[derive(Debug, Clone)]
pub struct Authorised {
    access: Arc<Access>,
    modules: Modules,
}

impl Authorised {
    /// Whose request it is.
    pub fn application(&self) -> &ApplicationId {
        self.access.scope.application()
    }

    /// What it may see.
    pub fn scope(&self) -> &Scope {
        &self.access.scope
    }

    /// What is known of the application, with its whole scope authorised.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Whether its application has `module` now, as far as the directory knows.
    ///
    /// # Errors
    /// 403 where it has not.
    pub(crate) fn require(&self, module: Module) -> Result<(), ApiError> {
        if self.modules.has(module) { Ok(()) } else { Err(ApiError::module_not_granted(module)) }
    }
}

impl Api {
    /// Checks the token of a request, see [`super::Tokens::check`], and that its application has `module`.
    pub(crate) fn authorise_for(&self, headers: &HeaderMap, module: Module) -> Result<Authorised, ApiError> {
        let authorised = self.authenticate(headers)?;
        authorised.require(module)?;
        Ok(authorised)
    }

    /// Checks the token of a request, whatever modules its application has.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Authorised, ApiError> {
        let value = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let token = value.and_then(bearer).ok_or_else(|| ApiError::unauthorized("A bearer token is required."))?;
        let Admitted { access, modules } = self.tokens.check(token, &self.directory).map_err(refusal)?;
        Ok(Authorised { access, modules })
    }
}

fn refusal(error: TokenError) -> ApiError {
    match error {
        TokenError::NotLoaded => ApiError::unavailable(),
        TokenError::Expired => ApiError::unauthorized("The token has expired."),
        TokenError::Invalid | TokenError::NotYet | TokenError::Revoked => {
            ApiError::unauthorized("The token is not valid.")
        }
    }
}

/// Bytes, because what is inside is looked at only where a token is not known yet.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.trim_ascii().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b" bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"abc", b"Bearer", b"Bearerabc", b""] {
            assert_eq!(bearer(other), None);
        }
    }
}
