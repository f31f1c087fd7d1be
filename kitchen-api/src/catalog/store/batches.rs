//! Batches in the table: stored before they are answered, leased by whoever works them off, kept for a while.
//!
//! Used by `endpoints` and `worker`. A page's results, the batch's progress and what the page changes of the menu are one
//! transaction: however often a page is tried, it takes effect once.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use order_model::{MerchantId, Timestamp};

use super::commit::{Outcome, writes};
use super::items::{Item, Write, head_key, item, key, number, read_number, read_optional, read_text, text};
use super::requests::Transacted;
use super::{CatalogError, CatalogTable, EXPIRES_AT, partition};
use crate::catalog::batch::Entry;
use crate::catalog::limits::{BATCH_ENTRIES_MAX, BATCH_PAGE_ENTRIES, OPEN_BATCHES_MAX};
use crate::catalog::menu::Menu;
use crate::store::requests::{send, unavailable};

/// How many partitions unfinished batches are listed in.
pub(in crate::catalog) const PENDING_SHARDS: u8 = 4;
/// Unfinished batches read of one shard: as many as the merchants' own limit lets 50 merchants have.
const PENDING_MAX: usize = 1_000;
/// How long a finished batch can be read.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often a batch is stored anew because others were at the head.
const ATTEMPTS: u32 = 20;
/// The pause before another attempt, times the attempt's number.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(5);

/// A batch without its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalog) struct BatchRecord {
    pub(in crate::catalog) total: usize,
    /// Entries that have a result; always whole pages.
    pub(in crate::catalog) done: usize,
    pub(in crate::catalog) created_at: Timestamp,
    pub(in crate::catalog) finished_at: Option<Timestamp>,
}

/// A batch with all its entries.
#[derive(Debug)]
pub(in crate::catalog) struct Found {
    pub(in crate::catalog) record: BatchRecord,
    pub(in crate::catalog) entries: Vec<Entry>,
}

/// An unfinished batch, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) struct Pending {
    /// The sort key: by creation.
    pub(in crate::catalog) name: String,
    pub(in crate::catalog) merchant: MerchantId,
    pub(in crate::catalog) batch: String,
}

impl Pending {
    fn new(merchant: MerchantId, batch: &str, created_at: Timestamp) -> Self {
        let name = format!("{:015}#{merchant}#{batch}", created_at.unix_ms());
        Self { name, merchant, batch: batch.to_owned() }
    }

    fn read(name: &str) -> Option<Self> {
        let (merchant, batch) = name.split_once('#')?.1.split_once('#')?;
        Some(Self { name: name.to_owned(), merchant: merchant.parse().ok()?, batch: batch.to_owned() })
    }

    fn partition(&self) -> String {
        shard_partition(self.merchant.as_bytes()[15] % PENDING_SHARDS)
    }
}

fn shard_partition(shard: u8) -> String {
    format!("pending#{shard}")
}

fn batch_sk(batch: &str) -> String {
    format!("batch#{batch}#")
}

fn page_sk(batch: &str, page: usize) -> String {
    format!("batch#{batch}#p{page:04}")
}

/// Whether a new batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Taken {
    Stored,
    /// The merchant has as many as it may.
    TooMany,
}

/// A page that is to be committed.
pub(in crate::catalog) struct PageCommit<'a> {
    pub(in crate::catalog) pending: &'a Pending,
    pub(in crate::catalog) record: &'a BatchRecord,
    pub(in crate::catalog) entries: &'a [Entry],
    pub(in crate::catalog) owner: &'a str,
    pub(in crate::catalog) now: Timestamp,
    pub(in crate::catalog) lease_until: Timestamp,
}

impl CatalogTable {
    /// Stores a batch, all of it or nothing.
    pub(in crate::catalog) async fn store_batch(
        &self,
        merchant: MerchantId,
        batch: &str,
        entries: &[Entry],
        now: Timestamp,
    ) -> Result<Taken, CatalogError> {
        let pk = partition(merchant);
        let pending = Pending::new(merchant, batch, now);
        let mut record = item(&pk, &batch_sk(batch));
        record.insert("total".to_owned(), number(entries.len()));
        record.insert("done".to_owned(), number(0));
        record.insert("created_at_ms".to_owned(), number(now.unix_ms()));
        let mut puts = vec![record, item(&pending.partition(), &pending.name)];
        for (at, entries) in entries.chunks(BATCH_PAGE_ENTRIES).enumerate() {
            puts.push(page_item(&pk, batch, at, entries)?);
        }
        for attempt in 1..=ATTEMPTS {
            let mut items = vec![self.one_more_batch(merchant)?];
            for put in &puts {
                items.push(self.in_transaction(&pk, Write::Put(put.clone()))?);
            }
            match self.transact(items).await? {
                Transacted::Done => return Ok(Taken::Stored),
                Transacted::Refused { first_condition: true } => return Ok(Taken::TooMany),
                Transacted::Refused { first_condition: false } => tokio::time::sleep(ATTEMPT_PAUSE * attempt).await,
            }
        }
        Err(CatalogError::Contended)
    }

    fn one_more_batch(&self, merchant: MerchantId) -> Result<TransactWriteItem, CatalogError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(head_key(merchant)))
            .update_expression("SET #format = :format ADD open_batches :one")
            .condition_expression("attribute_not_exists(open_batches) OR open_batches < :most")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(super::items::FORMAT))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(OPEN_BATCHES_MAX));
        let update = update.build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// A batch with its entries; nothing when there is none, or none any more.
    pub(in crate::catalog) async fn batch(
        &self,
        merchant: MerchantId,
        batch: &str,
    ) -> Result<Option<Found>, CatalogError> {
        let (mut record, mut entries) = (None, Vec::new());
        self.query(&partition(merchant), &batch_sk(batch), |item| {
            if item.contains_key("total") {
                record = Some(read_record(&item)?);
            } else {
                entries.extend(read_entries(&item)?);
            }
            Ok(true)
        })
        .await?;
        Ok(record.map(|record| Found { record, entries }))
    }

    /// Unfinished batches of one shard, the oldest first.
    pub(in crate::catalog) async fn pending(&self, shard: u8) -> Result<Vec<Pending>, CatalogError> {
        let mut pending = Vec::new();
        self.query(&shard_partition(shard), "", |item| {
            pending.push(Pending::read(read_text(&item, "sk")?).ok_or(CatalogError::Malformed { field: "sk" })?);
            Ok(pending.len() < PENDING_MAX)
        })
        .await?;
        Ok(pending)
    }

    /// Takes the batch for `owner` unless somebody else has it; answers with where it stands.
    pub(in crate::catalog) async fn lease(
        &self,
        pending: &Pending,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<BatchRecord>, CatalogError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition(pending.merchant), &batch_sk(&pending.batch))))
            .update_expression("SET lease_owner = :owner, lease_until_ms = :until")
            .condition_expression(
                "attribute_exists(pk) AND attribute_not_exists(finished_at_ms) AND \
                 (attribute_not_exists(lease_until_ms) OR lease_until_ms <= :now OR lease_owner = :owner)",
            )
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":now", number(now.unix_ms()))
            .expression_attribute_values(":until", number(until.unix_ms()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match send("UpdateItem", update.send()).await? {
            Ok(output) => output.attributes.map(|item| read_record(&item)).transpose(),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }

    /// Gives the lease back, so that another one goes on at once.
    pub(in crate::catalog) async fn give_back(&self, pending: &Pending, owner: &str) -> Result<(), CatalogError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition(pending.merchant), &batch_sk(&pending.batch))))
            .update_expression("REMOVE lease_owner, lease_until_ms")
            .condition_expression("lease_owner = :owner")
            .expression_attribute_values(":owner", text(owner));
        match send("UpdateItem", update.send()).await? {
            Ok(_) | Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }

    /// The entries of the next page to work off.
    pub(in crate::catalog) async fn next_page(
        &self,
        pending: &Pending,
        record: &BatchRecord,
    ) -> Result<Vec<Entry>, CatalogError> {
        let sk = page_sk(&pending.batch, record.done / BATCH_PAGE_ENTRIES);
        let page = self.get(key(&partition(pending.merchant), &sk)).await?;
        read_entries(&page.ok_or(CatalogError::Malformed { field: "page" })?)
    }

    /// Commits a page: what it changes, its results, the batch's progress. `Overtaken` also when the lease is lost.
    pub(in crate::catalog) async fn commit_page(
        &self,
        menu: &Menu,
        page: PageCommit<'_>,
    ) -> Result<Outcome, CatalogError> {
        let PageCommit { pending, record, entries, owner, now, lease_until } = page;
        let (merchant, pk) = (pending.merchant, partition(pending.merchant));
        let done = record.done + entries.len();
        let is_last = done >= record.total;
        let expires_at = number(now.plus(KEPT_FOR).unix_s_ceil());
        let mut results = page_item(&pk, &pending.batch, record.done / BATCH_PAGE_ENTRIES, entries)?;
        results.insert(EXPIRES_AT.to_owned(), expires_at.clone());
        let mut expression = "SET done = :done, lease_until_ms = :until".to_owned();
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(&pk, &batch_sk(&pending.batch))))
            .condition_expression("done = :before AND lease_owner = :owner")
            .expression_attribute_values(":before", number(record.done))
            .expression_attribute_values(":done", number(done))
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":until", number(lease_until.unix_ms()));
        let mut others = vec![self.in_transaction(&pk, Write::Put(results))?];
        if is_last {
            expression.push_str(", finished_at_ms = :now, #expires = :expires");
            update = update
                .expression_attribute_names("#expires", EXPIRES_AT)
                .expression_attribute_values(":now", number(now.unix_ms()))
                .expression_attribute_values(":expires", expires_at);
            others.push(self.in_transaction(&pending.partition(), Write::Delete(pending.name.clone()))?);
        }
        let update = update.update_expression(expression).build().map_err(|error| unavailable("Update", error))?;
        others.push(TransactWriteItem::builder().update(update).build());
        let writes = writes(merchant, menu)?;
        self.commit_with(merchant, menu, writes, others, u32::from(is_last), now).await
    }
}

pub(super) fn page_item(pk: &str, batch: &str, page: usize, entries: &[Entry]) -> Result<Item, CatalogError> {
    let body = serde_json::to_string(entries).map_err(|error| unavailable("writing a batch", error))?;
    let mut page = item(pk, &page_sk(batch, page));
    page.insert("entries".to_owned(), text(body));
    Ok(page)
}

/// A page has entries: whoever worked off one that has none would come back to it for ever.
pub(super) fn read_entries(item: &Item) -> Result<Vec<Entry>, CatalogError> {
    super::items::check_format(item)?;
    let entries: Option<Vec<Entry>> = serde_json::from_str(read_text(item, "entries")?).ok();
    entries.filter(|entries| !entries.is_empty()).ok_or(CatalogError::Malformed { field: "entries" })
}

pub(super) fn read_record(item: &Item) -> Result<BatchRecord, CatalogError> {
    super::items::check_format(item)?;
    let within = |field, most: usize| {
        read_number(item, field).ok().filter(|number| *number <= most).ok_or(CatalogError::Malformed { field })
    };
    let total = within("total", BATCH_ENTRIES_MAX)?;
    Ok(BatchRecord {
        total,
        done: within("done", total)?,
        created_at: Timestamp::from_unix_ms(read_number(item, "created_at_ms")?),
        finished_at: read_optional(item, "finished_at_ms")?.map(Timestamp::from_unix_ms),
    })
}
