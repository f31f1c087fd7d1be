//! The brokers that the contract suite runs over.

use std::sync::Arc;
use std::time::Duration;

use local_aws::{Config, LocalAws};
use message_bus::admin::{self, QueueSettings};
use message_bus::in_memory::{InMemoryQueue, InMemoryTopic};
use message_bus::sns::SnsTopic;
use message_bus::sqs::SqsQueue;
use message_bus::{OutgoingMessage, ReceivedMessage, SharedQueue, SharedTopic};

/// Where queues and topics come from.
pub enum Broker {
    InMemory,
    Aws(Aws),
}

/// SQS and SNS somewhere, with a prefix of its own.
pub struct Aws {
    pub sqs: aws_sdk_sqs::Client,
    pub sns: aws_sdk_sns::Client,
    pub prefix: String,
    /// Kept running; `None` if the endpoint is somebody else's.
    _local: Option<LocalAws>,
}

impl Broker {
    pub fn aws() -> Self {
        Self::Aws(Aws::new())
    }

    /// A queue and its dead-letter queue, which gets what was received `max_receive_count` times.
    pub async fn queue_with_dead_letters(&self, name: &str, max_receive_count: u16) -> (SharedQueue, SharedQueue) {
        match self {
            Self::InMemory => {
                let dead_letters = Arc::new(InMemoryQueue::new(&format!("{name}-dlq")));
                let queue = InMemoryQueue::new(name).with_dead_letters(dead_letters.clone(), max_receive_count.into());
                (Arc::new(queue), dead_letters)
            }
            Self::Aws(aws) => {
                let settings = QueueSettings { max_receive_count, ..QueueSettings::default() };
                admin::create_queue(&aws.sqs, &aws.prefix, name, &settings).await.unwrap();
                (aws.queue(name), aws.queue(&format!("{name}-dlq")))
            }
        }
    }

    pub async fn queue(&self, name: &str) -> SharedQueue {
        self.queue_with_dead_letters(name, 1000).await.0
    }

    /// A topic and the queues subscribed to it.
    pub async fn topic(&self, name: &str, queues: &[&str]) -> (SharedTopic, Vec<SharedQueue>) {
        match self {
            Self::InMemory => {
                let topic = InMemoryTopic::new(name);
                let mut subscribed: Vec<SharedQueue> = Vec::new();
                for queue in queues {
                    let queue = Arc::new(InMemoryQueue::new(queue));
                    topic.subscribe(queue.clone());
                    subscribed.push(queue);
                }
                (Arc::new(topic), subscribed)
            }
            Self::Aws(aws) => {
                let arn = admin::create_topic(&aws.sns, &aws.prefix, name).await.unwrap();
                let mut subscribed: Vec<SharedQueue> = Vec::new();
                for queue in queues {
                    let settings = QueueSettings::default();
                    let (created, _) = admin::create_queue(&aws.sqs, &aws.prefix, queue, &settings).await.unwrap();
                    admin::subscribe(&aws.sns, &aws.sqs, &arn, &created).await.unwrap();
                    subscribed.push(aws.queue(queue));
                }
                (Arc::new(SnsTopic::new(aws.sns.clone(), &aws.prefix, name)), subscribed)
            }
        }
    }
}

impl Aws {
    /// Those of `COMANDA_TEST_AWS_ENDPOINT` if it is set, else those of `local-aws`.
    pub fn new() -> Self {
        match elsewhere() {
            Some(endpoint) => Self::at(&endpoint, None),
            None => Self::local(),
        }
    }

    /// Those of `local-aws`, for the few things that other emulators leave out.
    pub fn local() -> Self {
        let local = LocalAws::start(Config::default()).unwrap();
        Self::at(&local.endpoint(), Some(local))
    }

    fn at(endpoint: &str, local: Option<LocalAws>) -> Self {
        // An endpoint that outlives the test must not be confused by what earlier runs left there.
        let prefix = format!("t{}-", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        Self { sqs: sqs_client(endpoint), sns: sns_client(endpoint), prefix, _local: local }
    }

    pub fn queue(&self, name: &str) -> SharedQueue {
        Arc::new(SqsQueue::new(self.sqs.clone(), &self.prefix, name))
    }
}

macro_rules! client {
    ($name:ident, $sdk:ident) => {
        /// A client without retries, so that every failure shows.
        pub fn $name(endpoint: &str) -> $sdk::Client {
            let config = $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .region($sdk::config::Region::new("us-east-1"))
                .credentials_provider($sdk::config::Credentials::new("test", "test", None, None, "tests"))
                .retry_config($sdk::config::retry::RetryConfig::disabled())
                .endpoint_url(endpoint)
                .build();
            $sdk::Client::from_conf(config)
        }
    };
}
client!(sqs_client, aws_sdk_sqs);
client!(sns_client, aws_sdk_sns);

#[expect(clippy::disallowed_methods, reason = "the one setting of this test binary")]
fn elsewhere() -> Option<String> {
    std::env::var("COMANDA_TEST_AWS_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty())
}

/// A message with one attribute.
pub fn message(body: &str) -> OutgoingMessage {
    OutgoingMessage {
        body: body.to_owned(),
        attributes: [("traceparent".to_owned(), format!("trace of {}", body.len()))].into(),
    }
}

pub async fn send_all(queue: &SharedQueue, messages: Vec<OutgoingMessage>) {
    for result in queue.send(messages).await {
        result.unwrap();
    }
}

/// Receives until there are `count`, each hidden for a minute, at most 10 s.
pub async fn receive_all(queue: &SharedQueue, count: usize) -> Vec<ReceivedMessage> {
    let mut received = Vec::new();
    let all = async {
        while received.len() < count {
            received.extend(queue.receive(10, Duration::from_secs(1), Duration::from_secs(60)).await.unwrap());
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), all).await;
    assert!(in_time.is_ok(), "received {} of {count}", received.len());
    received
}

/// Deletes them all.
pub async fn delete_all(queue: &SharedQueue, received: &[ReceivedMessage]) {
    for result in queue.delete(received.iter().map(|message| message.receipt.clone()).collect()).await {
        result.unwrap();
    }
}
