//! order-events: the primary feed. Decides which events each application still has to see for each merchant.
//!
//! kitchen-api polls and acknowledges through a [`Handle`] in its own process or over gRPC ([`rpc`]). [`state`] is the
//! pure, deterministic heart, run by `replicated-grid`; everything around it is a thin shell: the consumer of the feed
//! queue, rebuilding and the fence (with connection-polling), gap filling and the order cache (with gateway-core).
//! HTTP, judging transitions and any store of its own are deliberately absent.

mod consumer;
mod dependency;
mod fence;
mod gaps;
mod ingest;
mod order_cache;
mod poll;
mod rebuild;
pub mod rpc;
mod service;
mod soft_state;
pub mod state;
mod telemetry;
mod upkeep;

pub use order_cache::CachedOrder;
pub use poll::{PollFlags, PollOutcome, RefusalReason, Refused};
pub use service::{Config, Dependencies, Error, Handle, PartitionStatus, Service};
