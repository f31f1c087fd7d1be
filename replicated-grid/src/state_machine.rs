//! The interface that a replicated state implements: `apply(at, command) -> reply`, snapshot, restore.
//!
//! Everything is bytes that start with a format version, because a log and a snapshot outlive the code that wrote
//! them. An implementation iterates in a fixed order and reads neither clock nor randomness: two replicas that applied
//! the same commands at the same times must be equal byte for byte.

/// The grid's own time: milliseconds since 1970, never going back, attached to each command by the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ReplicatedTime {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

/// The state of one partition.
pub trait StateMachine: Sized + Send + Sync + 'static {
    /// Applies one command and answers its reply. Must not panic on any bytes: a command that cannot be read is
    /// answered with a reply that says so, the same on every replica.
    fn apply(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8>;

    /// The whole state, such that `restore(snapshot())` equals it.
    fn snapshot(&self) -> Vec<u8>;

    /// A state from what `snapshot` wrote.
    ///
    /// # Errors
    /// When the bytes are not a snapshot of a version this code reads.
    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError>;
}

/// A snapshot could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("snapshot cannot be restored: {reason}")]
pub struct RestoreError {
    /// What was wrong with it, e.g. `format version 9 is not known`.
    pub reason: String,
}
