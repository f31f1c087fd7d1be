//! Why the service could not be built or run, and why a request could not be answered.

use crate::store::StoreError;

/// A failure of the service as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense.
    #[error("{setting} {reason}")]
    InvalidConfig {
        /// The field of `Config`.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `Service::run` was called a second time.
    #[error("the service runs already")]
    AlreadyRunning,
}

/// A request could not be decided. Never a rejection: the same request may well be accepted later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The tables could not be read or written.
    #[error("the order store failed")]
    Store(#[from] StoreError),
    /// merchant-connection could not say who the merchant is.
    #[error("the merchant could not be resolved: merchant-connection is unavailable")]
    MerchantUnavailable,
    /// Others changed the order again and again.
    #[error("the order is being changed by too many others")]
    Contended,
    /// More requests at once than the limit.
    #[error("too many requests at once")]
    Overloaded,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

impl RequestError {
    /// Whether the same request may succeed later.
    pub(crate) const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::MerchantUnavailable | Self::Contended | Self::Overloaded | Self::Stopping => true,
        }
    }
}
