//! Fence items, written only on the condition that nothing changed since they were read, and the fence log.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use order_model::{ApplicationId, EventId, PartitionId, Timestamp};

use super::item::{self, EXPIRES_AT, Item, PARTITION_KEY};
use super::requests::Consistency;
use super::{Store, StoreError};
use crate::fence::FenceState;
use crate::keys::{self, Key};

const EPOCH: &str = "e";
const RAISED: &str = "r";
const RAISED_AT: &str = "a";
const APPLICATION: &str = "p";

/// Ids acknowledged without a partition's leader. Lives as long as the acknowledgment it repeats: however long a leader
/// was fenced out, it finds everything that still matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FenceLogEntry {
    pub(crate) partition: PartitionId,
    pub(crate) application: ApplicationId,
    /// Sorted.
    pub(crate) ids: Vec<EventId>,
    pub(crate) remembered_until: Timestamp,
}

impl Store {
    /// The fences of these partitions, strongly consistent; one never raised is left out.
    pub(crate) async fn read_fences(
        &self,
        partitions: &[PartitionId],
    ) -> Result<HashMap<PartitionId, FenceState>, StoreError> {
        let keys = partitions.iter().map(|partition| keys::fence(*partition)).collect();
        let items = self.batch_get(keys, Consistency::Strong, None).await?;
        items.iter().map(read_fence).collect()
    }

    /// Replaces the fence `before` by `after`.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] when it was not `before`.
    pub(crate) async fn write_fence(
        &self,
        partition: PartitionId,
        before: FenceState,
        after: FenceState,
    ) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&*self.table).set_item(Some(fence_item(partition, after)));
        let request = if before.epoch == 0 {
            request.condition_expression("attribute_not_exists(pk)")
        } else {
            request
                .condition_expression("e = :epoch AND r = :raised")
                .expression_attribute_values(":epoch", item::number(before.epoch))
                .expression_attribute_values(":raised", AttributeValue::Bool(before.raised))
        };
        self.call("PutItem", request.send()).await.map(|_| ())
    }

    /// Writes to the fence logs. A repetition changes nothing.
    pub(crate) async fn put_fence_log(&self, entries: &[FenceLogEntry]) -> Result<(), StoreError> {
        let to_item = |entry: &FenceLogEntry| {
            let partition = keys::fence_log(entry.partition);
            let mut item = item::new(&Key { partition, sort: keys::id_set(&entry.application, &entry.ids) });
            item.insert(APPLICATION.to_owned(), AttributeValue::S(entry.application.to_string()));
            item::set_ids(&mut item, &entry.ids);
            item::set_expiry(&mut item, entry.remembered_until);
            item
        };
        self.batch_put(entries.iter().map(to_item).collect()).await
    }

    /// One page of a partition's fence log, entries that no longer count at `now` left out, and where the next starts.
    pub(crate) async fn fence_log_page(
        &self,
        partition: PartitionId,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<(Vec<FenceLogEntry>, Option<Item>), StoreError> {
        let from = keys::from_instant(Timestamp::default());
        let page = self.query_page(keys::fence_log(partition), from, start).await?;
        let mut entries = Vec::with_capacity(page.items.len());
        for item in &page.items {
            let remembered_until = item::read_instant(item, EXPIRES_AT)?;
            if remembered_until > now {
                let application = item::read_text(item, APPLICATION)?.parse();
                let application = application.map_err(|_| StoreError::Malformed { what: APPLICATION })?;
                entries.push(FenceLogEntry { partition, application, ids: item::read_ids(item)?, remembered_until });
            }
        }
        Ok((entries, page.next))
    }
}

pub(super) fn fence_item(partition: PartitionId, state: FenceState) -> Item {
    let mut item = item::new(&keys::fence(partition));
    item.insert(EPOCH.to_owned(), item::number(state.epoch));
    item.insert(RAISED.to_owned(), AttributeValue::Bool(state.raised));
    item.insert(RAISED_AT.to_owned(), item::instant(state.raised_at));
    item
}

pub(super) fn read_fence(item: &Item) -> Result<(PartitionId, FenceState), StoreError> {
    let number = item::read_text(item, PARTITION_KEY)?.strip_prefix("f#").and_then(|number| number.parse().ok());
    let partition = number.map(PartitionId).ok_or(StoreError::Malformed { what: PARTITION_KEY })?;
    let raised = item.get(RAISED).and_then(|value| value.as_bool().ok());
    let state = FenceState {
        epoch: item::read_counter(item, EPOCH)?,
        raised: *raised.ok_or(StoreError::Malformed { what: RAISED })?,
        raised_at: item::read_instant(item, RAISED_AT)?,
    };
    Ok((partition, state))
}
