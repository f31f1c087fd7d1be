//! What the service is told and what it is given.

use std::num::NonZeroU8;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use message_bus::SharedQueue;
use order_model::{EventIdKey, PartitionCount, SharedClock};
use proto::transport::Transport;

/// Settings: plain values, no parsing. [`Config::new`] gives the defaults; there is no `Default`, because a key that
/// everybody knows would make every event id genuine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key under which the core makes event ids; anything acknowledged or indexed under another is refused.
    pub event_id_key: EventIdKey,
    /// The partitions of order-events, one fence each. Fixed when a cluster is created. Default 16.
    pub partition_count: PartitionCount,
    /// How far the wall clock may be ahead of DynamoDB's `Date` before nothing expires by it any more. Default 2 s.
    pub clock_tolerance: Duration,
    /// Polls served at once; each may hold some MiB of events. Default 64.
    pub polls_max: usize,
    /// Polls that may wait for one of those places; further ones are refused at once. Default 128.
    pub polls_waiting_max: usize,
    /// How long one may wait before it is refused. Default 200 ms: kitchen-api has other ways to answer.
    pub poll_wait_max: Duration,
    /// One poll as a whole. Default 4 s.
    pub poll_timeout: Duration,
    /// Acknowledgments served at once; they wait and are refused like polls. Default 128.
    pub acknowledgments_max: usize,
    /// One acknowledgment as a whole. Default 8 s: 10,000 ids take many requests.
    pub acknowledgment_timeout: Duration,
    /// Segments of the table that one export scans at once, 1 to 64. Default 8: at about 20 MiB/s each, a table of some
    /// GiB takes under a minute. 1 for a store that knows no segments, and reads the whole table for each page of one.
    pub export_segments: NonZeroU8,
    /// Batches of the feed queue in work at once, each of up to 10 events. Default 8.
    pub receivers: usize,
    /// How long a received message stays hidden from other receivers. Default 30 s.
    pub visibility: Duration,
    /// How long `run` may take to finish what is in work once it is told to stop. Default 10 s.
    pub drain_timeout: Duration,
}

impl Config {
    /// The defaults, under this key.
    pub fn new(event_id_key: EventIdKey) -> Self {
        Self {
            event_id_key,
            partition_count: PartitionCount::DEFAULT,
            clock_tolerance: Duration::from_secs(2),
            polls_max: 64,
            polls_waiting_max: 128,
            poll_wait_max: Duration::from_millis(200),
            poll_timeout: Duration::from_secs(4),
            acknowledgments_max: 128,
            acknowledgment_timeout: Duration::from_secs(8),
            export_segments: const { NonZeroU8::new(8).unwrap() },
            receivers: 8,
            visibility: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What is passed in.
#[derive(Clone)]
pub struct Dependencies {
    /// Where time comes from.
    pub clock: SharedClock,
    /// DynamoDB: endpoint, region and credentials; timeouts and retries are our own.
    pub dynamodb: Client,
    /// Put before the table's name.
    pub table_prefix: String,
    /// The core, asked for events that did not arrive.
    pub core: Transport,
    /// The queue `connection-polling-feed`.
    pub feed: SharedQueue,
    /// Where a message goes that can never be indexed: `connection-polling-feed-dlq`.
    pub dead_letters: SharedQueue,
}
