//! How entities and heads become items of the table, and back.
//!
//! Used by the rest of `store`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use order_model::{MerchantId, Timestamp};

use super::{CatalogError, CatalogTable, Head, journal, partition};
use crate::catalog::entities::{Entity, EntityKind, Key};
use crate::catalog::menu::{Stored, Totals};
use crate::store::requests::unavailable;

/// The format of every item this version writes.
pub(super) const FORMAT: u64 = 1;
/// The sort key of a merchant's head.
pub(super) const HEAD_SK: &str = "head";
/// What the sort keys of all entities begin with, but those of codes.
pub(super) const ENTITIES: &str = "e#";

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The table's name under `prefix`.
pub(crate) fn table_name(prefix: &str) -> String {
    format!("{prefix}catalog")
}

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// An item with its keys and its format.
pub(super) fn item(pk: &str, sk: &str) -> Item {
    let mut item = key(pk, sk);
    item.insert("format".to_owned(), number(FORMAT));
    item
}

pub(super) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn read_text<'a>(item: &'a Item, field: &'static str) -> Result<&'a str, CatalogError> {
    let value = item.get(field).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or(CatalogError::Malformed { field })
}

pub(super) fn read_number<T: std::str::FromStr>(item: &Item, field: &'static str) -> Result<T, CatalogError> {
    let value = item.get(field).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok());
    value.ok_or(CatalogError::Malformed { field })
}

/// A number that is not there is none.
pub(super) fn read_optional<T: std::str::FromStr>(item: &Item, field: &'static str) -> Result<Option<T>, CatalogError> {
    if item.contains_key(field) { read_number(item, field).map(Some) } else { Ok(None) }
}

/// The revision of a head, from 0. One that could not grow any more was never written: at an edit a nanosecond it would have
/// taken 292 years.
fn read_revision(item: &Item) -> Result<u64, CatalogError> {
    let revision = read_optional(item, "revision")?.unwrap_or_default();
    if revision < i64::MAX.unsigned_abs() { Ok(revision) } else { Err(CatalogError::Malformed { field: "revision" }) }
}

/// A newer version may have written what this one would misread.
pub(super) fn check_format(item: &Item) -> Result<(), CatalogError> {
    let format: u64 = read_number(item, "format")?;
    if format == FORMAT { Ok(()) } else { Err(CatalogError::Malformed { field: "format" }) }
}

/// What the sort keys of a kind begin with.
pub(super) const fn kind_prefix(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Category => "e#category#",
        EntityKind::Code => "code#",
        EntityKind::Group => "e#group#",
        EntityKind::Item => "e#item#",
        EntityKind::Option => "e#option#",
        EntityKind::Product => "e#product#",
    }
}

pub(super) fn entity_sk(key: &Key) -> String {
    format!("{}{}", kind_prefix(key.kind), key.id)
}

pub(super) fn entity_item(pk: &str, key: &Key, stored: &Stored) -> Result<Item, CatalogError> {
    let mut item = item(pk, &entity_sk(key));
    let body = serde_json::to_string(&stored.entity).map_err(|error| unavailable("writing an entity", error))?;
    item.insert("body".to_owned(), text(body));
    item.insert("version".to_owned(), number(stored.version));
    item.insert("uses".to_owned(), number(stored.uses));
    Ok(item)
}

pub(super) fn read_entity(item: &Item) -> Result<(Key, Stored), CatalogError> {
    check_format(item)?;
    let entity: Entity =
        serde_json::from_str(read_text(item, "body")?).map_err(|_| CatalogError::Malformed { field: "body" })?;
    let kind = entity.kind();
    let id = read_text(item, "sk")?.strip_prefix(kind_prefix(kind)).ok_or(CatalogError::Malformed { field: "sk" })?;
    let stored = Stored { version: read_number(item, "version")?, uses: read_number(item, "uses")?, entity };
    Ok((Key::new(kind, id), stored))
}

pub(super) fn read_head(item: &Item) -> Result<Head, CatalogError> {
    check_format(item)?;
    let count = |field| read_optional(item, field).map(Option::unwrap_or_default);
    let totals = Totals {
        categories: count("categories")?,
        items: count("items")?,
        products: count("products")?,
        groups: count("groups")?,
        options: count("options")?,
        bytes: read_optional(item, "bytes")?.unwrap_or_default(),
    };
    Ok(Head {
        // A head that only counts batches has none yet.
        revision: read_revision(item)?,
        totals,
        modified_at: Timestamp::from_unix_ms(read_optional(item, "modified_at_ms")?.unwrap_or_default()),
        journal: journal::Journal::read(item)?,
    })
}

/// One write of an edit, beside the head's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Write {
    Put(Item),
    /// By its sort key.
    Delete(String),
}

impl CatalogTable {
    pub(super) fn in_transaction(&self, pk: &str, write: Write) -> Result<TransactWriteItem, CatalogError> {
        let transaction = TransactWriteItem::builder();
        Ok(match write {
            Write::Put(item) => {
                let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
                transaction.put(put.map_err(|error| unavailable("Put", error))?).build()
            }
            Write::Delete(sk) => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key(pk, &sk))).build();
                transaction.delete(delete.map_err(|error| unavailable("Delete", error))?).build()
            }
        })
    }
}

/// Which category an item is in, as the table lists it.
pub(super) fn place_sk(category: &str, item: &str) -> String {
    format!("{}{item}", places(category))
}

/// What the places of a category's items begin with.
pub(super) fn places(category: &str) -> String {
    format!("in#{category}#")
}

/// The head's key.
pub(super) fn head_key(merchant: MerchantId) -> Item {
    key(&partition(merchant), HEAD_SK)
}
