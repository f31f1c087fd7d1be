//! A queue of Amazon SQS, or of anything that speaks its protocol.
//!
//! Made by the binary from an SDK client that it configured (credentials, endpoint, retries); used as a
//! [`Queue`] by everybody else. The queue's URL is asked for at the first call and kept. Deliberately absent: FIFO
//! queues, and binary attributes, which are left out of received messages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::batch::{self, Answer, Outcome};
use crate::failure::{Failure, call};
use crate::limits;
use crate::queue::{BATCH_MAX, OutgoingMessage, Queue, QueueDepth, QueueError, ReceiptHandle, ReceivedMessage};

/// How long a call may take, retries of the SDK included; a receive gets its waiting time on top. SQS answers within
/// tens of milliseconds; a caller that waits longer than this should rather say that it cannot reach it.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time SQS waits for a message.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest time SQS hides a message.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);
const DEPENDENCY: &str = "sqs";

/// A queue by its name.
pub struct SqsQueue {
    client: Client,
    name: Arc<str>,
    url: OnceCell<String>,
    operation_timeout: Duration,
}

impl SqsQueue {
    /// The queue `{prefix}{name}` of the client's account and region. Calls nothing yet: a service starts while SQS is
    /// down, and its calls say so.
    pub fn new(client: Client, prefix: &str, name: &str) -> Self {
        let name = format!("{prefix}{name}").into();
        Self { client, name, url: OnceCell::new(), operation_timeout: OPERATION_TIMEOUT }
    }

    /// The same queue with another limit than [`OPERATION_TIMEOUT`].
    #[must_use]
    pub fn with_operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    async fn url(&self) -> Result<&str, Failure> {
        let ask = || async {
            let request = self.client.get_queue_url().queue_name(&*self.name).send();
            let answer = call(DEPENDENCY, "get_queue_url", self.operation_timeout, request).await?;
            answer.queue_url.ok_or_else(|| Failure::of_entry("QueueUrlMissing"))
        };
        self.url.get_or_try_init(ask).await.map(String::as_str)
    }

    async fn receive_now(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<ReceivedMessage>, Failure> {
        let wait = wait.min(WAIT_MAX);
        let request = self
            .client
            .receive_message()
            .queue_url(self.url().await?)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH_MAX)).unwrap_or(1))
            .wait_time_seconds(whole_seconds(wait))
            .visibility_timeout(whole_seconds(visibility.min(VISIBILITY_MAX)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names("All");
        // Waiting times are rounded up to whole seconds.
        let limit = self.operation_timeout + wait + Duration::from_secs(1);
        let answer = call(DEPENDENCY, "receive", limit, request.send()).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn send_batch(&self, messages: Vec<OutgoingMessage>) -> Result<Answer, Failure> {
        let request = self.client.send_message_batch().queue_url(self.url().await?);
        let entries = built(messages.into_iter().enumerate().map(|(position, message)| {
            let entry = SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(message.body);
            entry.set_message_attributes(Some(string_attributes(message.attributes)?)).build()
        }))?;
        let request = request.set_entries(Some(entries)).send();
        let answer = call(DEPENDENCY, "send", self.operation_timeout, request).await?;
        let succeeded = answer.successful.into_iter().map(|entry| entry.id).collect();
        Ok(Answer { succeeded, failed: codes(answer.failed) })
    }

    async fn delete_batch(&self, receipts: Vec<ReceiptHandle>) -> Result<Answer, Failure> {
        let request = self.client.delete_message_batch().queue_url(self.url().await?);
        let entries = built(receipts.into_iter().enumerate().map(|(position, ReceiptHandle(receipt))| {
            DeleteMessageBatchRequestEntry::builder().id(position.to_string()).receipt_handle(receipt).build()
        }))?;
        let request = request.set_entries(Some(entries)).send();
        let answer = call(DEPENDENCY, "delete", self.operation_timeout, request).await?;
        let succeeded = answer.successful.into_iter().map(|entry| entry.id).collect();
        Ok(Answer { succeeded, failed: codes(answer.failed) })
    }

    async fn give_back_batch(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> Result<Answer, Failure> {
        let request = self.client.change_message_visibility_batch().queue_url(self.url().await?);
        let entries = built(receipts.into_iter().enumerate().map(|(position, (ReceiptHandle(receipt), delay))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(position.to_string());
            let delay = whole_seconds(delay.min(VISIBILITY_MAX));
            entry.receipt_handle(receipt).visibility_timeout(delay).build()
        }))?;
        let request = request.set_entries(Some(entries)).send();
        let answer = call(DEPENDENCY, "give_back", self.operation_timeout, request).await?;
        let succeeded = answer.successful.into_iter().map(|entry| entry.id).collect();
        Ok(Answer { succeeded, failed: codes(answer.failed) })
    }

    async fn depth_now(&self) -> Result<QueueDepth, Failure> {
        let (visible, in_flight) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let request = self.client.get_queue_attributes().queue_url(self.url().await?);
        let request = request.attribute_names(visible.clone()).attribute_names(in_flight.clone());
        let answer = call(DEPENDENCY, "depth", self.operation_timeout, request.send()).await?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(name).and_then(|count| count.parse().ok()).unwrap_or_default();
        Ok(QueueDepth { visible: count(&visible), in_flight: count(&in_flight) })
    }

    fn error(&self, operation: &'static str, failure: Failure) -> QueueError {
        let queue = self.name.to_string();
        match failure {
            Failure::Unavailable(source) => QueueError::Unavailable { queue, operation, source: Box::new(source) },
            Failure::Refused(reason) => QueueError::Refused { queue, operation, reason },
        }
    }

    fn results(&self, operation: &'static str, outcomes: Vec<Outcome>) -> Vec<Result<(), QueueError>> {
        let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        self.count(operation, "ok", succeeded);
        self.count(operation, "failed", outcomes.len() - succeeded);
        outcomes.into_iter().map(|outcome| outcome.map_err(|failure| self.error(operation, failure))).collect()
    }

    fn count(&self, operation: &'static str, outcome: &'static str, messages: usize) {
        let queue = self.name.to_string();
        metrics::counter!("comanda_queue_messages_total", "queue" => queue, "operation" => operation, "outcome" => outcome)
            .increment(messages as u64);
    }
}

impl Queue for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, QueueError>> {
        async move {
            let received = self.receive_now(max, wait, visibility).await;
            let received = received.map_err(|failure| self.error("receive", failure))?;
            self.count("receive", "ok", received.len());
            Ok(received)
        }
        .boxed()
    }

    fn delete(&self, receipts: Vec<ReceiptHandle>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        async move {
            let outcomes = batch::run(receipts, |_| 0, |batch| self.delete_batch(batch)).await;
            // SQS calls a receipt of another queue or another form invalid: there is nothing left to delete.
            let settled = outcomes.into_iter().map(|outcome| match outcome {
                Err(Failure::Refused(code)) if code == "ReceiptHandleIsInvalid" => Ok(()),
                outcome => outcome,
            });
            self.results("delete", settled.collect())
        }
        .boxed()
    }

    fn give_back(&self, receipts: Vec<(ReceiptHandle, Duration)>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        async move {
            let outcomes = batch::run(receipts, |_| 0, |batch| self.give_back_batch(batch)).await;
            self.results("give_back", outcomes)
        }
        .boxed()
    }

    fn send(&self, messages: Vec<OutgoingMessage>) -> BoxFuture<'_, Vec<Result<(), QueueError>>> {
        async move {
            let refusals: Vec<_> =
                messages.iter().map(|message| limits::refusal(&message.body, &message.attributes)).collect();
            let fine = messages
                .into_iter()
                .zip(&refusals)
                .filter_map(|(message, refusal)| refusal.is_none().then_some(message));
            let size = |message: &OutgoingMessage| limits::size_bytes(&message.body, &message.attributes);
            let outcomes = batch::run(fine.collect(), size, |batch| self.send_batch(batch)).await;
            self.results("send", batch::merged(refusals, outcomes))
        }
        .boxed()
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        async move { self.depth_now().await.map_err(|failure| self.error("depth", failure)) }.boxed()
    }
}

/// `None` for a message without a receipt, which no broker sends: it could be neither deleted nor given back.
fn received(message: Message) -> Option<ReceivedMessage> {
    let system = message.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|value: &String| value.parse::<i64>().ok());
    let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    Some(ReceivedMessage {
        message_id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        receive_count: u32::try_from(receive_count).unwrap_or(1).max(1),
        sent_at_unix_ms: number(MessageSystemAttributeName::SentTimestamp),
        receipt: ReceiptHandle(message.receipt_handle?),
    })
}

fn string_attributes(
    attributes: BTreeMap<String, String>,
) -> Result<HashMap<String, MessageAttributeValue>, aws_sdk_sqs::error::BuildError> {
    let typed = attributes.into_iter().map(|(name, value)| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
        Ok((name, value))
    });
    typed.collect()
}

/// The entries of a batch. Building one fails only if a field is missing, which none is.
fn built<Entry>(
    entries: impl Iterator<Item = Result<Entry, aws_sdk_sqs::error::BuildError>>,
) -> Result<Vec<Entry>, Failure> {
    entries.collect::<Result<_, _>>().map_err(|_| Failure::of_entry("MissingParameter"))
}

fn codes(failed: Vec<BatchResultErrorEntry>) -> Vec<(String, String)> {
    failed.into_iter().map(|entry| (entry.id, entry.code)).collect()
}

/// SQS counts in whole seconds: rounded up, so that a message is never hidden for less than was asked.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod hostile {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![any::<i64>().prop_map(|number| number.to_string()), any::<String>(), Just(u64::MAX.to_string())]
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(any::<String>())
    }

    proptest! {
        /// Whatever a broker leaves out or counts, a message that can be settled is received, with all it says.
        #[test]
        fn a_message_is_received_or_could_not_be_settled(
            (receipt, body, attribute) in (text(), text(), text()),
            (count, sent) in (prop::option::of(number()), prop::option::of(number())),
        ) {
            use MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
            let system = [(ApproximateReceiveCount, count), (SentTimestamp, sent)];
            let system = system.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let attributes = attribute.iter().map(|attribute| {
                let value = MessageAttributeValue::builder().data_type("String").string_value(attribute);
                ("traceparent".to_owned(), value.build().unwrap())
            });
            let message = Message::builder()
                .set_receipt_handle(receipt.clone())
                .set_body(body.clone())
                .set_attributes(Some(system))
                .set_message_attributes(Some(attributes.collect()));
            let read = received(message.build());
            prop_assert_eq!(read.is_some(), receipt.is_some());
            if let Some(read) = read {
                prop_assert!(read.receive_count >= 1);
                prop_assert_eq!(read.body, body.unwrap_or_default());
                prop_assert_eq!(read.attributes.get("traceparent"), attribute.as_ref());
            }
        }
    }
}
