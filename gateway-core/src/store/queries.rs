//! Reads and small writes beside transitions: events of an order, both indexes, publication marks, serving gaps.

use std::collections::HashMap;
use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use event_feed::FeedEvent;
use order_model::{OrderId, Timestamp};

use super::attributes::{Item, ItemReader, number, text};
use super::error::{StoreError, from_sdk};
use super::event_item::{self, PUBLISHED_AT, StoredEvent};
use super::keys::{SERVING_KEY, SET_ASIDE_SHARD, due_shard_name, order_of_key, unpublished_shard_name};
use super::tables::{
    CREATED_AT, DUE_AT, DUE_INDEX, DUE_SHARD, ORDER_ID, PK, SEQUENCE, UNPUBLISHED_INDEX, UNPUBLISHED_SHARD,
};
use super::{Store, order_item, serving_item};
use crate::relay::batch::Unpublished;
use crate::serving::ServingRecord;
use crate::telemetry::{self, DependencyTimer};

/// Bytes of the bodies that [`Store::events_of`] reads at once: far below the message size limit of the RPC, which also
/// carries what is beside the bodies.
const EVENTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries of the index that one read of [`Store::unpublished_if_few`] returns: under load, between commit and clearing.
const PROBE_PAGE: i32 = 100;
/// Its reads. DynamoDB may answer an empty page where one partition of the index ends and the next begins.
const PROBE_PAGES_MAX: usize = 8;

impl Store {
    /// The events `from..=to` of an order in sequence order, strongly consistent: the first `limit` of them, or the first
    /// [`EVENTS_BYTES_MAX`] of their bodies, but at least one.
    pub(crate) async fn events_of(
        &self,
        order: OrderId,
        from: u32,
        to: u32,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events: Vec<StoredEvent> = Vec::new();
        let mut bytes = 0;
        let mut start: Option<Item> = None;
        loop {
            let timer = telemetry::dependency("dynamodb", "query");
            let page = self
                .client
                .query()
                .table_name(&self.events)
                .consistent_read(true)
                .key_condition_expression("#order = :order AND #sequence BETWEEN :from AND :to")
                .expression_attribute_names("#order", ORDER_ID)
                .expression_attribute_names("#sequence", SEQUENCE)
                .expression_attribute_values(":order", text(order.to_string()))
                .expression_attribute_values(":from", number(i64::from(from)))
                .expression_attribute_values(":to", number(i64::from(to)))
                .limit(i32::try_from(limit - events.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start.take())
                .send()
                .await;
            timer.result(&page);
            let page = page.map_err(|error| from_sdk("events of an order", error))?;
            for item in page.items() {
                let event = event_item::decode(item)?;
                bytes += event.event.body.len();
                if bytes > EVENTS_BYTES_MAX && !events.is_empty() {
                    return Ok(events);
                }
                events.push(event);
            }
            start = page.last_evaluated_key;
            if start.is_none() || events.len() >= limit {
                return Ok(events);
            }
        }
    }

    /// Up to `limit` events of one shard that are marked as unpublished, oldest first. May be some ms behind.
    pub(crate) async fn unpublished(&self, shard: u8, limit: usize) -> Result<Vec<Unpublished>, StoreError> {
        self.read_unpublished(unpublished_shard_name(shard), limit).await
    }

    /// Up to `limit` events that are set aside, oldest first. May be some ms behind.
    pub(crate) async fn set_aside(&self, limit: usize) -> Result<Vec<Unpublished>, StoreError> {
        self.read_unpublished(SET_ASIDE_SHARD.to_owned(), limit).await
    }

    async fn read_unpublished(&self, shard: String, limit: usize) -> Result<Vec<Unpublished>, StoreError> {
        let shard = (UNPUBLISHED_SHARD, shard);
        let items = self.read_index(&self.events, UNPUBLISHED_INDEX, shard, None, limit).await?;
        items.iter().map(decode_unpublished).collect()
    }

    /// Every event of all shards that is marked as unpublished and not set aside, in no order, if they are few; `None` when they
    /// are not. The index holds marked events only, so that most often one read says that there is none. May be some
    /// ms behind.
    pub(crate) async fn unpublished_if_few(&self) -> Result<Option<Vec<Unpublished>>, StoreError> {
        let mut found = Vec::new();
        let mut start: Option<Item> = None;
        for _ in 0..PROBE_PAGES_MAX {
            let timer = telemetry::dependency("dynamodb", "scan_index");
            let page = self
                .client
                .scan()
                .table_name(&self.events)
                .index_name(UNPUBLISHED_INDEX)
                .limit(PROBE_PAGE)
                .set_exclusive_start_key(start.take())
                .send()
                .await;
            timer.result(&page);
            let page = page.map_err(|error| from_sdk("probe unpublished", error))?;
            for item in page.items() {
                if ItemReader::bare(item, "unpublished").text(UNPUBLISHED_SHARD)? != SET_ASIDE_SHARD {
                    found.push(decode_unpublished(item)?);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Moves an unpublished event to where [`Self::set_aside`] finds it; `false` when it is there already or published.
    pub(crate) async fn move_aside(&self, order: OrderId, sequence: u32) -> Result<bool, StoreError> {
        let timer = telemetry::dependency("dynamodb", "update_item");
        let answer = self
            .client
            .update_item()
            .table_name(&self.events)
            .set_key(Some(event_key(order, sequence)))
            .update_expression("SET #mark = :aside")
            .condition_expression("attribute_exists(#mark) AND #mark <> :aside")
            .expression_attribute_names("#mark", UNPUBLISHED_SHARD)
            .expression_attribute_values(":aside", text(SET_ASIDE_SHARD.to_owned()))
            .send()
            .await;
        conditional("set an event aside", timer, answer)
    }

    /// The events named by `marked` (at most 100) that are still unpublished, in that order: strongly consistent.
    pub(crate) async fn load_unpublished(&self, marked: &[Unpublished]) -> Result<Vec<FeedEvent>, StoreError> {
        let keys = marked.iter().map(|event| event_key(event.order, event.sequence)).collect();
        let items = self.batch_get("load unpublished", &self.events, keys).await?;
        let mut loaded = HashMap::with_capacity(items.len());
        for item in items.iter().filter(|item| item.contains_key(UNPUBLISHED_SHARD)) {
            let event = event_item::decode(item)?.event;
            loaded.insert((event.order, event.sequence), event);
        }
        Ok(marked.iter().filter_map(|event| loaded.remove(&(event.order, event.sequence))).collect())
    }

    /// Removes the unpublished mark of an event. Does nothing when the event is gone.
    pub(crate) async fn mark_published(&self, order: OrderId, sequence: u32, at: Timestamp) -> Result<(), StoreError> {
        let timer = telemetry::dependency("dynamodb", "update_item");
        let answer = self
            .client
            .update_item()
            .table_name(&self.events)
            .set_key(Some(event_key(order, sequence)))
            .update_expression("REMOVE #mark SET #at = if_not_exists(#at, :at)")
            .condition_expression("attribute_exists(#mark)")
            .expression_attribute_names("#mark", UNPUBLISHED_SHARD)
            .expression_attribute_names("#at", PUBLISHED_AT)
            .expression_attribute_values(":at", number(at.unix_ms()))
            .send()
            .await;
        conditional("clear unpublished", timer, answer).map(|_| ())
    }

    /// Up to `limit` orders of one shard to look at by `until`, the most overdue first. May be some ms behind.
    pub(crate) async fn due(&self, shard: u8, until: Timestamp, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        let until = Some((DUE_AT, until));
        let items = self.read_index(&self.orders, DUE_INDEX, (DUE_SHARD, due_shard_name(shard)), until, limit).await?;
        let decode = |item: &Item| {
            let read = ItemReader::bare(item, "due");
            order_of_key(read.text(PK)?).ok_or_else(|| read.malformed(PK))
        };
        items.iter().map(decode).collect()
    }

    async fn read_index(
        &self,
        table: &str,
        index: &str,
        shard: (&str, String),
        until: Option<(&str, Timestamp)>,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let timer = telemetry::dependency("dynamodb", "query_index");
        let mut query = self
            .client
            .query()
            .table_name(table)
            .index_name(index)
            .expression_attribute_names("#shard", shard.0)
            .expression_attribute_values(":shard", text(shard.1))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        query = match until {
            None => query.key_condition_expression("#shard = :shard"),
            Some((name, until)) => query
                .key_condition_expression("#shard = :shard AND #until <= :until")
                .expression_attribute_names("#until", name)
                .expression_attribute_values(":until", number(until.unix_ms())),
        };
        let page = query.send().await;
        timer.result(&page);
        Ok(page.map_err(|error| from_sdk("read index", error))?.items.unwrap_or_default())
    }

    /// Moves the instant at which an order is looked at, unless it has changed since `version`; no new version.
    pub(crate) async fn reschedule(&self, order: OrderId, version: u64, due_at: Timestamp) -> Result<(), StoreError> {
        let timer = telemetry::dependency("dynamodb", "update_item");
        let answer = self
            .client
            .update_item()
            .table_name(&self.orders)
            .key(PK, text(super::keys::order_key(order)))
            .update_expression("SET #due = :due")
            .condition_expression("#version = :version")
            .expression_attribute_names("#due", DUE_AT)
            .expression_attribute_names("#version", order_item::VERSION)
            .expression_attribute_values(":due", number(due_at.unix_ms()))
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .send()
            .await;
        conditional("reschedule", timer, answer).map(|_| ())
    }

    /// When polls were served: strongly consistent; empty when nobody ever reported.
    pub(crate) async fn load_serving(&self) -> Result<ServingRecord, StoreError> {
        let mut items = self.read_orders_table("load serving", vec![SERVING_KEY.to_owned()]).await?;
        items.remove(SERVING_KEY).map_or_else(|| Ok(ServingRecord::default()), |item| serving_item::decode(&item))
    }

    /// Writes the serving record unless somebody else wrote one since; `false` when somebody did.
    pub(crate) async fn save_serving(&self, record: &ServingRecord) -> Result<bool, StoreError> {
        let before = i64::try_from(record.version.saturating_sub(1)).unwrap_or(i64::MAX);
        let timer = telemetry::dependency("dynamodb", "put_item");
        let answer = self
            .client
            .put_item()
            .table_name(&self.orders)
            .set_item(Some(serving_item::encode(record)))
            .condition_expression("attribute_not_exists(#pk) OR #version = :before")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#version", serving_item::VERSION)
            .expression_attribute_values(":before", number(before))
            .send()
            .await;
        conditional("save serving", timer, answer)
    }
}

/// Whether a conditional write was applied; a condition that does not hold is an answer, not a failure.
pub(super) fn conditional<T, E>(
    operation: &'static str,
    timer: DependencyTimer,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<bool, StoreError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let code = answer.as_ref().err().and_then(|error| error.code());
    if code == Some("ConditionalCheckFailedException") {
        timer.ok();
        return Ok(false);
    }
    timer.result(&answer);
    answer.map(|_| true).map_err(|error| from_sdk(operation, error))
}

fn decode_unpublished(item: &Item) -> Result<Unpublished, StoreError> {
    let read = ItemReader::bare(item, "unpublished");
    Ok(Unpublished {
        order: read.text(ORDER_ID)?.parse().map_err(|_| read.malformed(ORDER_ID))?,
        sequence: read.number(SEQUENCE)?,
        created_at: read.instant(CREATED_AT)?,
    })
}

fn event_key(order: OrderId, sequence: u32) -> Item {
    HashMap::from([(ORDER_ID.to_owned(), text(order.to_string())), (SEQUENCE.to_owned(), number(i64::from(sequence)))])
}
