//! What can go wrong with the service as a whole. What goes wrong with one message is a
//! [`crate::decision::Decision`].

/// The service could not be built or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("gateway-agent: {problem}")]
    Configuration {
        /// Which, and its range.
        problem: &'static str,
    },
    /// A part of the service panicked.
    #[error("gateway-agent: {part} ended unexpectedly")]
    Ended {
        /// Which part.
        part: &'static str,
        /// How it ended.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// Whether starting the service again may help.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}
