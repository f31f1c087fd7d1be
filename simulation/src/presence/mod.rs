//! What stands around the presence services in a run: models of DynamoDB and of the topic, POS, and whoever asks who is
//! online.
//!
//! merchant-connection, the grid under it and kitchen-api's keepers of beats are the real crates; merchant-connection's store
//! is too, down to the requests that the SDK makes. kitchen-api's HTTP and its breaker are absent: a poll is a beat before
//! either is asked.

pub mod dynamodb;
mod expressions;
pub mod fleet;
pub mod node;
pub mod pos;
pub mod topic;
pub mod watching;

use std::time::Duration;

/// Silence after which a merchant is OFFLINE: a twelfth of the default, as everything here.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(10);

/// How often presence is judged.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// The brake knows an outage only where more than so many merchants are led: merchant-connection's figure.
pub const BRAKE_FLOOR: usize = 50;
