//! The table `catalog`: menus and batches, one partition for each merchant. Nobody else names it.
//!
//! [`CatalogTable`] is what the binary passes in; `editing`, `endpoints` and `worker` use it. Items, all with a `format` number:
//!
//! ```text
//! pk               sk                            holds
//! merchant#<id>    head                          revision, totals, modified_at_ms, open_batches; journal while one is applied
//! merchant#<id>    e#<kind>#<id>                 an entity: body (JSON), version, uses; kinds: category, group, item, option, product
//! merchant#<id>    code#<external code>          an entity likewise: whose code it is
//! merchant#<id>    in#<category>#<item>          nothing: which items a category has
//! merchant#<id>    journal#<revision>#<nonce>#<page>  the writes of an edit that is larger than a transaction
//! merchant#<id>    batch#<batch>#                total, done, times, lease; kept for a while once it is finished
//! merchant#<id>    batch#<batch>#p<page>         entries (JSON) and their results
//! merchant#<id>    images                        image_count
//! image#<id>#<digest>  image                     bytes: a picture of this merchant, never changed, removed on demand
//! pending#<shard>  <created>#<merchant>#<batch>  nothing: a batch that is not finished
//! ```
//!
//! Every edit is conditional on the head's revision, so that edits of one merchant happen one after another and whatever a
//! decision has read still holds when it is committed.

mod batches;
mod commit;
#[cfg(test)]
mod hostile;
mod images;
mod items;
mod journal;
mod reads;
mod requests;

use aws_sdk_dynamodb::Client;
use order_model::{MerchantId, Timestamp};

use super::menu::Totals;

pub(super) use batches::{BatchRecord, Found, PENDING_SHARDS, PageCommit, Pending, Taken};
pub(super) use commit::Outcome;
pub(super) use images::{Kept, Removed};
pub(crate) use items::table_name;

/// The attribute that says when an item may be deleted, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at_s";

/// The table, as it is handed around.
#[derive(Clone)]
pub struct CatalogTable {
    client: Client,
    table: String,
}

impl CatalogTable {
    /// The table `catalog` under `prefix`.
    pub fn new(client: Client, prefix: &str) -> Self {
        Self { client, table: table_name(prefix) }
    }
}

impl std::fmt::Debug for CatalogTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogTable").field("table", &self.table).finish_non_exhaustive()
    }
}

/// A step on the table that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatalogError {
    /// DynamoDB did not answer, throttled, or refused for a reason of its own.
    #[error("{operation} on the catalog failed")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A stored item is not what this version writes.
    #[error("an item of the catalog has no valid {field}")]
    Malformed { field: &'static str },
    /// Edits kept being overtaken.
    #[error("the catalog kept changing")]
    Contended,
}

/// What a merchant's catalog is at.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) revision: u64,
    pub(super) totals: Totals,
    pub(super) modified_at: Timestamp,
    /// The journal that has to be applied before anything is read.
    journal: Option<journal::Journal>,
}

fn partition(merchant: MerchantId) -> String {
    format!("merchant#{merchant}")
}
