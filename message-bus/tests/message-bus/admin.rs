//! Creating queues, topics and subscriptions.

use aws_sdk_sqs::types::QueueAttributeName;
use message_bus::TopicMessage;
use message_bus::admin::{self, QueueSettings};

use crate::broker::{Aws, Broker, receive_all, sqs_client};

#[tokio::test]
async fn everything_can_be_created_again_and_settings_are_brought_up_to_date() {
    let aws = Aws::new();
    let settings = QueueSettings::default();
    let first = admin::create_queue(&aws.sqs, &aws.prefix, "orders", &settings).await.unwrap();
    let (queue, dead_letters) = admin::create_queue(&aws.sqs, &aws.prefix, "orders", &settings).await.unwrap();
    assert_eq!(first, (queue.clone(), dead_letters.clone()));
    assert_eq!(queue.name, format!("{}orders", aws.prefix));
    assert_eq!(dead_letters.name, format!("{}orders-dlq", aws.prefix));

    let changed = QueueSettings { max_receive_count: 7, ..settings };
    admin::create_queue(&aws.sqs, &aws.prefix, "orders", &changed).await.unwrap();
    let attributes = aws.sqs.get_queue_attributes().queue_url(&queue.url).attribute_names(QueueAttributeName::All);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let redrive: serde_json::Value = serde_json::from_str(&attributes[&QueueAttributeName::RedrivePolicy]).unwrap();
    assert_eq!(redrive["deadLetterTargetArn"], dead_letters.arn);
    assert_eq!(redrive["maxReceiveCount"].to_string().trim_matches('"'), "7");
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "30");

    let topic = admin::create_topic(&aws.sns, &aws.prefix, "events").await.unwrap();
    assert_eq!(admin::create_topic(&aws.sns, &aws.prefix, "events").await.unwrap(), topic);
}

#[tokio::test]
async fn a_queue_is_subscribed_once_and_lets_the_topic_in() {
    let broker = Broker::aws();
    let (topic, queues) = broker.topic("events", &["feed"]).await;
    // Again, as `comanda aws init` would.
    broker.topic("events", &["feed"]).await;
    let results = topic.publish(vec![TopicMessage { body: "once".to_owned(), ..TopicMessage::default() }]).await;
    assert!(results[0].is_ok(), "{results:?}");
    let received = receive_all(&queues[0], 1).await;
    assert_eq!(received[0].body, "once");
    let more = queues[0].receive(10, std::time::Duration::ZERO, std::time::Duration::ZERO).await.unwrap();
    assert!(more.is_empty(), "{more:?}");

    let Broker::Aws(aws) = &broker else { unreachable!("made above") };
    let url =
        aws.sqs.get_queue_url().queue_name(format!("{}feed", aws.prefix)).send().await.unwrap().queue_url.unwrap();
    let attributes = aws.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::Policy);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let policy: serde_json::Value = serde_json::from_str(&attributes[&QueueAttributeName::Policy]).unwrap();
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_subscription_without_raw_delivery_is_mended() {
    let aws = Aws::new();
    let (queue, _) = admin::create_queue(&aws.sqs, &aws.prefix, "feed", &QueueSettings::default()).await.unwrap();
    let topic = admin::create_topic(&aws.sns, &aws.prefix, "events").await.unwrap();
    aws.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue.arn).send().await.unwrap();
    admin::subscribe(&aws.sns, &aws.sqs, &topic, &queue).await.unwrap();
    aws.sns.publish().topic_arn(&topic).message("bare").send().await.unwrap();
    assert_eq!(receive_all(&aws.queue("feed"), 1).await[0].body, "bare");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_a_retryable_error_that_names_the_queue() {
    let nowhere = sqs_client("http://127.0.0.1:1");
    let error = admin::create_queue(&nowhere, "p-", "orders", &QueueSettings::default()).await.unwrap_err();
    assert!(error.is_retryable);
    assert_eq!(error.to_string(), "create the queue failed for p-orders-dlq");
}

#[tokio::test]
async fn a_name_that_sqs_does_not_take_is_no_retryable_error() {
    // ministack 1.5.33 takes any name.
    let aws = Aws::local();
    let error = admin::create_queue(&aws.sqs, "", "not a name", &QueueSettings::default()).await.unwrap_err();
    assert!(!error.is_retryable, "{error:?}");
}
