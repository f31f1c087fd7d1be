//! Queues and topics without a network: for tests, for the simulation, and for what either wants to go wrong.
//!
//! Semantics and limits are those of [`crate::sqs`] and [`crate::sns`]; one contract suite runs over both. All time is
//! tokio's, so that it can be paused, and all chance comes from a seed. Deliberately absent: retention.

mod faults;
mod queue;
mod topic;

pub use faults::Faults;
pub use queue::InMemoryQueue;
pub use topic::InMemoryTopic;
