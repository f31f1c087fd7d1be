//! Which merchants exist and who is online.
//!
//! kitchen-api sends the latest beat of each merchant to whoever leads its partition; there a sweep judges all of them
//! every 5 s, a brake keeps our own outages from closing anybody, and each transition is replicated, written, then
//! published to `merchant-status`. Profiles are kept here too, and served by any node. Orders and HTTP are deliberately
//! absent; whether a merchant is open now is judged by whoever answers.

mod config;
mod error;
mod leading;
mod led;
mod outbox;
#[cfg(feature = "planted-bugs")]
pub mod planted_bugs;
pub mod presence;
pub mod profile;
mod replicate;
mod restore;
mod rpc;
mod service;
pub mod store;
mod sweep;
mod term;
mod totals;

/// Who leads a partition, and a node's id, as the grid tells them.
pub use replicated_grid::{Leadership, NodeId};

pub use config::Config;
pub use error::Error;
pub use presence::PresencePartition;
pub use rpc::grpc;
pub use service::{Dependencies, Handle, Service, single_node};
pub use store::create_tables;
pub use totals::PartitionTotals;
