//! OAuth 2: credentials, codes and refresh tokens in, signed tokens out, and the check of every request's token.
//!
//! Used by the routes. A token names its application, and the authorisation it is for when the application is a
//! distributed one; what that may see is looked up on every request. The Open Delivery token endpoint is absent.

mod activation;
mod activation_page;
mod activation_texts;
mod attempts;
mod authorised;
mod cache;
mod claims;
mod endpoint;
mod form;
mod grants;
mod keys;
mod token_form;
mod user_code;

pub use authorised::Authorised;
pub use keys::{KeyError, check_signing_key, generate_signing_key};

pub(crate) use activation::{activate, activation_page};
pub(crate) use attempts::{Attempts, Limits};
pub(crate) use claims::Tokens;
pub(crate) use endpoint::issue;
pub(crate) use form::pairs as form_pairs;
pub(crate) use token_form::FIELD_MAX_BYTES;
pub(crate) use user_code::user_code;
