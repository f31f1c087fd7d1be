//! The AWS clients every role shares, and the full names of everything at AWS.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region};

use crate::settings::Settings;

/// Clients of the three services.
#[derive(Clone)]
pub struct AwsClients {
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
}

/// Connecting must be quick: a service that is gone has to be noticed, not waited for. Each caller bounds its own
/// operations, since a long poll of a queue takes 20 s and a read 2 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl AwsClients {
    /// Clients as the environment has it (credentials, region), at the endpoint of the settings.
    pub async fn from_environment(settings: &Settings) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        if let Some(endpoint) = &settings.aws_endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Self::from_config(&loader.load().await)
    }

    /// Clients of the in-process AWS at `endpoint`, e.g. `http://127.0.0.1:4566`.
    pub async fn local(endpoint: &str) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "comanda-dev"))
            .endpoint_url(endpoint);
        Self::from_config(&loader.load().await)
    }

    fn from_config(config: &aws_config::SdkConfig) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
        }
    }
}

/// Queue, topic and table names under a prefix.
#[derive(Debug, Clone)]
pub struct AwsNames {
    prefix: String,
}

impl AwsNames {
    /// Names under `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The prefix itself, for the stores that name their tables.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The full name of a queue or topic.
    pub fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The full name of a queue's dead-letter queue.
    pub fn dead_letters_of(&self, name: &str) -> String {
        format!("{}{name}-dlq", self.prefix)
    }
}

/// What internal apps send to.
pub const ORDERS: &str = "orders";
/// Feeds order-events.
pub const ORDER_EVENTS_FEED: &str = "order-events-feed";
/// Feeds connection-polling.
pub const CONNECTION_POLLING_FEED: &str = "connection-polling-feed";
/// Feeds the webhooks of kitchen-api.
pub const WEBHOOKS_FEED: &str = "webhooks-feed";
/// Topic of order events.
pub const ORDER_EVENTS: &str = "order-events";
/// Topic of presence transitions.
pub const MERCHANT_STATUS: &str = "merchant-status";
