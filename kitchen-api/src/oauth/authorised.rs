//! The proof that a request carries a token that counts. A handler that reads anything takes one as its parameter.
//!
//! Made only by [`Api::authorise`]. A feed takes [`event_feed::AuthorisedMerchants`], which only the scope in here makes.

use std::sync::Arc;

use event_feed::Scope;
use http::{HeaderMap, header};
use order_model::ApplicationId;

use super::claims::TokenError;
use crate::api::Api;
use crate::directory::Access;
use crate::errors::ApiError;

/// An application whose token was checked for this request.
#[derive(Debug, Clone)]
pub struct Authorised {
    access: Arc<Access>,
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
}

impl Api {
    /// Checks the token of a request: its signature (once), its times and its application (every time).
    pub(crate) fn authorise(&self, headers: &HeaderMap) -> Result<Authorised, ApiError> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(bearer).ok_or_else(|| ApiError::unauthorized("A bearer token is required."))?;
        let token = self.tokens.check(token, &self.directory).map_err(refusal)?;
        let access = token.application.access();
        if !access.takes_token_of(token.issued_at) {
            return Err(refusal(TokenError::Revoked));
        }
        Ok(Authorised { access })
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

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
