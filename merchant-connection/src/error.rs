//! Why the service could not be built or had to stop.

use std::time::Duration;

/// A failure of the whole service; single calls answer a gRPC status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("merchant-connection: {setting} must be at least {least:?}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// The smallest value.
        least: Duration,
    },
}
