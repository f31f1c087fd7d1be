//! Puts the services together: AWS, configuration of each role, who talks to whom, and when what stops.
//!
//! Used by `dev`, `run` and the administrative commands. The services do not know each other; this does.

pub mod adapters;
pub mod admission;
pub mod aws;
pub mod beside;
pub mod children;
pub mod cluster;
#[cfg(feature = "local-aws")]
pub mod dev;
#[cfg(feature = "local-aws")]
pub mod dev_nodes;
pub mod feed_port;
pub mod foundation;
pub mod grid;
pub mod initialise;
pub mod internal_rpc;
pub mod listeners;
pub mod members;
pub mod production;
pub mod reachability;
pub mod roles;
pub mod seed;
pub mod signals;
pub mod without_development;
