//! At-least-once queues and topics, behind two small traits.
//!
//! Called by gateway-agent (the `orders` queue), gateway-core and merchant-connection (topics) and both feeds (their
//! queues). [`sqs`] and [`sns`] are the only code that names the AWS clients of either, [`admin`] creates what they
//! use; [`in_memory`] is the same semantics without a network, for tests and the simulation. Credentials, endpoints
//! and retries are deliberately absent (SDK clients are passed in), and so are ordering and exactly-once: whoever
//! consumes must be idempotent. [`PacedQueue`] asks any of them less often.

pub mod admin;
mod batch;
mod failure;
pub mod in_memory;
mod limits;
mod paced;
pub mod queue;
pub mod sns;
pub mod sqs;
pub mod topic;

pub use failure::BrokerError;
pub use limits::{refusal, size_bytes};
pub use paced::PacedQueue;
pub use queue::{
    ATTRIBUTES_MAX, BATCH_MAX, MESSAGE_BYTES_MAX, OutgoingMessage, Queue, QueueDepth, QueueError, ReceiptHandle,
    ReceivedMessage, SharedQueue,
};
pub use topic::{SharedTopic, Topic, TopicError, TopicMessage};
