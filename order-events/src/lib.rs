//! order-events: the primary feed. Decides which events each application still has to see for each merchant.
//!
//! kitchen-api polls and acknowledges through a [`Handle`] in its own process, or over [`connections`] and, for what is
//! rare, gRPC ([`rpc`]). [`state`] is the pure, deterministic heart, run by `replicated-grid`; everything around it is a
//! thin shell: the consumer of the feed queue, rebuilding and the fence (with connection-polling), gap filling and the
//! order cache (with gateway-core).
//! Every node consumes and takes acknowledgments; a partition is polled, fenced, rebuilt and expired only where it is led.
//! HTTP, judging transitions and any store of its own are deliberately absent.

pub mod connections;
mod consumer;
mod dependency;
mod fence;
mod gaps;
mod import;
mod ingest;
mod leading;
mod news;
mod order_cache;
mod poll;
mod rebuild;
mod reconcile;
pub mod rpc;
mod service;
mod soft_state;
pub mod state;
mod telemetry;
mod upkeep;

/// Who leads a partition, and a node's id, as the grid tells them.
pub use replicated_grid::{Leadership, NodeId};

pub use leading::{PartitionStatus, Rebuilding};
pub use news::{News, Subscription};
pub use order_cache::CachedOrder;
pub use poll::{PollFlags, PollOutcome, RefusalReason, Refused};
pub use service::{Config, Dependencies, Error, Handle, Service, single_node};
pub use state::Limits;
