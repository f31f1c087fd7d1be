//! Creates the tables of this crate: `partner-apps`, `requests`, and `catalog`, which `crate::catalog` owns.
//!
//! Called by `comanda aws init` and `dev`; the service itself creates nothing.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};

use super::StoreError;
use super::requests::{Unavailable, send, send_or_unavailable, unavailable};

/// The table's name under `prefix`.
pub(super) fn table_name(prefix: &str) -> String {
    format!("{prefix}partner-apps")
}

/// The attribute that says when an item may be deleted, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at_s";

/// How often and how long to look whether the table is there; DynamoDB takes some seconds.
const ACTIVE_POLL: Duration = Duration::from_millis(200);
const ACTIVE_ATTEMPTS: u32 = 300;

/// Creates the tables that are missing, waits until they can be used, and switches expiry on. Safe to repeat.
///
/// # Errors
/// When DynamoDB refuses or a table does not become usable within a minute.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), StoreError> {
    let (applications, catalog) = (table_name(prefix), crate::catalog::table_name(prefix));
    let requests = super::kept::table_name(prefix);
    let create = |table| create_table(client, table);
    tokio::try_join!(create(&applications), create(&catalog), create(&requests))?;
    Ok(())
}

async fn create_table(client: &Client, table: &str) -> Result<(), StoreError> {
    let attribute =
        |name: &str| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let invalid = |error| unavailable("CreateTable", error);
    let create = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk").map_err(invalid)?)
        .attribute_definitions(attribute("sk").map_err(invalid)?)
        .key_schema(key("pk", KeyType::Hash).map_err(invalid)?)
        .key_schema(key("sk", KeyType::Range).map_err(invalid)?);
    match send("CreateTable", create.send()).await? {
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => {}
        Err(error) => return Err(unavailable("CreateTable", error).into()),
    }
    Ok(make_usable(client, table, EXPIRES_AT).await?)
}

/// Waits until a table that was created can be used, and has its items end at their attribute `expires_at`.
pub(crate) async fn make_usable(client: &Client, table: &str, expires_at: &str) -> Result<(), Unavailable> {
    wait_until_active(client, table).await?;
    enable_expiry(client, table, expires_at).await
}

async fn wait_until_active(client: &Client, table: &str) -> Result<(), Unavailable> {
    for _ in 0..ACTIVE_ATTEMPTS {
        let described = send_or_unavailable("DescribeTable", client.describe_table().table_name(table).send()).await?;
        if described.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(ACTIVE_POLL).await;
    }
    Err(Unavailable { operation: "DescribeTable", source: None })
}

async fn enable_expiry(client: &Client, table: &str, expires_at: &str) -> Result<(), Unavailable> {
    let described = client.describe_time_to_live().table_name(table);
    let described = send_or_unavailable("DescribeTimeToLive", described.send()).await?;
    let status = described.time_to_live_description.and_then(|ttl| ttl.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(expires_at).build();
    let ttl = ttl.map_err(|error| unavailable("UpdateTimeToLive", error))?;
    let update = client.update_time_to_live().table_name(table).time_to_live_specification(ttl);
    send_or_unavailable("UpdateTimeToLive", update.send()).await?;
    Ok(())
}
