//! kitchen-api from outside: real HTTP on a free port, scripted peers behind their real gRPC services.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod acknowledgment;
mod applications;
mod catalog;
mod catalog_batches;
mod catalog_concurrency;
mod catalog_limits;
mod catalog_table;
mod client;
mod directory;
mod documentation;
mod errors;
mod interruptions;
mod limits;
mod merchants;
mod opening_hours;
mod orders;
mod peers;
mod polling;
mod rig;
mod shutdown;
mod store_status;
mod tls;
mod tokens;
