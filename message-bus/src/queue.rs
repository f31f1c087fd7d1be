//! The queue seam: receive, delete, give back, send.
//!
//! Semantics are those of an SQS standard queue: a received message is hidden for its visibility timeout and comes
//! back unless it is deleted; duplicates and reordering happen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

/// The most entries of one batch call, as SQS has it.
pub const BATCH_MAX: usize = 10;
/// The largest message, attributes included: 256 KiB, the smallest limit among the brokers supported.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// The most attributes of a message, as SQS has it.
pub const ATTRIBUTES_MAX: usize = 10;

/// What names one receipt of one message. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(pub String);

/// A message as it was received.
#[derive(Clone)]
pub struct ReceivedMessage {
    /// The broker's id of the message; the same for every receipt of it.
    pub message_id: String,
    /// UTF-8 text. May hold personal data: never log it.
    pub body: String,
    /// String attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// How often it was received, from 1.
    pub receive_count: u32,
    /// When the producer sent it, ms since 1970, where the broker tells.
    pub sent_at_unix_ms: Option<i64>,
    /// What deletes it or gives it back.
    pub receipt: ReceiptHandle,
}

impl fmt::Debug for ReceivedMessage {
    /// Leaves the body out: it may hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMessage")
            .field("message_id", &self.message_id)
            .field("body_bytes", &self.body.len())
            .field("receive_count", &self.receive_count)
            .finish_non_exhaustive()
    }
}

/// A message to send.
#[derive(Clone, Default)]
pub struct OutgoingMessage {
    /// UTF-8 text.
    pub body: String,
    /// String attributes by name, at most [`ATTRIBUTES_MAX`], none empty.
    pub attributes: BTreeMap<String, String>,
}

/// About how many messages a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Ready to be received.
    pub visible: u64,
    /// Received and not yet deleted.
    pub in_flight: u64,
}

/// A queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The broker could not be reached, timed out, throttled or answered 5xx. Trying again makes sense.
    #[error("queue {queue}: {operation} failed, the broker is unavailable")]
    Unavailable {
        /// The queue's name.
        queue: String,
        /// What was tried, e.g. `receive`.
        operation: &'static str,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The broker refused this call and will refuse it again.
    #[error("queue {queue}: {operation} was refused: {reason}")]
    Refused {
        /// The queue's name.
        queue: String,
        /// What was tried.
        operation: &'static str,
        /// The broker's code, never a value of a message.
        reason: String,
    },
}

impl QueueError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// An at-least-once queue. All calls are cancel-safe in the sense of at-least-once: dropping one may leave its effect
/// in place, never half of it.
pub trait Queue: Send + Sync + 'static {
    /// The queue's full name, for logs and metrics.
    fn name(&self) -> &str;

    /// Receives 1 to `max` (1 to [`BATCH_MAX`]) messages, or none after `wait` (0 to 20 s). Each is hidden for
    /// `visibility` (0 to 12 h). A broker may round both times up to whole seconds.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>>;

    /// Deletes any number of messages, in batches; answers one result each, in order. An unknown receipt is a success.
    fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>>;

    /// Makes each message visible again after its own delay (0 to 12 h; a later one than it has now extends its
    /// visibility timeout); answers one result each, in order. A message that is not in flight under this receipt,
    /// because it was deleted or is visible again, is refused.
    fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>>;

    /// Sends any number of messages, in batches; answers one result each, in order. A message that no broker would take
    /// ([`crate::refusal`]) is refused with that code, and no other message with it.
    fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>>;

    /// About how many messages it holds.
    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>>;
}

/// A queue as it is handed around.
pub type SharedQueue = Arc<dyn Queue>;
