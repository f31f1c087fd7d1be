//! The table `partner-apps`: applications, their hashed secrets, and what they may see. Nobody else names it.
//!
//! [`Applications`] is the table itself, for the CLI, `dev` and the directory; [`ApplicationStore`] is what the directory reads,
//! [`AuthorisationStore`] what sign-ins need, so that a test can stand in for it. Items, all with a `format` number:
//!
//! ```text
//! pk                      sk                        holds
//! application#<id>        application               name, secrets (salt, digest), revoked, not_before_ms, revision,
//!                                                   distributed?, authorised_from_ms?, revoked_tokens?,
//!                                                   withheld_modules?, open_delivery_version?
//! application#<id>        grant#<merchant>          granted_at_ms
//! application#<id>        authorisation#<id>        merchants, created_at_ms, hashed refresh tokens, version; expires unused
//! authorisation-request#… request                   an open user code: application, hashed verifier, then the hashed code
//! merchant#<id>           portal-key                the hashed key its owner approves with
//! opened#…, keys-…#…      window#<number>           count: attempts of ten minutes
//! directory               head                      revision: one for all applications, grows with every change
//! directory               change#<revision>         application: which one that revision changed, or which authorisation
//!                                                   of it; kept for a day
//! ```

mod announcing;
mod applications;
pub(crate) mod authorisations;
mod changes;
#[cfg(test)]
mod hostile;
pub(crate) mod kept;
mod modules;
mod records;
pub(crate) mod requests;
mod revoked_tokens;
pub(crate) mod table;

use futures::future::BoxFuture;
use order_model::ApplicationId;

use requests::Unavailable;

pub use applications::{Applications, Rotation};
pub(crate) use authorisations::OPENED_MAX;
pub use authorisations::{
    Activation, Approved, AuthorisationId, AuthorisationStore, Client, Granted, MERCHANTS_MAX, Opened,
    ParseAuthorisationIdError, StoredAuthorisation, USER_CODE_LIFETIME, UserCode,
};
pub use kept::RequestTable;
pub use records::{ApplicationRecord, HashedSecret, Kind, StoredApplication};
pub use revoked_tokens::{NamedToken, NoTokenError, ParseTokenIdError, REVOKED_TOKENS_MAX, RevokedToken, TokenId};
pub use table::create_tables;

/// A step on the table that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB did not answer, throttled, or refused for a reason of its own.
    #[error("{operation} on the table of applications failed")]
    Unavailable {
        /// The DynamoDB operation.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Others kept changing the table at the same time.
    #[error("the table of applications kept changing; try again")]
    Contended,
    /// There is no such application.
    #[error("there is no application {0}")]
    UnknownApplication(ApplicationId),
    /// It exists already.
    #[error("application {0} exists already")]
    AlreadyExists(ApplicationId),
    /// It is a distributed application, which is given no merchants.
    #[error("application {0} is distributed: it sees what merchants authorise (`comanda app approve`)")]
    Distributed(ApplicationId),
    /// The application has no such authorisation.
    #[error("the application has no such authorisation")]
    UnknownAuthorisation,
    /// An authorisation is for at least one merchant and at most so many.
    #[error("an authorisation takes 1 to {most} merchants")]
    Merchants {
        /// How many.
        most: usize,
    },
    /// As many tokens of the application are taken back as are kept.
    #[error(
        "{most} tokens of the application are taken back already; a new secret (`comanda app rotate`) ends all of them"
    )]
    RevokedTokens {
        /// How many.
        most: usize,
    },
    /// A stored item is not what this version writes.
    #[error("an item of the table of applications has no valid {field}")]
    Malformed {
        /// The attribute.
        field: &'static str,
    },
}

impl From<Unavailable> for StoreError {
    fn from(Unavailable { operation, source }: Unavailable) -> Self {
        Self::Unavailable { operation, source }
    }
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contended)
    }
}

/// One change of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision that this change made.
    pub revision: u64,
    /// The application it changed.
    pub application: ApplicationId,
    /// When nothing else of it changed: the authorisation that did.
    pub authorisation: Option<AuthorisationId>,
}

/// What the directory reads.
pub trait ApplicationStore: Send + Sync {
    /// The newest revision; 0 when nothing was ever stored. Strongly consistent, like everything here.
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The changes after `revision`, oldest first, at most [`CHANGES_MAX`].
    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>>;

    /// One application with its grants and authorisations.
    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>>;

    /// One authorisation of an application.
    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>>;

    /// Every application with its grants and authorisations.
    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>>;
}

/// Changes read at a time; what is left is read at once after.
pub const CHANGES_MAX: i32 = 1_000;
