//! The seams of SNS, and its deliveries.

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};

use crate::Fixture;

fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

#[tokio::test]
async fn a_raw_subscription_gets_the_body_and_the_attributes_before_the_publisher_is_answered() {
    let fixture = Fixture::start();
    let (url, arn) = fixture.queue("raw").await;
    let topic = fixture.topic("events").await;
    fixture.subscribe(&topic, &arn, true).await;
    let publish = fixture.sns.publish().topic_arn(&topic).message("{\"é\":1}&=+%");
    publish.message_attributes("merchantId", text("São Paulo")).send().await.unwrap();
    let received = fixture.received(&url).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body(), Some("{\"é\":1}&=+%"));
    let attributes = received[0].message_attributes().unwrap();
    assert_eq!(attributes["merchantId"].string_value(), Some("São Paulo"));
}

#[tokio::test]
async fn a_subscription_that_is_not_raw_gets_the_envelope() {
    let fixture = Fixture::start();
    let (url, arn) = fixture.queue("wrapped").await;
    let topic = fixture.topic("events").await;
    fixture.subscribe(&topic, &arn, false).await;
    let published = fixture.sns.publish().topic_arn(&topic).message("hello").subject("greeting");
    let message_id = published.message_attributes("code", text("PLC")).send().await.unwrap().message_id.unwrap();
    let received = fixture.received(&url).await;
    let envelope: serde_json::Value = serde_json::from_str(received[0].body().unwrap()).unwrap();
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!(envelope["MessageId"], message_id);
    assert_eq!(envelope["TopicArn"], topic);
    assert_eq!(envelope["Subject"], "greeting");
    assert_eq!(envelope["Message"], "hello");
    assert_eq!(envelope["MessageAttributes"]["code"], serde_json::json!({"Type": "String", "Value": "PLC"}));
}

#[tokio::test]
async fn every_message_of_a_batch_reaches_every_subscriber_and_is_answered_by_its_id() {
    let fixture = Fixture::start();
    let topic = fixture.topic("events").await;
    let mut queues = Vec::new();
    for name in ["one", "two", "three"] {
        let (url, arn) = fixture.queue(name).await;
        fixture.subscribe(&topic, &arn, true).await;
        queues.push(url);
    }
    let entries = (0..10).map(|n| {
        let entry = PublishBatchRequestEntry::builder().id(format!("e{n}")).message(format!("message {n}"));
        entry.message_attributes("n", text(&n.to_string())).build().unwrap()
    });
    let publish = fixture.sns.publish_batch().topic_arn(&topic);
    let answer = publish.set_publish_batch_request_entries(Some(entries.collect())).send().await.unwrap();
    assert_eq!(answer.successful().len(), 10);
    assert!(answer.failed().is_empty());
    assert!(answer.successful().iter().all(|result| result.id().is_some() && result.message_id().is_some()));
    for url in queues {
        let received = fixture.received(&url).await;
        assert_eq!(received.len(), 10);
        assert!(received.iter().all(|message| {
            let n = message.message_attributes().unwrap()["n"].string_value().unwrap();
            message.body() == Some(&format!("message {n}"))
        }));
    }
    assert_eq!(fixture.aws.statistics().sns_deliveries, 30);
}

#[tokio::test]
async fn subscribing_twice_makes_one_subscription() {
    let fixture = Fixture::start();
    let (url, arn) = fixture.queue("once").await;
    let topic = fixture.topic("events").await;
    let first = fixture.subscribe(&topic, &arn, true).await;
    assert_eq!(fixture.subscribe(&topic, &arn, true).await, first);
    let other_attributes = fixture.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&arn);
    assert!(other_attributes.attributes("RawMessageDelivery", "false").send().await.is_err());
    fixture.sns.publish().topic_arn(&topic).message("once").send().await.unwrap();
    assert_eq!(fixture.received(&url).await.len(), 1);
}

#[tokio::test]
async fn a_filter_policy_decides_by_attributes() {
    let fixture = Fixture::start();
    let (url, arn) = fixture.queue("filtered").await;
    let topic = fixture.topic("events").await;
    let subscribe = fixture.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&arn);
    let subscribe =
        subscribe.attributes("FilterPolicy", r#"{"category":["1"]}"#).attributes("RawMessageDelivery", "true");
    subscribe.send().await.unwrap();
    for category in ["1", "2"] {
        let publish = fixture.sns.publish().topic_arn(&topic).message(category);
        publish.message_attributes("category", text(category)).send().await.unwrap();
    }
    let received = fixture.received(&url).await;
    assert_eq!(received.iter().map(|message| message.body().unwrap()).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_deleted_queue_loses_its_messages_and_no_one_elses() {
    let fixture = Fixture::start();
    let topic = fixture.topic("events").await;
    let (gone, gone_arn) = fixture.queue("gone").await;
    let (kept, kept_arn) = fixture.queue("kept").await;
    fixture.subscribe(&topic, &gone_arn, true).await;
    fixture.subscribe(&topic, &kept_arn, true).await;
    fixture.sqs.delete_queue().queue_url(gone).send().await.unwrap();
    fixture.sns.publish().topic_arn(&topic).message("still").send().await.unwrap();
    assert_eq!(fixture.received(&kept).await.len(), 1);
    assert_eq!(fixture.aws.statistics().sns_undeliverable, 1);
}

#[tokio::test]
async fn a_fifo_topic_keeps_the_group_of_each_entry() {
    let fixture = Fixture::start();
    let fifo = fixture.sqs.create_queue().queue_name("q.fifo");
    let fifo = fifo.attributes(aws_sdk_sqs::types::QueueAttributeName::FifoQueue, "true");
    let url = fifo.send().await.unwrap().queue_url.unwrap();
    let topic = fixture.sns.create_topic().name("t.fifo").attributes("FifoTopic", "true").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    fixture.subscribe(&topic, "arn:aws:sqs:us-east-1:000000000000:q.fifo", true).await;
    let entry =
        PublishBatchRequestEntry::builder().id("a").message("x").message_group_id("g").message_deduplication_id("d");
    let publish = fixture.sns.publish_batch().topic_arn(&topic).publish_batch_request_entries(entry.build().unwrap());
    publish.send().await.unwrap();
    assert_eq!(fixture.received(&url).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_topic_is_the_error_that_the_sdk_knows() {
    let fixture = Fixture::start();
    let publish = fixture.sns.publish().topic_arn("arn:aws:sns:us-east-1:000000000000:absent").message("x");
    assert!(publish.send().await.unwrap_err().into_service_error().is_not_found_exception());
}
