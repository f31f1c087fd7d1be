//! Commits an edit: one transaction conditional on the head's revision, or a journal when it is larger than one.
//!
//! Used by `editing` and by the batches.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use order_model::{MerchantId, Timestamp};

use super::items::{Write, entity_item, entity_sk, head_key, item, number, place_sk, text};
use super::journal::Journal;
use super::requests::Transacted;
use super::{CatalogError, CatalogTable, partition};
use crate::catalog::entities::{Entity, Key};
use crate::catalog::menu::{Menu, Stored};
use crate::store::requests::unavailable;

/// Items in one transaction, DynamoDB's limit.
pub(super) const TRANSACTION_ITEMS: usize = 100;

/// What became of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Outcome {
    Done,
    /// Somebody else has edited in between: it has to be decided again.
    Overtaken,
}

impl CatalogTable {
    /// Commits what `menu` has made different, all or nothing.
    pub(in crate::catalog) async fn commit(
        &self,
        merchant: MerchantId,
        menu: &Menu,
        now: Timestamp,
        nonce: [u8; 8],
    ) -> Result<Outcome, CatalogError> {
        let writes = writes(merchant, menu)?;
        if writes.is_empty() {
            return Ok(Outcome::Done);
        }
        if writes.len() < TRANSACTION_ITEMS {
            return self.commit_with(merchant, menu, writes, Vec::new(), 0, now).await;
        }
        let journal = Journal::new(menu.revision() + 1, nonce);
        let journal = self.write_journal(merchant, journal, writes).await?;
        let head = self.head_update(merchant, menu, 0, Some(&journal), now)?;
        match self.transact(vec![head]).await? {
            Transacted::Done => {
                // From here on it is done, whoever finishes it.
                self.head(merchant).await?;
                Ok(Outcome::Done)
            }
            Transacted::Refused { .. } => {
                self.drop_journal(merchant, &journal).await?;
                Ok(Outcome::Overtaken)
            }
        }
    }

    /// Commits an edit that is small enough together with `others`, which may be of any partition.
    pub(super) async fn commit_with(
        &self,
        merchant: MerchantId,
        menu: &Menu,
        writes: Vec<Write>,
        others: Vec<TransactWriteItem>,
        closed_batches: u32,
        now: Timestamp,
    ) -> Result<Outcome, CatalogError> {
        let pk = partition(merchant);
        let mut items = vec![self.head_update(merchant, menu, closed_batches, None, now)?];
        for write in writes {
            items.push(self.in_transaction(&pk, write)?);
        }
        items.extend(others);
        Ok(match self.transact(items).await? {
            Transacted::Done => Outcome::Done,
            Transacted::Refused { .. } => Outcome::Overtaken,
        })
    }

    /// Moves the head to the next revision, from the one that the edit was decided on and from no other.
    fn head_update(
        &self,
        merchant: MerchantId,
        menu: &Menu,
        closed_batches: u32,
        journal: Option<&Journal>,
        now: Timestamp,
    ) -> Result<TransactWriteItem, CatalogError> {
        let base = menu.revision();
        let totals = menu.totals_now();
        let is_at_base = if base == 0 { "attribute_not_exists(revision)" } else { "revision = :base" };
        let mut expression =
            "SET #format = :format, revision = :next, modified_at_ms = :now, #categories = :categories, \
             #items = :items, #products = :products, #groups = :groups, #options = :options, #bytes = :bytes"
                .to_owned();
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(head_key(merchant)))
            .condition_expression(format!("{is_at_base} AND attribute_not_exists(journal)"))
            .expression_attribute_names("#format", "format")
            .expression_attribute_names("#categories", "categories")
            .expression_attribute_names("#items", "items")
            .expression_attribute_names("#products", "products")
            .expression_attribute_names("#options", "options")
            .expression_attribute_names("#groups", "groups")
            .expression_attribute_names("#bytes", "bytes")
            .expression_attribute_values(":format", number(super::items::FORMAT))
            .expression_attribute_values(":next", number(base + 1))
            .expression_attribute_values(":now", number(now.unix_ms()))
            .expression_attribute_values(":categories", number(totals.categories))
            .expression_attribute_values(":items", number(totals.items))
            .expression_attribute_values(":products", number(totals.products))
            .expression_attribute_values(":groups", number(totals.groups))
            .expression_attribute_values(":options", number(totals.options))
            .expression_attribute_values(":bytes", number(totals.bytes));
        if base > 0 {
            update = update.expression_attribute_values(":base", number(base));
        }
        if let Some(journal) = journal {
            expression.push_str(", journal = :journal, journal_pages = :pages");
            update = update
                .expression_attribute_values(":journal", text(&journal.name))
                .expression_attribute_values(":pages", number(journal.pages));
        }
        if closed_batches > 0 {
            expression.push_str(" ADD open_batches :closed");
            update = update.expression_attribute_values(":closed", number(-i64::from(closed_batches)));
        }
        let update = update.update_expression(expression).build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// What an edit writes beside the head, each item once.
pub(super) fn writes(merchant: MerchantId, menu: &Menu) -> Result<Vec<Write>, CatalogError> {
    let pk = partition(merchant);
    let mut writes: BTreeMap<String, Write> = BTreeMap::new();
    for (key, now) in menu.changes() {
        let before = menu.before(key).and_then(|stored| place(key, stored));
        let after = now.and_then(|stored| place(key, stored));
        if before != after {
            writes.extend(before.map(|sk| (sk.clone(), Write::Delete(sk))));
            writes.extend(after.map(|sk| (sk.clone(), Write::Put(item(&pk, &sk)))));
        }
        let sk = entity_sk(key);
        let write = match now {
            Some(stored) => Write::Put(entity_item(&pk, key, stored)?),
            None => Write::Delete(sk.clone()),
        };
        writes.insert(sk, write);
    }
    Ok(writes.into_values().collect())
}

/// Where the table lists an item.
fn place(key: &Key, stored: &Stored) -> Option<String> {
    match &stored.entity {
        Entity::Item(item) => Some(place_sk(&item.category_id, &key.id)),
        Entity::Category(_) | Entity::Code(_) | Entity::Group(_) | Entity::Option(_) | Entity::Product(_) => None,
    }
}
