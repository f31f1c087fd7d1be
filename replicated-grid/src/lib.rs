//! Partitions of a deterministic state, kept by whoever leads them.
//!
//! order-events and merchant-connection each run one grid. A [`StateMachine`] is all they provide; a runner decides
//! where its commands are ordered and made durable, and [`Grid`] is what they hold. This crate knows neither orders nor
//! merchants; of `order-model` it uses only the clock seam.

pub mod clock;
pub mod conformance;
pub mod error;
pub mod grid;
pub mod leadership;
pub mod log;
pub mod node;
pub mod peers;
#[cfg(feature = "planted-bugs")]
pub mod planted_bugs;
pub mod questions;
pub mod replicated;
pub mod single_node;
pub mod spawn;
pub mod state_machine;
pub mod transport;

pub use clock::{ClockReading, ReplicatedClock};
pub use error::{ProposeError, ReadError, SnapshotError};
pub use grid::Grid;
pub use leadership::Leadership;
pub use node::{Member, NodeId};
pub use questions::{AskError, Questions};
pub use single_node::{BATCH_COMMANDS_MAX, Config, SingleNode};
pub use state_machine::{ReplicatedTime, RestoreError, StateMachine};
