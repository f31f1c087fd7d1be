//! The topic seam: publish to whoever subscribed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct TopicMessage {
    /// UTF-8 text.
    pub body: String,
    /// String attributes by name, none empty.
    pub attributes: BTreeMap<String, String>,
}

/// A topic could not take a message.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The broker could not be reached, timed out, throttled or answered 5xx. Trying again makes sense.
    #[error("topic {topic}: publish failed, the broker is unavailable")]
    Unavailable {
        /// The topic's name.
        topic: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The broker refused this message and will refuse it again.
    #[error("topic {topic}: publish was refused: {reason}")]
    Refused {
        /// The topic's name.
        topic: String,
        /// The broker's code, never a value of a message.
        reason: String,
    },
}

impl TopicError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// An at-least-once topic.
pub trait Topic: Send + Sync + 'static {
    /// The topic's full name, for logs and metrics.
    fn name(&self) -> &str;

    /// Publishes any number of messages, in batches of at most [`crate::BATCH_MAX`]; answers one result each, in order. A
    /// partial failure of a batch is a result each, not a failure of the call. A message that no broker would take
    /// ([`crate::refusal`]) is refused with that code, and no other message with it.
    fn publish(&self, messages: Vec<TopicMessage>) -> BoxFuture<'_, Vec<Result<(), TopicError>>>;
}

/// A topic as it is handed around.
pub type SharedTopic = Arc<dyn Topic>;
