//! Creates the table. Called by `comanda aws init` and `dev`; what exists is left as it is.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use std::time::Duration;

use super::{StoreError, table_name};

/// A new table is there within seconds; AWS promises no bound.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates the table if it is missing, waits until it takes items, and switches its TTL on.
///
/// # Errors
/// When DynamoDB cannot be reached or refuses.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), StoreError> {
    let table = table_name(prefix);
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let attribute =
        |name: &str| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let failed = |operation, reason: Option<&str>| StoreError::Unavailable {
        operation,
        reason: reason.unwrap_or("no answer").to_owned(),
    };
    let incomplete = |_| failed("CreateTable", Some("incomplete request"));
    let created = client
        .create_table()
        .table_name(&table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("pk", KeyType::Hash).map_err(incomplete)?)
        .key_schema(key("sk", KeyType::Range).map_err(incomplete)?)
        .attribute_definitions(attribute("pk").map_err(incomplete)?)
        .attribute_definitions(attribute("sk").map_err(incomplete)?)
        .send()
        .await;
    match created {
        Ok(_) => {}
        // Whoever made it may have gone away before it was active or its TTL was on.
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {}
        Err(error) => return Err(failed("CreateTable", error.code())),
    }
    wait_until_active(client, &table).await?;
    if ttl_is_on(client, &table).await? {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("ttl").build();
    let ttl = ttl.map_err(|_| failed("UpdateTimeToLive", Some("incomplete request")))?;
    match client.update_time_to_live().table_name(&table).time_to_live_specification(ttl).send().await {
        Ok(_) => Ok(()),
        // Somebody else may have switched it on in between, which DynamoDB calls invalid.
        Err(_) if ttl_is_on(client, &table).await? => Ok(()),
        Err(error) => Err(failed("UpdateTimeToLive", error.code())),
    }
}

async fn ttl_is_on(client: &Client, table: &str) -> Result<bool, StoreError> {
    let described = client.describe_time_to_live().table_name(table).send().await.map_err(|error| {
        let reason = error.code().unwrap_or("no answer").to_owned();
        StoreError::Unavailable { operation: "DescribeTimeToLive", reason }
    })?;
    let status = described.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
    Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), StoreError> {
    let deadline = tokio::time::Instant::now() + ACTIVE_TIMEOUT;
    loop {
        let described = client.describe_table().table_name(table).send().await;
        let status = described.as_ref().ok().and_then(|answer| answer.table()).and_then(|table| table.table_status());
        if status == Some(&TableStatus::Active) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(StoreError::Unavailable {
                operation: "DescribeTable",
                reason: "not active in time".to_owned(),
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
