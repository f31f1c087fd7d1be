//! The table `webhooks`: what applications have asked for, and every delivery. Nobody else names it.
//!
//! Items, all with a `format` number:
//!
//! ```text
//! pk                     sk                holds
//! subscriptions          the head          revision: one for all, grows with every change of one
//! subscriptions          <application>     the webhook with its signing secrets, version
//! application#<id>       health            failing_since_ms, what failed last
//! application#<id>       lease             who looks after it, until when; next_keepalive_ms
//! deliveries#<id>        <event id>        the delivery with its event and its latest attempts, version; kept for a week
//! merchant#<id>          pos-menu          where its POS serves its document, how reading it went, version
//! merchant#<id>          pos-document#<generation>#<part>   a part of that document
//! ```
//!
//! The sparse index `due` (lane, at_ms) lists what waits (`waiting#<id>`, by when it is due) and the dead letters (`dead#<id>`, by when they
//! died), and the documents of POSes (`pos-menus`, by when they are to be read). It may lag: who takes a delivery reads the item itself and writes it where its version is still the one that was read.
//!
//! A signing secret is kept as it is, because it has to sign; a client secret's hash cannot. The table is encrypted at rest by DynamoDB and
//! read by this crate alone, which answers with no stored secret.

mod applications;
mod deliveries;
mod delivery_item;
#[cfg(test)]
mod hostile;
mod item;
mod pos_menus;
mod subscriptions;
mod table;

pub use table::create_tables;

pub(super) use applications::Health;
pub(super) use deliveries::{Lane, Recorded, Waiting};

use aws_sdk_dynamodb::Client;

use crate::store::requests::Unavailable;

/// A step on the table that failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookStoreError {
    /// DynamoDB did not answer, throttled, or refused for a reason of its own.
    #[error("{operation} on the table of webhooks failed")]
    Unavailable {
        /// The DynamoDB operation.
        operation: &'static str,
        /// What the SDK says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Others kept changing the same webhook.
    #[error("the webhook kept changing; try again")]
    Contended,
    /// A stored item is not what this version writes.
    #[error("an item of the table of webhooks has no valid {field}")]
    Malformed {
        /// The attribute.
        field: &'static str,
    },
}

impl From<Unavailable> for WebhookStoreError {
    fn from(Unavailable { operation, source }: Unavailable) -> Self {
        Self::Unavailable { operation, source }
    }
}

impl WebhookStoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contended)
    }
}

/// The table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WebhookStore {
    client: Client,
    table: String,
}

impl WebhookStore {
    /// The table `webhooks` under `prefix`.
    pub(crate) fn new(client: Client, prefix: &str) -> Self {
        Self { client, table: table::table_name(prefix) }
    }
}

impl std::fmt::Debug for WebhookStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookStore").field("table", &self.table).finish_non_exhaustive()
    }
}
