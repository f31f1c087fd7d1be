//! Transitions in the table: written before they are published, read back when the replicated state was lost.

use std::num::NonZeroU8;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use futures::{StreamExt, TryStreamExt};
use order_model::{MerchantId, Timestamp};

use super::profiles::{BATCH_WRITE_MAX, SEED_BATCHES_MAX};
use super::{Item, Store, StoreError, number, read_number, read_text, text};
use crate::presence::{Transition, TransitionReason};

/// A transition is remembered this long.
const HISTORY_SECONDS: i64 = 30 * 24 * 3600;
/// Items looked at for a page of a restore. DynamoDB ends a page at 1 MiB anyway; other stores may read the whole table.
const SCANNED_ITEMS_MAX: i32 = 2_000;

/// A part of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// From 0.
    pub(crate) number: u8,
    /// How many there are.
    pub(crate) of: NonZeroU8,
}

/// A merchant's last transition, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPresence {
    /// The transition.
    pub last: Transition,
    /// Up to which sequence transitions were published.
    pub published_sequence: u64,
}

/// Some of the table, for a restore.
#[derive(Debug, Default)]
pub(crate) struct PresencePage {
    /// Merchants' last transitions.
    pub(crate) found: Vec<StoredPresence>,
    /// How many items were looked at.
    pub(crate) items: u64,
    /// How many of them should have been such a transition and cannot be read, and what was wrong with the first.
    pub(crate) malformed: usize,
    pub(crate) first_malformed: Option<StoreError>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Item>,
}

/// What became of a transition that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It stands in the table.
    Stands,
    /// Another process wrote another transition of this merchant under its sequence, or a later one.
    Superseded,
}

impl Store {
    /// Writes a transition: the merchant's last and one of its history, together. Writing it again changes nothing.
    pub async fn record_transition(&self, transition: &Transition) -> Result<Recorded, StoreError> {
        let malformed = |_| StoreError::Malformed { field: "transition" };
        let key = text(format!("m#{}", transition.merchant));
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", key.clone())
            .key("sk", text("presence"))
            .update_expression("SET formatVersion = :one, #online = :online, reason = :reason, changedAt = :changedAt, lastHeartbeatAt = :heard, #sequence = :sequence, publishedSequence = if_not_exists(publishedSequence, :zero)")
            .condition_expression("attribute_not_exists(#sequence) OR #sequence < :sequence")
            .expression_attribute_names("#online", "online")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":online", AttributeValue::Bool(transition.online))
            .expression_attribute_values(":reason", text(transition.reason.code()))
            .expression_attribute_values(":changedAt", number(transition.changed_at_ms))
            .expression_attribute_values(":heard", number(transition.last_heartbeat_at_ms))
            .expression_attribute_values(":sequence", number(transition.sequence));
        let put = Put::builder().table_name(&self.table).set_item(Some(history_item(transition)));
        let write = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update.build().map_err(malformed)?).build())
            .transact_items(TransactWriteItem::builder().put(put.build().map_err(malformed)?).build());
        match self.call("TransactWriteItems", write.send()).await {
            Ok(_) => Ok(Recorded::Stands),
            // Either our own write whose answer was lost, or somebody else's: only what stands there tells.
            Err(failure) if failure.service_error().is_some_and(is_condition_failure) => {
                let stands = self.transition(transition.merchant, transition.sequence).await?;
                Ok(if stands == Some(*transition) { Recorded::Stands } else { Recorded::Superseded })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Stores that `merchants`, which have no presence yet, came ONLINE at `since`, and that it was published. For seeding.
    pub async fn seed_online(&self, merchants: &[MerchantId], since: Timestamp) -> Result<(), StoreError> {
        let seeded = futures::stream::iter(merchants.chunks(BATCH_WRITE_MAX))
            .map(|some| self.put_all(some.iter().map(|merchant| online_item(*merchant, since)).collect()));
        seeded.buffer_unordered(SEED_BATCHES_MAX).try_collect::<Vec<()>>().await.map(|_| ())
    }

    /// Remembers that transitions up to this one were published.
    pub async fn mark_published(&self, transition: &Transition) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(format!("m#{}", transition.merchant)))
            .key("sk", text("presence"))
            .update_expression("SET publishedSequence = :sequence")
            .condition_expression("publishedSequence < :sequence")
            .expression_attribute_values(":sequence", number(transition.sequence));
        match self.call("UpdateItem", update.send()).await {
            Ok(_) => Ok(()),
            Err(failure)
                if failure.service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// A page of merchants' last transitions, beginning with `from`.
    pub(crate) async fn presence_page(&self, segment: Segment, from: Option<Item>) -> Result<PresencePage, StoreError> {
        let parallel = Some(segment).filter(|segment| segment.of.get() > 1);
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .set_segment(parallel.map(|segment| i32::from(segment.number)))
            .set_total_segments(parallel.map(|segment| i32::from(segment.of.get())))
            .limit(SCANNED_ITEMS_MAX)
            .filter_expression("sk = :presence")
            .expression_attribute_values(":presence", text("presence"))
            .set_exclusive_start_key(from);
        let answer = self.call("Scan", scan.send()).await.map_err(StoreError::from)?;
        let mut page = PresencePage {
            items: u64::try_from(answer.scanned_count()).unwrap_or(0),
            next: answer.last_evaluated_key().filter(|key| !key.is_empty()).cloned(),
            ..PresencePage::default()
        };
        for item in answer.items() {
            match stored_presence(item) {
                Ok(stored) => page.found.push(stored),
                Err(error) => {
                    page.malformed += 1;
                    page.first_malformed.get_or_insert(error);
                }
            }
        }
        Ok(page)
    }

    /// The last transition of a merchant that was written.
    pub async fn last_transition(&self, merchant: MerchantId) -> Result<Option<Transition>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("pk", text(format!("m#{merchant}"))).key("sk", text("presence"));
        let answer = self.call("GetItem", get.send()).await.map_err(StoreError::from)?;
        answer.item().map(transition_of).transpose()
    }

    /// The newest `limit` transitions of a merchant before `before`, newest first.
    pub async fn history(
        &self,
        merchant: MerchantId,
        limit: usize,
        before: Timestamp,
    ) -> Result<Vec<Transition>, StoreError> {
        let mut found = Vec::new();
        let mut from = None;
        // A page's limit counts items before the filter, so one page may hold fewer than asked for, or none.
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .filter_expression("changedAt < :before")
                .expression_attribute_values(":pk", text(format!("m#{merchant}")))
                .expression_attribute_values(":prefix", text("t#"))
                .expression_attribute_values(":before", number(before.unix_ms()))
                .set_exclusive_start_key(from.take());
            let answer = self.call("Query", query.send()).await.map_err(StoreError::from)?;
            for item in answer.items().iter().take(limit - found.len()) {
                found.push(transition_of(item)?);
            }
            match answer.last_evaluated_key() {
                Some(key) if !key.is_empty() && found.len() < limit => from = Some(key.clone()),
                _ => return Ok(found),
            }
        }
    }

    /// One transition of a merchant.
    pub async fn transition(&self, merchant: MerchantId, sequence: u64) -> Result<Option<Transition>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("pk", text(format!("m#{merchant}"))).key("sk", text(history_key(sequence)));
        let answer = self.call("GetItem", get.send()).await.map_err(StoreError::from)?;
        answer.item().map(transition_of).transpose()
    }
}

fn is_condition_failure(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
        }
        _ => false,
    }
}

fn history_key(sequence: u64) -> String {
    format!("t#{sequence:020}")
}

pub(super) fn history_item(transition: &Transition) -> Item {
    Item::from([
        ("pk".to_owned(), text(format!("m#{}", transition.merchant))),
        ("sk".to_owned(), text(history_key(transition.sequence))),
        ("formatVersion".to_owned(), number(1)),
        ("online".to_owned(), AttributeValue::Bool(transition.online)),
        ("reason".to_owned(), text(transition.reason.code())),
        ("changedAt".to_owned(), number(transition.changed_at_ms)),
        ("lastHeartbeatAt".to_owned(), number(transition.last_heartbeat_at_ms)),
        ("sequence".to_owned(), number(transition.sequence)),
        ("ttl".to_owned(), number(transition.changed_at_ms / 1000 + HISTORY_SECONDS)),
    ])
}

pub(super) fn online_item(merchant: MerchantId, since: Timestamp) -> Item {
    let since_ms = since.unix_ms();
    let came_online = Transition {
        merchant,
        online: true,
        reason: TransitionReason::Heartbeat,
        changed_at_ms: since_ms,
        last_heartbeat_at_ms: since_ms,
        sequence: 1,
    };
    let mut item = history_item(&came_online);
    item.remove("ttl");
    item.insert("sk".to_owned(), text("presence"));
    item.insert("publishedSequence".to_owned(), number(1));
    item
}

pub(super) fn stored_presence(item: &Item) -> Result<StoredPresence, StoreError> {
    Ok(StoredPresence { last: transition_of(item)?, published_sequence: read_number(item, "publishedSequence")? })
}

pub(super) fn transition_of(item: &Item) -> Result<Transition, StoreError> {
    let merchant: Option<MerchantId> = read_text(item, "pk")?.strip_prefix("m#").and_then(|id| id.parse().ok());
    let online = item.get("online").and_then(|value| value.as_bool().ok()).copied();
    Ok(Transition {
        merchant: merchant.ok_or(StoreError::Malformed { field: "pk" })?,
        online: online.ok_or(StoreError::Malformed { field: "online" })?,
        reason: TransitionReason::from_code(read_text(item, "reason")?)
            .ok_or(StoreError::Malformed { field: "reason" })?,
        changed_at_ms: read_number(item, "changedAt")?,
        last_heartbeat_at_ms: read_number(item, "lastHeartbeatAt")?,
        sequence: read_number(item, "sequence")?,
    })
}
