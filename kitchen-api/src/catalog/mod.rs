//! Catalogs over HTTP: menus of categories, items, products, option groups and options, and batches of changes (PARTNER_API,
//! section 1.6; docs/CATALOG.md).
//!
//! Called by the routes; the worker is run by the service. This crate owns the table, see `store`. `edits` over `menu` decide,
//! `editing` reads and commits. `images` keeps and shows pictures; an `imagePath` is kept as it is sent, whosever it is.

mod answers;
mod batch;
mod editing;
mod edits;
mod endpoints;
mod entities;
mod images;
pub(crate) mod limits;
mod lists;
mod menu;
pub(crate) mod money;
mod picture;
mod picture_cache;
pub(crate) mod reader;
pub(crate) mod refusal;
pub(crate) mod requests;
mod sellable;
mod store;
#[cfg(test)]
mod tests;
mod views;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use order_model::{MerchantId, SharedClock};
use sha2::{Digest, Sha256};

pub(crate) use answers::refused;
pub(crate) use endpoints::answer;
pub(crate) use images::image;
pub use store::CatalogTable;
pub(crate) use store::table_name;

use self::editing::{EditError, Editor};
use self::images::Pictures;
use self::store::CatalogError;
use self::worker::BatchWorker;
use crate::entropy::Entropy;
use crate::errors::ApiError;
use crate::merchants::uuid_text;

/// How many contexts a menu can be shown in.
pub(crate) const CONTEXTS: usize = entities::Context::ALL.len();

/// The catalogs of all merchants.
pub(crate) struct Catalog {
    editor: Editor,
    worker: Arc<BatchWorker>,
    pictures: Pictures,
    failing: AtomicBool,
}

impl Catalog {
    pub(crate) fn new(table: CatalogTable, clock: SharedClock, entropy: Entropy) -> Self {
        let editor = Editor { table, clock, entropy };
        let worker = BatchWorker::new(editor.clone());
        Self { worker, editor, pictures: Pictures::default(), failing: AtomicBool::new(false) }
    }

    /// What works off batches.
    pub(crate) fn worker(&self) -> Arc<BatchWorker> {
        Arc::clone(&self.worker)
    }

    /// What a client reads of an edit that was not made.
    fn refusal(&self, error: EditError) -> ApiError {
        match error {
            EditError::Refused(refusal) => answers::refused(refusal),
            EditError::Store(error) => self.unavailable(&error),
        }
    }

    /// Logged once per episode; what DynamoDB says is not for clients.
    fn unavailable(&self, error: &CatalogError) -> ApiError {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = error as &dyn std::error::Error, "the catalog's table does not answer");
        }
        ApiError::unavailable()
    }

    fn answers_again(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the catalog's table answers again");
        }
    }
}

/// The id of a merchant's one catalog: it exists from the start, and nothing is stored for that.
fn catalog_id(merchant: MerchantId) -> String {
    let mut hash = Sha256::new();
    hash.update(b"catalog");
    hash.update(merchant.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid_text(bytes)
}
