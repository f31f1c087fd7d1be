//! Why a log could not be opened, with what the operator can do.

use std::io;

/// The log was not opened; nothing was changed in its directory except what an interrupted start had left over.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A plain value in [`super::Config`] cannot work.
    #[error("log: {0}")]
    Config(&'static str),
    /// Another process, or another log of this one, uses the directory.
    #[error("log: {place} is in use by another process; every node needs a directory of its own")]
    InUse {
        /// The directory.
        place: String,
    },
    /// The directory is not this node's.
    #[error(
        "log: {place} belongs to {found}, this is {expected}; start with that node's id, or with another directory"
    )]
    ForeignDirectory {
        /// The directory.
        place: String,
        /// Whose it is.
        found: String,
        /// Who asks.
        expected: String,
    },
    /// Bytes are not what was written, and no interrupted write explains it.
    #[error(
        "log: {place}/{file} is damaged at byte {offset}: {reason}. This node must not go on with what is left, it could \
         forget what it promised. Remove it from the cluster, delete {place}, and add it again as a new node: its \
         peers have everything"
    )]
    Damaged {
        /// The directory.
        place: String,
        /// Which file.
        file: String,
        /// Where the first byte is that cannot be trusted.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    #[error("log: {step} failed in {place}")]
    Io {
        /// The directory.
        place: String,
        /// What was tried.
        step: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}
