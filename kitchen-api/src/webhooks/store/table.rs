//! Creates the table `webhooks`.
//!
//! Called by `comanda aws init` and `dev`; the service itself creates nothing.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::WebhookStoreError;
use super::item::{AT_MS, DUE_INDEX, EXPIRES_AT, LANE};
use super::requests::{send, send_or_unavailable, unavailable};

/// The table's name under `prefix`.
pub(super) fn table_name(prefix: &str) -> String {
    format!("{prefix}webhooks")
}

/// How often and how long to look whether the table is there; DynamoDB takes some seconds.
const ACTIVE_POLL: Duration = Duration::from_millis(200);
const ACTIVE_ATTEMPTS: u32 = 300;

/// Creates the table when it is missing, waits until it can be used, and switches expiry on. Safe to repeat.
///
/// # Errors
/// When DynamoDB refuses or the table does not become usable within a minute.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), WebhookStoreError> {
    let table = table_name(prefix);
    create(client, &table).await?;
    wait_until_active(client, &table).await?;
    enable_expiry(client, &table).await
}

async fn create(client: &Client, table: &str) -> Result<(), WebhookStoreError> {
    let attribute = |name: &str, kind: ScalarAttributeType| {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
        definition.build().expect("name and type are set")
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("name and type are set")
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name(DUE_INDEX)
        .key_schema(key(LANE, KeyType::Hash))
        .key_schema(key(AT_MS, KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(|error| unavailable("CreateTable", error))?;
    let create = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .attribute_definitions(attribute(LANE, ScalarAttributeType::S))
        .attribute_definitions(attribute(AT_MS, ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index);
    match send("CreateTable", create.send()).await? {
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => Ok(()),
        Err(error) => Err(unavailable("CreateTable", error)),
    }
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), WebhookStoreError> {
    for _ in 0..ACTIVE_ATTEMPTS {
        let described = send_or_unavailable("DescribeTable", client.describe_table().table_name(table).send()).await?;
        if described.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(ACTIVE_POLL).await;
    }
    Err(WebhookStoreError::Unavailable { operation: "DescribeTable", source: None })
}

async fn enable_expiry(client: &Client, table: &str) -> Result<(), WebhookStoreError> {
    let described = client.describe_time_to_live().table_name(table);
    let described = send_or_unavailable("DescribeTimeToLive", described.send()).await?;
    let status = described.time_to_live_description.and_then(|ttl| ttl.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
    let ttl = ttl.map_err(|error| unavailable("UpdateTimeToLive", error))?;
    let update = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
    send_or_unavailable("UpdateTimeToLive", update.send()).await?;
    Ok(())
}
