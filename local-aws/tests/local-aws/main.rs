//! Black-box tests of the endpoints, mostly through the real AWS SDK.
//!
//! What queues and topics promise is tested by message-bus's contract suite, which runs over these endpoints too; here
//! is what that suite does not see: starting and stopping, limits, the seams of SNS and SQS, and DynamoDB.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

mod dynamodb;
mod lifecycle;
mod sns;
mod sqs;

use std::time::Duration;

use local_aws::{Config, LocalAws};

/// Running endpoints and a client for each service, without retries so that every failure shows.
struct Fixture {
    aws: LocalAws,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

impl Fixture {
    fn start() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let aws = LocalAws::start(config).expect("the endpoints start on a free port");
        Self { sqs: sqs_client(&aws), sns: sns_client(&aws), dynamodb: dynamodb_client(&aws), aws }
    }

    async fn queue(&self, name: &str) -> (String, String) {
        let url = self.sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
        let attributes = self
            .sqs
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(aws_sdk_sqs::types::QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        let arn = attributes.attributes.unwrap()[&aws_sdk_sqs::types::QueueAttributeName::QueueArn].clone();
        (url, arn)
    }

    async fn topic(&self, name: &str) -> String {
        self.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap()
    }

    async fn subscribe(&self, topic: &str, queue: &str, is_raw: bool) -> String {
        let subscribe = self.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(queue);
        let subscribed = subscribe.attributes("RawMessageDelivery", is_raw.to_string()).send().await.unwrap();
        subscribed.subscription_arn.unwrap()
    }

    /// Whatever the queue holds now, at most ten messages.
    async fn received(&self, queue_url: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let receive = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }
}

macro_rules! client {
    ($name:ident, $sdk:ident) => {
        fn $name(aws: &LocalAws) -> $sdk::Client {
            let config = $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .region($sdk::config::Region::new("us-east-1"))
                .credentials_provider($sdk::config::Credentials::new("test", "test", None, None, "tests"))
                .retry_config($sdk::config::retry::RetryConfig::disabled())
                .endpoint_url(aws.endpoint())
                .build();
            $sdk::Client::from_conf(config)
        }
    };
}
client!(sqs_client, aws_sdk_sqs);
client!(sns_client, aws_sdk_sns);
client!(dynamodb_client, aws_sdk_dynamodb);

/// Waits until `condition` holds, at most 10 s.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), holds).await.is_ok(), "never happened: {what}");
}
