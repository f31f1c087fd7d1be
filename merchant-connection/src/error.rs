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
    /// The grid has another number of partitions than the settings say.
    #[error("merchant-connection: partitions is {configured}, and the grid has {of_grid}")]
    Partitions {
        /// By the settings.
        configured: u16,
        /// By the grid.
        of_grid: u16,
    },
    /// A task panicked, which is a bug.
    #[error("a task of merchant-connection failed")]
    Task(#[source] tokio::task::JoinError),
}
