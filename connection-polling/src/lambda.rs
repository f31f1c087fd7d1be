//! The same indexing as a function of AWS Lambda: an SQS batch in, the ids of the messages to retry out.
//!
//! Called by `src/bin/connection-polling-lambda.rs`, which reads the environment and speaks to the Lambda runtime; the
//! event source mapping must report batch item failures (`ReportBatchItemFailures`), or one failed message repeats all.

use std::collections::{BTreeMap, HashMap};

use message_bus::SharedQueue;
use serde::{Deserialize, Serialize};

use crate::consumer::{bury, count};
use crate::index::{Index, Outcome, Record};

/// What Lambda hands over: a batch of messages of one queue.
#[derive(Debug, Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records", default)]
    pub records: Vec<SqsRecord>,
}

/// One message. `Debug` shows neither body nor attributes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsRecord {
    /// The broker's id, named again in the answer.
    pub message_id: String,
    /// The notification's JSON.
    #[serde(default)]
    pub body: String,
    /// Its attributes; those that are not strings are left out.
    #[serde(default)]
    pub message_attributes: HashMap<String, SqsAttribute>,
}

impl std::fmt::Debug for SqsRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsRecord").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// An attribute of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsAttribute {
    /// Set when it is a string or a number.
    pub string_value: Option<String>,
}

/// What Lambda wants back.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsBatchResponse {
    /// The messages to deliver again; all others are deleted.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its message id.
    pub item_identifier: String,
}

/// Indexes a batch. Hopeless messages go to `dead_letters`; without one, or when that fails too, they are delivered
/// again until the queue's own redrive policy takes them.
pub async fn handle(index: &Index, dead_letters: Option<&SharedQueue>, event: SqsEvent) -> SqsBatchResponse {
    let messages: Vec<(String, String, BTreeMap<String, String>)> = event.records.into_iter().map(split).collect();
    let records: Vec<Record<'_>> = messages.iter().map(|(_, body, attributes)| Record { body, attributes }).collect();
    let outcomes = index.apply(&records).await;
    let mut batch_item_failures = Vec::new();
    for ((message_id, body, attributes), outcome) in messages.into_iter().zip(outcomes) {
        count(&outcome);
        let is_done = match (outcome, dead_letters) {
            (Outcome::Indexed | Outcome::Expired, _) => true,
            (Outcome::Hopeless(reason), Some(queue)) => bury(queue, body, attributes, reason).await,
            (Outcome::Hopeless(reason), None) => {
                tracing::warn!(reason, "a message can never be indexed, and no dead-letter queue is configured");
                false
            }
            (Outcome::Failed(error), _) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "indexing failed");
                false
            }
        };
        if !is_done {
            batch_item_failures.push(BatchItemFailure { item_identifier: message_id });
        }
    }
    SqsBatchResponse { batch_item_failures }
}

fn split(record: SqsRecord) -> (String, String, BTreeMap<String, String>) {
    let strings = record.message_attributes.into_iter();
    let attributes = strings.filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    (record.message_id, record.body, attributes)
}
