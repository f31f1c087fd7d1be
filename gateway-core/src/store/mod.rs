//! The tables `orders` and `order-events`: the only code that names them.
//!
//! One transaction per transition: the order's state conditional on the version that was read, its new events with
//! their unpublished markers, the idempotency record, and the body and the evidence of disputes where they change. Those are
//! items of their own, so that a transition never rewrites 192 KiB. What a transition is, is decided in [`crate::planning`].

mod attributes;
mod dispute_item;
mod error;
mod event_item;
mod evidence_item;
#[cfg(test)]
mod hostile;
mod keys;
mod message_item;
mod order_item;
mod queries;
mod serving_item;
mod tables;
mod transaction;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use order_model::lifecycle::DisputeId;
use order_model::{EvidenceId, OrderId};

use crate::clock_guard::ClockGuard;
use crate::codes::OrderBody;
use crate::disputes::DisputeRecord;
use crate::evidence::Evidence;
use crate::order::Order;
use crate::telemetry;
use attributes::{Item, text};
pub use error::StoreError;
pub(crate) use event_item::StoredEvent;
pub(crate) use keys::{DUE_SHARDS, KeySpace, MessageKey, UNPUBLISHED_SHARDS, spread};
pub(crate) use message_item::MessageRecord;
#[cfg(test)]
pub(crate) use order_item::{as_an_older_version_stored, round_trip};
use tables::PK;
pub use tables::{create_tables, events_table, orders_table};
pub(crate) use transaction::{CommitOutcome, Transition};

/// One call, retries included. Longer than a hiccup, shorter than the deadline of the RPC above it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
/// One attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts of a call: one retry for a lost connection; more is the caller's decision.
const ATTEMPTS_MAX: u32 = 2;
/// Repetitions of a batch read whose answer was incomplete.
const BATCH_ATTEMPTS_MAX: usize = 4;
/// Reads of an order and its body of which a commit tears one at most: bodies change once or twice.
const TORN_READS_MAX: usize = 3;

/// The store.
pub(crate) struct Store {
    client: Client,
    orders: String,
    events: String,
}

/// What a decision about a message needs to know.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The order, when there is one.
    pub(crate) order: Option<Order>,
    /// What is remembered of the message, when it has one and was committed.
    pub(crate) message: Option<MessageRecord>,
    /// The dispute, when it was asked for and is known.
    pub(crate) dispute: Option<DisputeRecord>,
    /// The order's body, when it was asked for.
    pub(crate) body: Option<OrderBody>,
}

/// What to read beside an order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    /// What is remembered of this message.
    pub(crate) message: Option<MessageKey>,
    /// This dispute.
    pub(crate) dispute: Option<&'a DisputeId>,
    /// The order's body.
    pub(crate) body: bool,
}

impl Store {
    /// The tables under `prefix`. `client` is taken with its endpoint and credentials; timeouts, retries and the clock
    /// guard are set here.
    pub(crate) fn new(client: &Client, prefix: &str, guard: &ClockGuard) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = client
            .config()
            .to_builder()
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .interceptor(guard.clone())
            .build();
        Self { client: Client::from_conf(config), orders: orders_table(prefix), events: events_table(prefix) }
    }

    /// Reads an order and what is asked for beside it: strongly consistent, in one call. An order and its body are two items,
    /// which a commit in between tears apart: then both are read again.
    pub(crate) async fn load(&self, order: OrderId, beside: Beside<'_>) -> Result<Loaded, StoreError> {
        for _ in 0..TORN_READS_MAX {
            let (loaded, body_version) = self.load_once(order, beside).await?;
            let expected = loaded.order.as_ref().map_or(0, |order| order.body_version);
            if !beside.body || [expected, body_version].contains(&0) || expected == body_version {
                return Ok(loaded);
            }
        }
        Err(StoreError::torn("load"))
    }

    async fn load_once(&self, order: OrderId, beside: Beside<'_>) -> Result<(Loaded, u64), StoreError> {
        let message = beside.message;
        let order_key = keys::order_key(order);
        let message_key = message.map(|message| message.partition_key());
        let dispute_key = beside.dispute.map(keys::dispute_key);
        let body_key = beside.body.then(|| keys::body_key(order));
        let others = [message_key.clone(), dispute_key.clone(), body_key.clone()];
        let wanted = std::iter::once(order_key.clone()).chain(others.into_iter().flatten()).collect();
        let mut items = self.read_orders_table("load", wanted).await?;
        let decoded = items.remove(&order_key).map(|item| order_item::decode(order, &item)).transpose()?;
        let message = match (message, message_key.and_then(|key| items.remove(&key))) {
            (Some(key), Some(item)) => Some(message_item::decode(key, &item)?),
            _ => None,
        };
        let dispute = dispute_key.and_then(|key| items.remove(&key));
        let dispute = dispute.as_ref().map(dispute_item::decode).transpose()?;
        let body = body_key.and_then(|key| items.remove(&key)).map(order_item::decode_body).transpose()?;
        let (body, body_version) = body.unzip();
        Ok((Loaded { order: decoded, message, dispute, body }, body_version.unwrap_or_default()))
    }

    /// Reads a dispute: strongly consistent.
    pub(crate) async fn load_dispute(&self, id: &DisputeId) -> Result<Option<DisputeRecord>, StoreError> {
        let key = keys::dispute_key(id);
        let mut items = self.read_orders_table("load dispute", vec![key.clone()]).await?;
        items.remove(&key).as_ref().map(dispute_item::decode).transpose()
    }

    /// Reads an order and its body, as [`Self::load`] does. The body alone may be missing.
    pub(crate) async fn load_with_body(
        &self,
        order: OrderId,
    ) -> Result<Option<(Order, Option<OrderBody>)>, StoreError> {
        let loaded = self.load(order, Beside { body: true, ..Beside::default() }).await?;
        Ok(loaded.order.map(|order| (order, loaded.body)))
    }

    /// Reads an order and a file that came with one of its disputes: strongly consistent; `None` when either is missing.
    pub(crate) async fn load_evidence(
        &self,
        order: OrderId,
        id: EvidenceId,
    ) -> Result<Option<(Order, Evidence)>, StoreError> {
        let keys = [keys::order_key(order), keys::evidence_key(order, id)];
        let mut items = self.read_orders_table("load evidence", keys.to_vec()).await?;
        let [found, evidence] = keys.map(|key| items.remove(&key));
        let (Some(found), Some(evidence)) = (found, evidence) else { return Ok(None) };
        Ok(Some((order_item::decode(order, &found)?, evidence_item::decode(id, evidence)?)))
    }

    async fn read_orders_table(
        &self,
        operation: &'static str,
        keys: Vec<String>,
    ) -> Result<HashMap<String, Item>, StoreError> {
        let keys = keys.into_iter().map(|key| HashMap::from([(PK.to_owned(), text(key))])).collect();
        let items = self.batch_get(operation, &self.orders, keys).await?;
        let keyed = items.into_iter().filter_map(|item| match item.get(PK) {
            Some(AttributeValue::S(key)) => Some((key.clone(), item)),
            _ => None,
        });
        Ok(keyed.collect())
    }

    /// Reads items by key, strongly consistent; at most 100 keys. Missing items are left out.
    async fn batch_get(&self, operation: &'static str, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let wanted = |keys| KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let refused = |_| StoreError::Refused { operation, code: "construction".to_owned() };
        let mut request = HashMap::from([(table.to_owned(), wanted(keys).map_err(refused)?)]);
        let mut items = Vec::new();
        for _ in 0..BATCH_ATTEMPTS_MAX {
            let timer = telemetry::dependency("dynamodb", "batch_get");
            let answer = self.client.batch_get_item().set_request_items(Some(request)).send().await;
            timer.result(&answer);
            let answer = answer.map_err(|error| error::from_sdk(operation, error))?;
            items.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
            request = answer.unprocessed_keys.unwrap_or_default();
            if request.is_empty() {
                return Ok(items);
            }
        }
        Err(StoreError::throttled(operation))
    }
}
