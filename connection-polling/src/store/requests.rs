//! The mechanics of DynamoDB requests that all kinds of items share: batches and what they leave undone, pages, limits.
//!
//! Called by the other files of `store/`. Every request is timed and counted here, once.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::num::NonZeroU8;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::item::{self, Item, PARTITION_KEY, SORT_KEY};
use super::{CALL_TIMEOUT, Store, StoreError};
use crate::keys::Key;

/// Keys of one BatchGetItem, as DynamoDB has it. Its other limit, 16 MiB an answer, shows as unprocessed keys.
const BATCH_GET_MAX: usize = 100;
/// Items of one BatchWriteItem, as DynamoDB has it. Ours are at most 256 KiB, so 25 stay below its 16 MiB.
const BATCH_WRITE_MAX: usize = 25;
/// Batches of one call in flight: a large acknowledgment must not take every connection.
const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Rounds over what a batch left unprocessed, after which the store counts as overloaded.
const ROUNDS_MAX: u32 = 8;
/// Wait before the second round, doubled before each further one: 20 ms to 1.28 s.
const ROUND_BACKOFF: Duration = Duration::from_millis(20);

/// Whether a read must see every write answered before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    Strong,
    /// For reads whose miss is safe.
    Eventual,
}

/// Items of one page of a scan. DynamoDB ends a page at 1 MiB anyway, about as many of our items; a store that knows no such end
/// must not read the whole table for it.
const SCANNED_ITEMS_MAX: i32 = 1_000;

/// A part of a table, to be scanned beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its number, from 0.
    pub(crate) number: u8,
    /// How many there are.
    pub(crate) of: NonZeroU8,
}

/// One page of a query or of a segment of a scan.
pub(crate) struct ItemPage {
    pub(crate) items: Vec<Item>,
    /// Where the next page starts; `None` after the last.
    pub(crate) next: Option<Item>,
}

impl Store {
    /// Awaits one request with a deadline of its own (the client's might be switched off), and counts and times it.
    pub(super) async fn call<T, E>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let started = tokio::time::Instant::now();
        let result = match tokio::time::timeout(CALL_TIMEOUT, request).await {
            Ok(result) => result.map_err(|error| StoreError::from_sdk(operation, error)),
            Err(_) => Err(StoreError::unavailable(operation, "no answer in time")),
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(StoreError::ConditionFailed { .. }) => "condition_failed",
            Err(StoreError::Unavailable { .. }) => "unavailable",
            Err(StoreError::Refused { .. } | StoreError::Malformed { .. }) => "refused",
        };
        let labels = [("dependency", "dynamodb"), ("operation", operation), ("outcome", outcome)];
        metrics::histogram!("comanda_dependency_seconds", &labels).record(started.elapsed());
        result
    }

    /// Reads items by key, in any order; keys without an item are left out. `projection` names attributes to read.
    pub(super) async fn batch_get(
        &self,
        keys: Vec<Key>,
        consistency: Consistency,
        projection: Option<&'static str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut seen = HashSet::with_capacity(keys.len());
        let keys: Vec<Item> =
            keys.into_iter().filter(|key| seen.insert(key.clone())).map(|key| item::key_attributes(&key)).collect();
        let batches: Vec<Vec<Item>> = keys.chunks(BATCH_GET_MAX).map(<[Item]>::to_vec).collect();
        let items: Vec<Vec<Item>> = stream::iter(batches)
            .map(|batch| self.batch_get_once(batch, consistency, projection))
            .buffer_unordered(BATCHES_IN_FLIGHT_MAX)
            .try_collect()
            .await?;
        Ok(count_items("read", items.into_iter().flatten().collect()))
    }

    async fn batch_get_once(
        &self,
        mut keys: Vec<Item>,
        consistency: Consistency,
        projection: Option<&'static str>,
    ) -> Result<Vec<Item>, StoreError> {
        const OPERATION: &str = "BatchGetItem";
        let mut items = Vec::with_capacity(keys.len());
        for round in 0..ROUNDS_MAX {
            wait_before(round).await;
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut keys)))
                .consistent_read(consistency == Consistency::Strong)
                .set_projection_expression(projection.map(str::to_owned))
                .build()
                .expect("keys are set");
            let request = self.client.batch_get_item().request_items(&*self.table, wanted);
            let answer = self.call(OPERATION, request.send()).await?;
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, found)| found));
            keys = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
            if keys.is_empty() {
                return Ok(items);
            }
        }
        Err(StoreError::unavailable(OPERATION, "keys stayed unprocessed"))
    }

    /// Writes items, whatever was there before. Not atomic: after an error any of them may be written.
    pub(super) async fn batch_put(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut by_key: HashMap<(String, String), Item> = HashMap::with_capacity(items.len());
        for item in items {
            let key = (item::read_text(&item, PARTITION_KEY)?.to_owned(), item::read_text(&item, SORT_KEY)?.to_owned());
            by_key.insert(key, item);
        }
        let requests: Vec<WriteRequest> = count_items("written", by_key.into_values().collect())
            .into_iter()
            .map(|item| PutRequest::builder().set_item(Some(item)).build().expect("the item is set"))
            .map(|put| WriteRequest::builder().put_request(put).build())
            .collect();
        let batches: Vec<Vec<WriteRequest>> = requests.chunks(BATCH_WRITE_MAX).map(<[WriteRequest]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.batch_write_once(batch))
            .buffer_unordered(BATCHES_IN_FLIGHT_MAX)
            .try_collect()
            .await
    }

    async fn batch_write_once(&self, mut requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        const OPERATION: &str = "BatchWriteItem";
        for round in 0..ROUNDS_MAX {
            wait_before(round).await;
            let request = self.client.batch_write_item().request_items(&*self.table, std::mem::take(&mut requests));
            let answer = self.call(OPERATION, request.send()).await?;
            requests = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::unavailable(OPERATION, "items stayed unprocessed"))
    }

    /// Reads, strongly consistent, every item of a partition key from a sort key on, and hands them to `take` page by
    /// page, so that nobody need hold all of them.
    pub(super) async fn query_from(
        &self,
        partition: String,
        from: String,
        mut take: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut start: Option<Item> = None;
        loop {
            let page = self.query_page(partition.clone(), from.clone(), start).await?;
            page.items.into_iter().try_for_each(&mut take)?;
            start = page.next;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    /// One page, at most 1 MiB, of [`Store::query_from`].
    pub(super) async fn query_page(
        &self,
        partition: String,
        from: String,
        start: Option<Item>,
    ) -> Result<ItemPage, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk >= :from")
            .expression_attribute_values(":pk", AttributeValue::S(partition))
            .expression_attribute_values(":from", AttributeValue::S(from))
            .set_exclusive_start_key(start);
        let answer = self.call("Query", request.send()).await?;
        let items = count_items("read", answer.items.unwrap_or_default());
        Ok(ItemPage { items, next: answer.last_evaluated_key.filter(|key| !key.is_empty()) })
    }

    /// One page of `segment` of the whole table, strongly consistent.
    pub(crate) async fn scan_page(&self, segment: Segment, start: Option<Item>) -> Result<ItemPage, StoreError> {
        let parallel = Some(segment).filter(|segment| segment.of.get() > 1);
        let request = self
            .client
            .scan()
            .table_name(&*self.table)
            .consistent_read(true)
            .set_segment(parallel.map(|segment| i32::from(segment.number)))
            .set_total_segments(parallel.map(|segment| i32::from(segment.of.get())))
            .limit(SCANNED_ITEMS_MAX)
            .set_exclusive_start_key(start);
        let answer = self.call("Scan", request.send()).await?;
        let items = count_items("scanned", answer.items.unwrap_or_default());
        Ok(ItemPage { items, next: answer.last_evaluated_key.filter(|key| !key.is_empty()) })
    }

    /// About how many items the table holds; DynamoDB counts every six hours.
    pub(crate) async fn item_count_estimate(&self) -> Result<u64, StoreError> {
        let request = self.client.describe_table().table_name(&*self.table);
        let answer = self.call("DescribeTable", request.send()).await?;
        let count = answer.table.and_then(|table| table.item_count).unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

fn count_items(what: &'static str, items: Vec<Item>) -> Vec<Item> {
    metrics::counter!("comanda_connection_polling_items_total", "what" => what).increment(items.len() as u64);
    items
}

async fn wait_before(round: u32) {
    if round > 0 {
        tokio::time::sleep(ROUND_BACKOFF * 2u32.pow(round - 1)).await;
    }
}
