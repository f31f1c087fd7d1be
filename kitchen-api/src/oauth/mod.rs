//! OAuth 2: client credentials in, signed tokens out, and the check of every request's token.
//!
//! Used by the routes. A token names its application and nothing else; what the application may see is looked up on
//! every request. User codes, refresh tokens and the Open Delivery token endpoint are absent: a later issue's.

mod attempts;
mod authorised;
mod cache;
mod claims;
mod endpoint;
mod form;
mod keys;

pub use authorised::Authorised;
pub use keys::{KeyError, check_signing_key, generate_signing_key};

pub(crate) use attempts::{Attempts, Limits};
pub(crate) use claims::Tokens;
pub(crate) use endpoint::issue;
pub(crate) use form::pairs as form_pairs;
