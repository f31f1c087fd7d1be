//! What the services rely on in DynamoDB.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, Put, ScalarAttributeType, TimeToLiveSpecification, TransactWriteItem, Update,
};
use local_aws::Config;

use crate::Fixture;

/// Writers at once: more than the connections of one client, fewer than the endpoints take.
const WRITERS: usize = 64;

fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn attribute(name: &str) -> AttributeDefinition {
    let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
    definition.build().unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

/// A table with the partition key `pk`, the index `by-owner` on `owner`, and time to live in `expires`.
pub async fn create_table(client: &Client, name: &str) {
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-owner")
        .key_schema(key("owner", KeyType::Hash))
        .key_schema(key("pk", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    let create = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("owner"))
        .key_schema(key("pk", KeyType::Hash))
        .global_secondary_indexes(index.build().unwrap());
    create.send().await.unwrap();
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires").enabled(true).build().unwrap();
    client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await.unwrap();
}

pub async fn put(client: &Client, table: &str, pk: &str, value: &str) {
    client.put_item().table_name(table).item("pk", s(pk)).item("value", s(value)).send().await.unwrap();
}

pub async fn get(client: &Client, table: &str, pk: &str) -> Option<String> {
    let item = client.get_item().table_name(table).key("pk", s(pk)).consistent_read(true).send().await.unwrap().item?;
    item["value"].as_s().ok().cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_conditional_puts_exactly_one_wins() {
    let fixture = Fixture::start();
    create_table(&fixture.dynamodb, "items").await;
    for round in 0..5 {
        let writers = (0..WRITERS).map(|writer| {
            let put = fixture
                .dynamodb
                .put_item()
                .table_name("items")
                .item("pk", s(format!("r{round}")))
                .item("by", n(writer));
            tokio::spawn(put.condition_expression("attribute_not_exists(pk)").send())
        });
        let mut winners = 0;
        for outcome in futures::future::join_all(writers.collect::<Vec<_>>()).await {
            match outcome.unwrap() {
                Ok(_) => winners += 1,
                Err(error) => assert!(error.into_service_error().is_conditional_check_failed_exception()),
            }
        }
        assert_eq!(winners, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_transactions_on_one_version_exactly_one_wins_and_the_losers_leave_nothing() {
    let fixture = Fixture::start();
    create_table(&fixture.dynamodb, "items").await;
    fixture.dynamodb.put_item().table_name("items").item("pk", s("order")).item("version", n(0)).send().await.unwrap();
    let mut winners = 0;
    let transactions = (0..WRITERS).map(|writer| {
        let items = [versioned_update(0), event_put(&format!("event-{writer}"))];
        tokio::spawn(fixture.dynamodb.transact_write_items().set_transact_items(Some(items.to_vec())).send())
    });
    for outcome in futures::future::join_all(transactions.collect::<Vec<_>>()).await {
        match outcome.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_transaction_canceled_exception(), "{error:?}");
            }
        }
    }
    assert_eq!(winners, 1);
    let left = fixture.dynamodb.scan().table_name("items").send().await.unwrap();
    assert_eq!(left.count(), 2, "the order and the winner's event");
}

#[tokio::test]
async fn a_cancelled_transaction_says_which_item_failed() {
    let fixture = Fixture::start();
    create_table(&fixture.dynamodb, "items").await;
    put(&fixture.dynamodb, "items", "event", "there").await;
    let items = vec![versioned_put("order"), event_put("event")];
    let error = fixture.dynamodb.transact_write_items().set_transact_items(Some(items)).send().await.unwrap_err();
    let error = error.into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("not a cancelled transaction: {error:?}")
    };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None")).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(get(&fixture.dynamodb, "items", "event").await.as_deref(), Some("there"));
}

#[tokio::test]
async fn an_index_finds_items_by_another_attribute_in_order_and_in_pages() {
    let fixture = Fixture::start();
    create_table(&fixture.dynamodb, "items").await;
    for number in [3, 1, 2] {
        let put = fixture.dynamodb.put_item().table_name("items").item("pk", s(format!("o{number}")));
        put.item("owner", s("merchant")).send().await.unwrap();
    }
    put(&fixture.dynamodb, "items", "no-owner", "sparse").await;
    let mut found = Vec::new();
    let mut start: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let query = fixture.dynamodb.query().table_name("items").index_name("by-owner").limit(2);
        let query = query.key_condition_expression("#o = :o").expression_attribute_names("#o", "owner");
        let query = query.expression_attribute_values(":o", s("merchant")).set_exclusive_start_key(start);
        let page = query.send().await.unwrap();
        found.extend(page.items().iter().map(|item| item["pk"].as_s().unwrap().clone()));
        start = page.last_evaluated_key;
        if start.is_none() {
            break;
        }
    }
    assert_eq!(found, ["o1", "o2", "o3"]);
}

#[tokio::test]
async fn expired_items_are_swept_and_others_stay() {
    let fixture = Fixture::with(Config { ttl_sweep_interval: Duration::from_millis(20), ..Config::default() });
    create_table(&fixture.dynamodb, "items").await;
    let now = now_s();
    for (pk, expires) in [("past", now - 60), ("future", now + 3600)] {
        let put = fixture.dynamodb.put_item().table_name("items").item("pk", s(pk)).item("value", s(pk));
        put.item("expires", n(expires)).send().await.unwrap();
    }
    super::eventually("the expired item is gone", || async { get(&fixture.dynamodb, "items", "past").await.is_none() })
        .await;
    assert_eq!(get(&fixture.dynamodb, "items", "future").await.as_deref(), Some("future"));
    assert_eq!(fixture.aws.statistics().ttl_deletions, 1);
}

#[tokio::test]
async fn malformed_requests_are_refused_and_not_retried() {
    let fixture = Fixture::start();
    let absent = fixture.dynamodb.get_item().table_name("absent").key("pk", s("a")).send().await.unwrap_err();
    assert!(absent.into_service_error().is_resource_not_found_exception());
    create_table(&fixture.dynamodb, "items").await;
    let no_key = fixture.dynamodb.put_item().table_name("items").item("value", s("x")).send().await.unwrap_err();
    assert_eq!(no_key.raw_response().map(|response| response.status().as_u16()), Some(400));
}

fn versioned_update(version: u32) -> TransactWriteItem {
    let update = Update::builder()
        .table_name("items")
        .key("pk", s("order"))
        .update_expression("SET version = :next")
        .condition_expression("version = :read")
        .expression_attribute_values(":next", n(version + 1))
        .expression_attribute_values(":read", n(version));
    TransactWriteItem::builder().update(update.build().unwrap()).build()
}

fn versioned_put(pk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name("items").item("pk", s(pk)).item("version", n(1));
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

fn event_put(pk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name("items").item("pk", s(pk)).condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

#[expect(clippy::disallowed_methods, reason = "time to live is judged by the system's clock, inside DynamoDB")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
