//! Which merchants exist and who is online.
//!
//! kitchen-api sends the latest beat of each merchant; a sweep judges all of them every 5 s, a brake keeps our own
//! outages from closing anybody, and each transition is written, then published to `merchant-status`. Profiles are kept
//! here too. Orders and HTTP are deliberately absent; whether a merchant is open now is judged by whoever answers.

mod config;
mod error;
mod grid;
mod outbox;
pub mod presence;
pub mod profile;
mod rpc;
mod service;
pub mod store;
mod sweeper;

pub use config::Config;
pub use error::Error;
pub use rpc::grpc;
pub use service::{Dependencies, Handle, Service};
pub use store::create_tables;
