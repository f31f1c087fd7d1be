//! Settings of webhooks and what they are given. Plain values; the binary reads and checks them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use message_bus::SharedQueue;

use super::dial::DialRules;
use super::dialer::Resolver;

/// Settings of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Where requests may go.
    pub dial: DialRules,
    /// Requests under way at a time to receivers that do well. Default 256.
    pub requests_max: usize,
    /// Requests under way at a time to receivers that fail; they take nothing from the others. Default 64.
    pub requests_to_failing_max: usize,
    /// Requests under way at a time to one receiver that does well. Default 8.
    pub requests_per_receiver_max: usize,
    /// A receiver that has been failing for so long is paused. Default 72 h, as iFood does it.
    pub pause_after: Duration,
    /// How often a receiver is asked who is online. Default 30 s, the most often that is published.
    pub keepalive_interval: Duration,
    /// How often due deliveries of a receiver are looked for, and changes of webhooks. Default 500 ms.
    pub look_interval: Duration,
    /// How long an instance looks after a receiver before it says so again. Default 15 s.
    pub lease: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            dial: DialRules::default(),
            requests_max: 256,
            requests_to_failing_max: 64,
            requests_per_receiver_max: 8,
            pause_after: Duration::from_secs(72 * 60 * 60),
            keepalive_interval: Duration::from_secs(30),
            look_interval: Duration::from_millis(500),
            lease: Duration::from_secs(15),
        }
    }
}

/// What webhooks are given.
pub struct WebhookDependencies {
    /// DynamoDB, for the table `webhooks`.
    pub dynamodb: Client,
    /// What the table's name begins with.
    pub table_prefix: String,
    /// The queue `webhooks-feed`, subscribed to the topic of order events.
    pub feed: SharedQueue,
    /// Its dead-letter queue.
    pub dead_letters: SharedQueue,
    /// Finds the addresses of receivers, most often [`super::SystemResolver`].
    pub resolver: Arc<dyn Resolver>,
    /// Judges the certificates of receivers.
    pub tls: Arc<rustls::ClientConfig>,
}
