//! How this process takes part in the grid, or reaches it.

pub mod admin_client;
pub mod admin_server;
pub mod control;
pub mod link;
mod lost_log;
pub mod node;
pub mod node_id;
pub mod on_runtime;
pub mod peers;
