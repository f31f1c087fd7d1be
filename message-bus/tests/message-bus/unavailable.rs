//! What SQS and SNS clients make of endpoints that are down, silent, missing something or talking nonsense.

use std::error::Error;
use std::time::Duration;

use message_bus::admin::{self, QueueSettings};
use message_bus::sns::SnsTopic;
use message_bus::sqs::SqsQueue;
use message_bus::{Queue, QueueError, Topic, TopicError, TopicMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::broker::{Aws, message, sns_client, sqs_client};

const SECRET: &str = "Rua das Laranjeiras 1";

/// An endpoint that answers every request with `answer`, or never if it is empty.
async fn endpoint(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    if answer.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    let length = answer.split("\r\n\r\n").nth(1).map_or(0, str::len);
                    let answer = answer.replacen("\r\n\r\n", &format!("\r\ncontent-length: {length}\r\n\r\n"), 1);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    url
}

fn source_of(error: &QueueError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text} {source} {source:?}");
        next = source.source();
    }
    text
}

#[tokio::test]
async fn a_closed_port_is_unavailable_for_each_message() {
    let queue = SqsQueue::new(sqs_client("http://127.0.0.1:1"), "", "orders");
    let results = queue.send(vec![message(SECRET), message("two")]).await;
    assert_eq!(results.len(), 2);
    for error in results.into_iter().map(Result::unwrap_err) {
        assert!(error.is_retryable());
        assert!(!source_of(&error).contains(SECRET), "{error:?}");
    }
    let topic = SnsTopic::new(sns_client("http://127.0.0.1:1"), "", "events");
    let results = topic.publish(vec![TopicMessage { body: SECRET.to_owned(), ..TopicMessage::default() }]).await;
    assert!(matches!(results[..], [Err(TopicError::Unavailable { .. })]));
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_after_the_timeout() {
    let limit = Duration::from_millis(200);
    let queue = SqsQueue::new(sqs_client(&endpoint("").await), "", "orders").with_operation_timeout(limit);
    let started = tokio::time::Instant::now();
    let error = queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    let QueueError::Unavailable { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("200 ms"), "{source}");
}

#[tokio::test]
async fn a_server_error_is_unavailable_whatever_its_code() {
    let answer =
        "HTTP/1.1 503 x\r\ncontent-type: application/x-amz-json-1.0\r\n\r\n{\"__type\":\"InvalidParameterValue\"}";
    let queue = SqsQueue::new(sqs_client(&endpoint(answer).await), "", "orders");
    assert!(queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn an_unreadable_answer_is_unavailable_and_never_quoted() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n\r\n{\"QueueUrl\": Rua das Laranjeiras 1";
    let queue = SqsQueue::new(sqs_client(&endpoint(answer).await), "", "orders");
    let error = queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(!source_of(&error).contains(SECRET), "{}", source_of(&error));
}

#[tokio::test]
async fn a_missing_queue_is_unavailable_and_found_once_it_is_created() {
    let aws = Aws::new();
    let queue = aws.queue("late");
    let error = queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap_err();
    assert!(error.is_retryable(), "a message must survive that its queue was not created yet: {error:?}");
    admin::create_queue(&aws.sqs, &aws.prefix, "late", &QueueSettings::default()).await.unwrap();
    assert!(queue.send(vec![message("now")]).await[0].is_ok());
}

#[tokio::test]
async fn a_missing_topic_is_unavailable_and_found_once_it_is_created() {
    let aws = Aws::new();
    let topic = SnsTopic::new(aws.sns.clone(), &aws.prefix, "late");
    let publish = || topic.publish(vec![TopicMessage { body: "e".to_owned(), ..TopicMessage::default() }]);
    assert!(matches!(publish().await[..], [Err(TopicError::Unavailable { .. })]));
    let arn = admin::create_topic(&aws.sns, &aws.prefix, "late").await.unwrap();
    assert!(publish().await[0].is_ok());
    assert_eq!(SnsTopic::with_arn(aws.sns.clone(), &arn).name(), topic.name());
}
