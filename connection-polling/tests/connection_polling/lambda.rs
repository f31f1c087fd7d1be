//! The Lambda's handler: a batch with a good, a foreign and a malformed message, with and without dead letters.

use connection_polling::lambda::{SqsBatchResponse, SqsEvent, handle};
use message_bus::{Queue, SharedQueue};
use order_model::{EventId, EventIdKey};
use serde_json::{Value, json};

use crate::platform::{EventSpec, Platform, PollSpec, START, notified};

pub fn record(id: &str, (body, attributes): (String, std::collections::BTreeMap<String, String>)) -> Value {
    let attribute = |(name, value)| (name, json!({"stringValue": value, "dataType": "String"}));
    let attributes: serde_json::Map<String, Value> = attributes.into_iter().map(attribute).collect();
    json!({"messageId": id, "receiptHandle": "r", "body": body, "messageAttributes": attributes, "awsRegion": "x"})
}

fn failed(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

fn event(records: &[Value]) -> SqsEvent {
    serde_json::from_value(json!({"Records": records})).unwrap()
}

#[tokio::test]
async fn only_what_failed_is_answered_as_failed() {
    let platform = Platform::start().await;
    let good = EventSpec::new(1, 1, START).build();
    let mut foreign = EventSpec::new(1, 2, START).build();
    foreign.id = EventId::derive(&EventIdKey::from_bytes([8; 16]), START, foreign.merchant, foreign.order, 1);
    let mut nonsense = notified(&good);
    nonsense.0 = "[]".to_owned();
    let records =
        [record("good", notified(&good)), record("foreign", notified(&foreign)), record("nonsense", nonsense)];
    let response = handle(&platform.index, None, event(&records)).await;
    assert_eq!(failed(&response), ["foreign", "nonsense"]);
    assert_eq!(serde_json::to_value(&response).unwrap()["batchItemFailures"][0]["itemIdentifier"], "foreign");
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.ids(), [good.id]);

    let dead_letters: SharedQueue = platform.dead_letters.clone();
    let response = handle(&platform.index, Some(&dead_letters), event(&records)).await;
    assert_eq!(failed(&response), Vec::<&str>::new());
    assert_eq!(platform.dead_letters.depth().await.unwrap().visible, 2);
}

#[tokio::test]
async fn a_failing_store_fails_the_good_ones_only() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let platform = Platform::over(&format!("http://{gone}"), None, |_| {});
    let good = EventSpec::new(1, 1, START).build();
    let mut nonsense = notified(&good);
    nonsense.0 = "[]".to_owned();
    let dead_letters: SharedQueue = platform.dead_letters.clone();
    let records = [record("good", notified(&good)), record("nonsense", nonsense)];
    let response = handle(&platform.index, Some(&dead_letters), event(&records)).await;
    assert_eq!(failed(&response), ["good"]);
}
