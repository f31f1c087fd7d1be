//! Creates the table `webhooks`.
//!
//! Called by `comanda aws init` and `dev`; the service itself creates nothing.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};

use super::WebhookStoreError;
use super::item::{AT_MS, DUE_INDEX, EXPIRES_AT, LANE};
use crate::store::requests::{send, unavailable};
use crate::store::table::make_usable;

/// The table's name under `prefix`.
pub(super) fn table_name(prefix: &str) -> String {
    format!("{prefix}webhooks")
}

/// Creates the table when it is missing, waits until it can be used, and switches expiry on. Safe to repeat.
///
/// # Errors
/// When DynamoDB refuses or the table does not become usable within a minute.
pub async fn create_tables(client: &Client, prefix: &str) -> Result<(), WebhookStoreError> {
    let table = table_name(prefix);
    create(client, &table).await?;
    Ok(make_usable(client, &table, EXPIRES_AT).await?)
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
        Err(error) => Err(unavailable("CreateTable", error).into()),
    }
}
