//! The two tables: their names, keys, indexes and time to live, and how they are made.
//!
//! `comanda aws init` and `dev` call [`create_tables`]; a running service never creates anything.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::attributes::TTL;
use super::error::{StoreError, from_sdk};

/// Partition key of `orders`: `order#…`, `body#…`, `dispute#…`, `evidence#…`, `message#…` or `system#…`.
pub(super) const PK: &str = "pk";
/// Index of orders whose deadline the core must look at.
pub(super) const DUE_INDEX: &str = "due";
pub(super) const DUE_SHARD: &str = "dueShard";
pub(super) const DUE_AT: &str = "dueAt";
/// Keys of `order-events`.
pub(super) const ORDER_ID: &str = "orderId";
pub(super) const SEQUENCE: &str = "sequence";
/// Index of events that the topic has not been seen to take.
pub(super) const UNPUBLISHED_INDEX: &str = "unpublished";
pub(super) const UNPUBLISHED_SHARD: &str = "unpublishedShard";
pub(super) const CREATED_AT: &str = "createdAt";

/// How long a table may take to become active.
const ACTIVE_WAIT: Duration = Duration::from_secs(120);
const ACTIVE_POLL: Duration = Duration::from_millis(200);

/// The name of the table with orders, bodies, evidence and idempotency records.
pub fn orders_table(prefix: &str) -> String {
    format!("{prefix}orders")
}

/// The name of the table with events.
pub fn events_table(prefix: &str) -> String {
    format!("{prefix}order-events")
}

/// Creates what is missing of the tables `orders` and `order-events` under `prefix`, waits until they are active and
/// turns time to live on. Can be repeated, also by several at once.
///
/// # Errors
/// When DynamoDB cannot be reached or refuses, or a table does not become active within 2 minutes.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), StoreError> {
    let orders = orders_table(prefix);
    let events = events_table(prefix);
    create(
        client,
        &orders,
        &Layout { hash: (PK, ScalarAttributeType::S), range: None, index: (DUE_INDEX, DUE_SHARD, DUE_AT) },
    )
    .await?;
    create(
        client,
        &events,
        &Layout {
            hash: (ORDER_ID, ScalarAttributeType::S),
            range: Some((SEQUENCE, ScalarAttributeType::N)),
            index: (UNPUBLISHED_INDEX, UNPUBLISHED_SHARD, CREATED_AT),
        },
    )
    .await?;
    for table in [&orders, &events] {
        wait_until_active(client, table).await?;
        enable_ttl(client, table).await?;
    }
    Ok(())
}

/// A table with one sparse index (text, number) that holds keys only.
struct Layout {
    hash: (&'static str, ScalarAttributeType),
    range: Option<(&'static str, ScalarAttributeType)>,
    index: (&'static str, &'static str, &'static str),
}

async fn create(client: &Client, table: &str, layout: &Layout) -> Result<(), StoreError> {
    const OPERATION: &str = "create table";
    let (index, shard, order) = layout.index;
    let index = GlobalSecondaryIndex::builder()
        .index_name(index)
        .key_schema(key(shard, KeyType::Hash))
        .key_schema(key(order, KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(|_| StoreError::Refused { operation: OPERATION, code: "construction".to_owned() })?;
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key(layout.hash.0, KeyType::Hash))
        .attribute_definitions(attribute(layout.hash.0, &layout.hash.1))
        .attribute_definitions(attribute(shard, &ScalarAttributeType::S))
        .attribute_definitions(attribute(order, &ScalarAttributeType::N))
        .global_secondary_indexes(index);
    if let Some((name, kind)) = &layout.range {
        request = request.key_schema(key(name, KeyType::Range)).attribute_definitions(attribute(name, kind));
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => Ok(()),
        Err(error) => Err(from_sdk(OPERATION, error)),
    }
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("name and type are set")
}

fn attribute(name: &str, kind: &ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind.clone())
        .build()
        .expect("name and type are set")
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), StoreError> {
    const OPERATION: &str = "wait for table";
    let waiting = async {
        loop {
            let answer = client.describe_table().table_name(table).send().await;
            let answer = answer.map_err(|error| from_sdk(OPERATION, error))?;
            if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(ACTIVE_POLL).await;
        }
    };
    let timeout = |_| StoreError::Unavailable { operation: OPERATION, code: "timeout".to_owned(), source: None };
    tokio::time::timeout(ACTIVE_WAIT, waiting).await.map_err(timeout)?
}

async fn enable_ttl(client: &Client, table: &str) -> Result<(), StoreError> {
    if ttl_is_on(client, table).await? {
        return Ok(());
    }
    let ttl =
        TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL).build().expect("both fields are set");
    let request = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
    match request.send().await {
        Ok(_) => Ok(()),
        // Somebody else may have turned it on in between, which DynamoDB calls invalid.
        Err(_) if ttl_is_on(client, table).await? => Ok(()),
        Err(error) => Err(from_sdk("enable time to live", error)),
    }
}

async fn ttl_is_on(client: &Client, table: &str) -> Result<bool, StoreError> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    let answer = answer.map_err(|error| from_sdk("describe time to live", error))?;
    let status = answer.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
    Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
}
