//! The table `requests`: what is remembered of requests, so that a repeat has the effect of one. Nobody else names it.
//!
//! [`RequestTable`] is what the binary passes in; `crate::idempotency`, `crate::simulator` and `crate::shipping` use it. Items, all with a `format`
//! number and a time after which they may be deleted:
//!
//! ```text
//! pk                    sk         holds
//! request#<digest>      request    an Idempotency-Key in use: fingerprint, effect, holder, held_until_ms, kept_until_ms; with
//!                                  the answer once there is one: status, content_type, body
//! quote#<id>            quote      what a courier was offered for: application, merchant, distance_m, fee_cents, within_s,
//!                                  valid_until_ms; nothing of where it goes
//! simulator#<digest>    slot#<nn>  an order that was simulated and may be open: order, placed_at_ms
//! ```
//!
//! The other keys are digests of whose they are: an Idempotency-Key may hold anything, and is not kept itself.

mod answers;
#[cfg(test)]
mod hostile;
mod quotes;
mod slots;

use aws_sdk_dynamodb::Client;

use super::StoreError;
use super::requests::Unavailable;

pub(crate) use answers::{KeptAnswer, Progress, Remembered};
pub(crate) use quotes::Quote;
pub(crate) use slots::Slot;

/// The format of every item this version writes.
const FORMAT: u64 = 1;

/// The table's name under `prefix`.
pub(super) fn table_name(prefix: &str) -> String {
    format!("{prefix}requests")
}

/// The table, as it is handed around.
#[derive(Clone)]
pub struct RequestTable {
    client: Client,
    table: String,
}

impl RequestTable {
    /// The table `requests` under `prefix`.
    pub fn new(client: Client, prefix: &str) -> Self {
        Self { client, table: table_name(prefix) }
    }
}

impl std::fmt::Debug for RequestTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestTable").field("table", &self.table).finish_non_exhaustive()
    }
}

/// A step on the table that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestTableError {
    /// DynamoDB did not answer, throttled, or refused for a reason of its own.
    #[error("{operation} on the table of requests failed")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A stored item is not what this version writes.
    #[error("an item of the table of requests cannot be read")]
    Unreadable(#[source] StoreError),
}

impl From<Unavailable> for RequestTableError {
    fn from(Unavailable { operation, source }: Unavailable) -> Self {
        Self::Unavailable { operation, source }
    }
}

impl From<StoreError> for RequestTableError {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}
