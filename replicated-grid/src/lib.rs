//! Partitions of a deterministic state, kept by whoever leads them.
//!
//! order-events and merchant-connection each run one grid. A [`StateMachine`] is all they provide; a runner decides
//! where its commands are ordered and made durable. This crate holds the single-node runner; the replicated one takes
//! its place behind the same calls. It knows neither orders nor merchants; of `order-model` it uses only the clock seam.

pub mod clock;
pub mod conformance;
pub mod error;
pub mod single_node;
pub mod state_machine;

pub use clock::{ClockReading, ReplicatedClock};
pub use error::{ProposeError, ReadError, SnapshotError};
pub use single_node::{BATCH_COMMANDS_MAX, Config, SingleNode};
pub use state_machine::{ReplicatedTime, RestoreError, StateMachine};
