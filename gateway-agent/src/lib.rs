//! gateway-agent: takes what internal apps send to the `orders` queue, converts it, and hands it to gateway-core.
//!
//! It alone decides which external message is a valid order or update, and in which format. A message leaves the queue
//! only after the core has committed it, or after the dead-letter queue has it. Judging transitions is deliberately
//! absent, and so is any state that outlives a restart.
//!
//! Reading order: [`format`] (what a message says), [`decision`] (what follows an attempt), then the shell around them:
//! `worker` (one attempt), `intake` and `probe` (where messages come from), `settlement` (where they go), [`Service`].

pub mod decision;
pub mod format;

mod config;
mod error;
mod gate;
mod held;
mod history;
mod intake;
mod probe;
mod request;
mod service;
mod settlement;
mod telemetry;
mod worker;

pub use config::{Config, Dependencies};
pub use error::Error;
pub use service::{Handle, Service};
