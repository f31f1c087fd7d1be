//! The replicated runner: every partition a raft group, over several nodes.
//!
//! openraft is used here and nowhere else, and none of its types is public. The node, its network, its log and its
//! snapshots are passed in.

mod addresses;
mod admin;
mod asking;
mod batcher;
mod calls;
mod changes;
mod codec;
mod config;
mod control;
mod directory;
mod dispatch;
mod entries;
mod erased;
mod forwarding;
mod group;
mod group_watch;
#[cfg(test)]
mod hostile;
mod keeper;
mod lease;
mod log_storage;
mod machine;
mod messages;
mod network;
mod node;
mod proposals;
mod raft_types;
mod reconcile;
mod rejoin;
mod reports;
mod requests;
mod role;
mod runtime;
mod snapshot;
mod snapshot_transfer;
mod standing;
mod status;
mod time;

pub use admin::AdminError;
pub use config::{Config, Dependencies, Identity, StartError};
pub use node::ReplicatedNode;
pub use status::{GridStatus, MemberStatus, PartitionStatus};
