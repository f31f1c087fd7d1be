//! What was asked of each service since the start.
//!
//! Written by the endpoints, read through [`crate::LocalAws::statistics`]. No metrics facade: this is a development
//! tool, and its figures must not look like the platform's.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Requests to SQS.
    pub sqs_requests: u64,
    /// Requests to SNS.
    pub sns_requests: u64,
    /// Requests to DynamoDB.
    pub dynamodb_requests: u64,
    /// Requests that belong to no service, or that were refused before they reached one.
    pub refused_requests: u64,
    /// Messages that went from a topic into a queue.
    pub sns_deliveries: u64,
    /// Messages that a queue refused for good (it is gone, or the message is too large), as AWS drops them.
    pub sns_undeliverable: u64,
    /// Items deleted because their time to live had passed.
    pub ttl_deletions: u64,
}

/// The running totals.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sqs_requests: Counter,
    pub(crate) sns_requests: Counter,
    pub(crate) dynamodb_requests: Counter,
    pub(crate) refused_requests: Counter,
    pub(crate) sns_deliveries: Counter,
    pub(crate) sns_undeliverable: Counter,
    pub(crate) ttl_deletions: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Statistics {
        Statistics {
            sqs_requests: self.sqs_requests.get(),
            sns_requests: self.sns_requests.get(),
            dynamodb_requests: self.dynamodb_requests.get(),
            refused_requests: self.refused_requests.get(),
            sns_deliveries: self.sns_deliveries.get(),
            sns_undeliverable: self.sns_undeliverable.get(),
            ttl_deletions: self.ttl_deletions.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        // Independent totals: no other memory is published with them.
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
