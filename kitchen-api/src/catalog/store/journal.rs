//! Edits that are larger than a transaction: what they write is stored beforehand, the head's move to the next revision
//! commits it, and whoever comes next applies it before looking at anything.
//!
//! Used by `commit` and `reads`. Applying is safe to repeat and to do by several at once: each part is a transaction on
//! condition that the head still names the journal, so that nobody slow can write over a later edit.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use order_model::MerchantId;

use super::commit::TRANSACTION_ITEMS;
use super::items::{Item, Write, head_key, item, key, read_number, read_text, text};
use super::requests::Transacted;
use super::{CatalogError, CatalogTable, Head, partition};
use crate::store::requests::{send, send_or_unavailable, unavailable};

/// Writes in one item of a journal: with the check of the head they make a transaction, and with what an entity may take
/// they stay below the 400 KB of an item.
const PAGE_WRITES: usize = 30;
/// What the sort keys of journals begin with.
const BEGINNING: &str = "journal#";
/// Where the revision ends in a journal's name.
const REVISION_END: usize = BEGINNING.len() + 16;
/// How long to wait for whoever applies the same journal.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
const _: () = assert!(PAGE_WRITES < TRANSACTION_ITEMS);

/// A journal that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) name: String,
    pub(super) pages: u32,
}

impl Journal {
    /// Two that want to be the same revision have different names.
    pub(super) fn new(revision: u64, nonce: [u8; 8]) -> Self {
        Self { name: format!("{BEGINNING}{revision:016}#{}", hex::encode(nonce)), pages: 0 }
    }

    /// The one that a head names.
    pub(super) fn read(head: &Item) -> Result<Option<Self>, CatalogError> {
        if !head.contains_key("journal") {
            return Ok(None);
        }
        Ok(Some(Self { name: read_text(head, "journal")?.to_owned(), pages: read_number(head, "journal_pages")? }))
    }

    fn page_sk(&self, page: u32) -> String {
        format!("{}#{page:04}", self.name)
    }
}

impl CatalogTable {
    /// Stores what an edit is going to write.
    pub(super) async fn write_journal(
        &self,
        merchant: MerchantId,
        mut journal: Journal,
        writes: Vec<Write>,
    ) -> Result<Journal, CatalogError> {
        let pk = partition(merchant);
        for writes in writes.chunks(PAGE_WRITES) {
            let mut page = item(&pk, &journal.page_sk(journal.pages));
            page.insert("writes".to_owned(), AttributeValue::L(writes.iter().map(to_attribute).collect()));
            let put = self.client.put_item().table_name(&self.table).set_item(Some(page));
            send_or_unavailable("PutItem", put.send()).await?;
            journal.pages += 1;
        }
        Ok(journal)
    }

    /// Applies the journal that the head names, unless somebody else has done so meanwhile.
    pub(super) async fn apply_journal(&self, merchant: MerchantId, head: &Head) -> Result<(), CatalogError> {
        let Some(journal) = &head.journal else { return Ok(()) };
        let pk = partition(merchant);
        for page in 0..journal.pages {
            // A page that is gone was applied, and the head names the journal no more.
            let Some(page) = self.get(key(&pk, &journal.page_sk(page))).await? else { return Ok(()) };
            let mut items = vec![self.names(merchant, journal)?];
            for write in read_writes(&page)? {
                items.push(self.in_transaction(&pk, write)?);
            }
            if matches!(self.transact(items).await?, Transacted::Refused { .. }) {
                // Somebody else is at it, or has done it: the head says which, and this one begins anew if need be.
                tokio::time::sleep(REFUSED_PAUSE).await;
                return Ok(());
            }
        }
        if self.all_applied(merchant, journal).await? {
            self.sweep_journals(merchant, journal).await?;
        }
        Ok(())
    }

    /// Deletes the pages of this journal and those that edits before it, or beside it, have left behind.
    async fn sweep_journals(&self, merchant: MerchantId, journal: &Journal) -> Result<(), CatalogError> {
        let pk = partition(merchant);
        let mut old = Vec::new();
        self.query(&pk, BEGINNING, |item| {
            let sk = read_text(&item, "sk")?;
            if sk.get(..REVISION_END) <= journal.name.get(..REVISION_END) {
                old.push(sk.to_owned());
            }
            Ok(true)
        })
        .await?;
        for sk in old {
            self.delete(key(&pk, &sk)).await?;
        }
        Ok(())
    }

    async fn delete(&self, key: Item) -> Result<(), CatalogError> {
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key));
        send_or_unavailable("DeleteItem", delete.send()).await?;
        Ok(())
    }

    fn names(&self, merchant: MerchantId, journal: &Journal) -> Result<TransactWriteItem, CatalogError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(head_key(merchant)))
            .condition_expression("journal = :journal")
            .expression_attribute_values(":journal", text(&journal.name));
        let check = check.build().map_err(|error| unavailable("ConditionCheck", error))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Takes the journal's name off the head; `false` when it was off already.
    async fn all_applied(&self, merchant: MerchantId, journal: &Journal) -> Result<bool, CatalogError> {
        use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(head_key(merchant)))
            .update_expression("REMOVE journal, journal_pages")
            .condition_expression("journal = :journal")
            .expression_attribute_values(":journal", text(&journal.name));
        match send("UpdateItem", update.send()).await? {
            Ok(_) => Ok(true),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }

    /// Deletes the pages of a journal that lost against another edit.
    pub(super) async fn drop_journal(&self, merchant: MerchantId, journal: &Journal) -> Result<(), CatalogError> {
        let pk = partition(merchant);
        for page in 0..journal.pages {
            self.delete(key(&pk, &journal.page_sk(page))).await?;
        }
        Ok(())
    }
}

pub(super) fn to_attribute(write: &Write) -> AttributeValue {
    AttributeValue::M(match write {
        Write::Put(item) => HashMap::from([("put".to_owned(), AttributeValue::M(item.clone()))]),
        Write::Delete(sk) => HashMap::from([("delete".to_owned(), text(sk))]),
    })
}

pub(super) fn read_writes(page: &Item) -> Result<Vec<Write>, CatalogError> {
    const FIELD: &str = "writes";
    let malformed = || CatalogError::Malformed { field: FIELD };
    let writes = page.get(FIELD).and_then(|value| value.as_l().ok()).ok_or_else(malformed)?;
    let read = |write: &AttributeValue| {
        let write = write.as_m().ok()?;
        match (write.get("put"), write.get("delete")) {
            (Some(put), None) => Some(Write::Put(put.as_m().ok()?.clone())),
            (None, Some(sk)) => Some(Write::Delete(sk.as_s().ok()?.clone())),
            (Some(_), Some(_)) | (None, None) => None,
        }
    };
    writes.iter().map(|write| read(write).ok_or_else(malformed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_read_as_they_were_stored() {
        let writes = vec![Write::Put(item("merchant#1", "e#item#1")), Write::Delete("e#item#2".to_owned())];
        let stored = AttributeValue::L(writes.iter().map(to_attribute).collect());
        let page = HashMap::from([("writes".to_owned(), stored)]);
        assert_eq!(read_writes(&page).unwrap(), writes);
        assert!(read_writes(&HashMap::new()).is_err());
    }
}
