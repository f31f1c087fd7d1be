//! The consumer of `connection-polling-feed`: long polls, several batches in work, deletion only after indexing.
//!
//! Started by `service`. A message that can never be indexed goes to the dead-letter queue with its reason and is
//! counted. While DynamoDB fails, messages are given back and receiving slows down: an outage uses up no message.

use std::collections::BTreeMap;
use std::time::Duration;

use message_bus::{ATTRIBUTES_MAX, BATCH_MAX, OutgoingMessage, ReceiptHandle, ReceivedMessage, SharedQueue};
use order_model::{SharedClock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::index::{Index, Outcome, Record};

/// How long one receive waits for a message, the most SQS has.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The first pause after a failure, doubled up to [`PAUSE_MAX`] while failures go on.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause: how late indexing resumes after an outage.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The attribute that says why a message is dead.
const REASON: &str = "reason";

/// One receiver's means.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) index: Index,
    pub(crate) feed: SharedQueue,
    pub(crate) dead_letters: SharedQueue,
    pub(crate) clock: SharedClock,
    pub(crate) visibility: Duration,
}

impl Consumer {
    /// Receives and indexes until `shutdown`; finishes the batch in work.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let received = tokio::select! {
                () = shutdown.cancelled() => return,
                received = self.feed.receive(BATCH_MAX, LONG_POLL, self.visibility) => received,
            };
            let went_well = match received {
                Ok(messages) => self.index_batch(messages, failures == 0).await,
                Err(error) => {
                    if failures == 0 {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(queue = self.feed.name(), error, "receiving fails");
                    }
                    false
                }
            };
            failures = if went_well { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(pause(failures)) => {}
                }
            }
        }
    }

    /// Whether nothing failed that may succeed later. Only the first failure of an episode is logged.
    async fn index_batch(&self, messages: Vec<ReceivedMessage>, is_first: bool) -> bool {
        let records: Vec<Record<'_>> =
            messages.iter().map(|message| Record { body: &message.body, attributes: &message.attributes }).collect();
        let outcomes = self.index.apply(&records).await;
        let mut done = Vec::new();
        let mut later = Vec::new();
        let mut failure = None;
        for (message, outcome) in messages.into_iter().zip(outcomes) {
            count(&outcome);
            self.observe_queue_lag(&message);
            match outcome {
                Outcome::Indexed | Outcome::Expired => done.push(message.receipt),
                Outcome::Hopeless(reason) => {
                    let receipt = message.receipt.clone();
                    if bury(&self.dead_letters, message.body, message.attributes, reason).await {
                        done.push(receipt);
                    } else {
                        later.push((receipt, PAUSE_MAX));
                    }
                }
                Outcome::Failed(error) => {
                    later.push((message.receipt, PAUSE_MAX));
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failure.as_ref().filter(|_| is_first) {
            tracing::warn!(error = error as &dyn std::error::Error, "indexing fails, messages are given back");
        }
        let nothing_failed = later.is_empty();
        self.settle(done, later).await;
        nothing_failed
    }

    /// Deletes and gives back. What fails here comes back by itself once its visibility ends.
    async fn settle(&self, done: Vec<ReceiptHandle>, later: Vec<(ReceiptHandle, Duration)>) {
        let mut failed = 0;
        if !done.is_empty() {
            failed += self.feed.delete(done).await.iter().filter(|result| result.is_err()).count();
        }
        if !later.is_empty() {
            failed += self.feed.give_back(later).await.iter().filter(|result| result.is_err()).count();
        }
        metrics::counter!("comanda_connection_polling_unsettled_messages_total").increment(failed as u64);
    }

    fn observe_queue_lag(&self, message: &ReceivedMessage) {
        if let Some(sent_at_ms) = message.sent_at_unix_ms {
            let lag = self.clock.now().since(Timestamp::from_unix_ms(sent_at_ms));
            metrics::histogram!("comanda_connection_polling_queue_lag_seconds").record(lag);
        }
    }
}

/// Counts what became of a message.
pub(crate) fn count(outcome: &Outcome) {
    let label = match outcome {
        Outcome::Indexed => "indexed",
        Outcome::Expired => "expired",
        Outcome::Hopeless(_) => "dead_lettered",
        Outcome::Failed(_) => "failed",
    };
    metrics::counter!("comanda_connection_polling_messages_total", "outcome" => label).increment(1);
}

/// Sends a message that can never be indexed to the dead-letter queue, body unchanged; whether that succeeded.
pub(crate) async fn bury(
    dead_letters: &SharedQueue,
    body: String,
    attributes: BTreeMap<String, String>,
    reason: &'static str,
) -> bool {
    let mut attributes: BTreeMap<String, String> = attributes
        .into_iter()
        .filter(|(name, value)| name != REASON && !value.is_empty())
        .take(ATTRIBUTES_MAX - 1)
        .collect();
    attributes.insert(REASON.to_owned(), reason.to_owned());
    let sent = dead_letters.send(vec![OutgoingMessage { body, attributes }]).await;
    let is_sent = !sent.is_empty() && sent.iter().all(Result::is_ok);
    tracing::warn!(reason, is_sent, "a message can never be indexed");
    is_sent
}

fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(PAUSE_MAX)
}
