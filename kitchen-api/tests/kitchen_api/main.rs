//! kitchen-api from outside: real HTTP on a free port, scripted peers behind their real gRPC services.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod acknowledgment;
mod activation;
mod applications;
mod authorisations;
mod catalog;
mod catalog_batches;
mod catalog_concurrency;
mod catalog_limits;
mod catalog_table;
mod client;
mod directory;
mod disputes;
mod documentation;
mod errors;
mod event_stream;
mod interruptions;
mod limits;
mod merchants;
mod nobody_authorises;
mod open_delivery;
mod open_delivery_orders;
mod opening_hours;
mod orders;
mod peers;
mod polling;
mod polling_options;
mod rate_limits;
mod rig;
mod shutdown;
mod sign_in;
mod store_status;
mod tls;
mod tokens;
mod unacknowledged;
mod waiting_polls;
