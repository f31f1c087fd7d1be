//! Creating `polling-index`: idempotent, used by `comanda aws init`, by `dev` and by tests.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};

use super::item::{PARTITION_KEY, SORT_KEY, TTL};
use super::{StoreError, TABLE};

/// How often a new table is looked at until it is active.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often at most: two minutes, several times what AWS needs.
const LOOKS_MAX: u32 = 240;

/// Creates the table if it is not there, waits until it is active and switches its TTL on.
///
/// # Errors
/// [`StoreError`] naming the step; repeating the call is always safe.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), StoreError> {
    let table = format!("{prefix}{TABLE}");
    create(client, &table).await?;
    wait_until_active(client, &table).await?;
    enable_ttl(client, &table).await
}

async fn create(client: &Client, table: &str) -> Result<(), StoreError> {
    let attribute = |name: &str| {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        definition.build().expect("name and type are set")
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("name and type are set")
    };
    let created = client
        .create_table()
        .table_name(table)
        .attribute_definitions(attribute(PARTITION_KEY))
        .attribute_definitions(attribute(SORT_KEY))
        .key_schema(key(PARTITION_KEY, KeyType::Hash))
        .key_schema(key(SORT_KEY, KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await;
    match created {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some("ResourceInUseException") => Ok(()),
        Err(error) => Err(StoreError::from_sdk("CreateTable", error)),
    }
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), StoreError> {
    for _ in 0..LOOKS_MAX {
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|error| StoreError::from_sdk("DescribeTable", error))?;
        let status = described.table().and_then(|table| table.table_status());
        if status == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(StoreError::unavailable("DescribeTable", "the table did not become active"))
}

async fn enable_ttl(client: &Client, table: &str) -> Result<(), StoreError> {
    let described = client.describe_time_to_live().table_name(table).send().await;
    let described = described.map_err(|error| StoreError::from_sdk("DescribeTimeToLive", error))?;
    let is_set = described.time_to_live_description().and_then(|ttl| ttl.attribute_name()) == Some(TTL);
    if is_set {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true).build();
    let ttl = ttl.expect("name and switch are set");
    let updated = client.update_time_to_live().table_name(table).time_to_live_specification(ttl).send().await;
    match updated {
        Ok(_) => Ok(()),
        // Somebody else has just done it.
        Err(error) if code(&error) == Some("ValidationException") => Ok(()),
        Err(error) => Err(StoreError::from_sdk("UpdateTimeToLive", error)),
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}
