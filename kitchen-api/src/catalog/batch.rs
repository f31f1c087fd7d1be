//! What a batch is: changes of prices or statuses, applied in order, each with a result of its own.
//!
//! Pure; made by `endpoints`, worked off by `worker`, stored page by page. The derived serialisation is what the table keeps.

use serde::{Deserialize, Serialize};

use super::edits::{Change, Expected, Patch, patch};
use super::entities::{Availability, Context, EntityKind, Key, Price};
use super::menu::{Halt, Menu};

/// One entry as it is stored, with its result once it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    change: StoredChange,
    pub(super) result: EntryResult,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryResult {
    Pending,
    Success,
    Failed { field: Option<String>, message: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum StoredChange {
    ItemPrice(Option<Price>, Vec<(Context, Price)>),
    ItemStatus(Option<Availability>, Vec<(Context, Availability)>),
    OptionPrice(Option<Price>, Vec<(Context, Price)>),
    OptionStatus(Option<Availability>, Vec<(Context, Availability)>),
}

impl Entry {
    pub(super) fn new(patch: Patch) -> Self {
        let is_item = patch.key.kind == EntityKind::Item;
        let change = match (patch.change, is_item) {
            (Change::Price { price, by_context }, true) => StoredChange::ItemPrice(price, by_context),
            (Change::Price { price, by_context }, false) => StoredChange::OptionPrice(price, by_context),
            (Change::Status { status, by_context }, true) => StoredChange::ItemStatus(status, by_context),
            (Change::Status { status, by_context }, false) => StoredChange::OptionStatus(status, by_context),
        };
        Self { id: patch.key.id, change, result: EntryResult::Pending }
    }

    fn patch(&self) -> Patch {
        let id = self.id.clone();
        let (key, change) = match self.change.clone() {
            StoredChange::ItemPrice(price, by_context) => (Key::item(id), Change::Price { price, by_context }),
            StoredChange::ItemStatus(status, by_context) => (Key::item(id), Change::Status { status, by_context }),
            StoredChange::OptionPrice(price, by_context) => (Key::option(id), Change::Price { price, by_context }),
            StoredChange::OptionStatus(status, by_context) => (Key::option(id), Change::Status { status, by_context }),
        };
        Patch { key, change }
    }
}

/// Applies one page of entries and answers with their results. One that is refused changes nothing and stops nobody.
pub(super) fn apply(menu: &mut Menu, entries: &[Entry]) -> Result<Vec<Entry>, Halt> {
    let patches: Vec<Patch> = entries.iter().map(Entry::patch).collect();
    menu.want(patches.iter().map(|patch| &patch.key))?;
    let mut done = Vec::with_capacity(entries.len());
    for (entry, wanted) in entries.iter().zip(&patches) {
        let result = match patch(menu, wanted, Expected::Anything) {
            Ok(()) => EntryResult::Success,
            Err(Halt::Unread) => return Err(Halt::Unread),
            Err(Halt::Refused(refusal)) => {
                EntryResult::Failed { field: refusal.field, message: refusal.message.into_owned() }
            }
        };
        done.push(Entry { result, ..entry.clone() });
    }
    Ok(done)
}
