//! Reads the feed queue: long polls, batches, deletes a message only after its event was applied.
//!
//! A message that cannot be an event goes to the dead-letter queue with its reason; a failure to apply gives messages
//! back. Both feeds' queues get the same notifications from SNS. Order does not matter here: the state holds back.

use std::sync::Arc;
use std::time::Duration;

use event_feed::{FeedEvent, notification};
use message_bus::{BATCH_MAX, OutgoingMessage, ReceiptHandle, ReceivedMessage, SharedQueue};
use tokio_util::sync::CancellationToken;

use crate::dependency::Episode;
use crate::ingest::EventSink;
use crate::telemetry::Telemetry;

/// How long a receive waits for a first message: the longest SQS offers.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);

/// How long received messages stay hidden: applying takes milliseconds, so this is for a process that died.
const VISIBILITY: Duration = Duration::from_secs(30);

/// When messages that could not be applied come back, and how long receiving rests after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One reader of the feed queue; several run side by side.
pub(crate) struct Consumer {
    pub(crate) queue: SharedQueue,
    pub(crate) dead_letters: SharedQueue,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// A message and the event in it.
struct Read {
    receipt: ReceiptHandle,
    event: FeedEvent,
}

impl Consumer {
    /// Reads until `shutdown`; what was received by then is still applied.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut receiving = Episode::default();
        let mut applying = Episode::default();
        loop {
            let received = tokio::select! {
                () = shutdown.cancelled() => return,
                received = self.queue.receive(BATCH_MAX, RECEIVE_WAIT, VISIBILITY) => received,
            };
            match received {
                Ok(messages) => {
                    if receiving.succeeds() {
                        tracing::info!(queue = self.queue.name(), "receiving again");
                    }
                    self.handle(messages, &mut applying).await;
                }
                Err(error) => {
                    if receiving.fails() {
                        tracing::warn!(queue = self.queue.name(), %error, "cannot receive; trying on");
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
    }

    async fn handle(&self, messages: Vec<ReceivedMessage>, applying: &mut Episode) {
        let mut read = Vec::with_capacity(messages.len());
        for message in messages {
            match self.event_in(&message) {
                Ok(event) => read.push(Read { receipt: message.receipt, event }),
                Err((reason, detail)) => self.dead_letter(message, reason, detail).await,
            }
        }
        if read.is_empty() {
            return;
        }
        let (receipts, events): (Vec<_>, Vec<_>) = read.into_iter().map(|read| (read.receipt, read.event)).unzip();
        let count = u64::try_from(receipts.len()).unwrap_or(u64::MAX);
        match self.sink.append(events).await {
            Ok(()) => {
                applying.succeeds();
                self.telemetry.feed_messages_applied.increment(count);
                self.delete(receipts).await;
            }
            Err(error) => {
                if applying.fails() {
                    tracing::warn!(
                        queue = self.queue.name(),
                        error = &error as &dyn std::error::Error,
                        "events not applied; given back"
                    );
                }
                self.telemetry.feed_messages_failed.increment(count);
                // Should this fail too, the messages come back when they become visible again.
                self.queue.give_back(receipts.into_iter().map(|receipt| (receipt, RETRY_AFTER)).collect()).await;
            }
        }
    }

    fn event_in(&self, message: &ReceivedMessage) -> Result<FeedEvent, (&'static str, String)> {
        let event = notification::decode(&message.body, &message.attributes)
            .map_err(|error| (error.reason(), error.to_string()))?;
        let not_ours = || ("MALFORMED", "the event id was not made by this cluster".to_owned());
        self.sink.is_ours(&event).then_some(event).ok_or_else(not_ours)
    }

    async fn dead_letter(&self, message: ReceivedMessage, reason: &'static str, detail: String) {
        tracing::warn!(
            queue = self.queue.name(),
            message_id = message.message_id,
            reason,
            detail,
            "not an event; dead-lettered"
        );
        let mut attributes = message.attributes;
        attributes.retain(|name, _| name == notification::attribute::TRACEPARENT);
        attributes.insert("reason".to_owned(), reason.to_owned());
        attributes.insert("detail".to_owned(), detail);
        let sent = self.dead_letters.send(vec![OutgoingMessage { body: message.body, attributes }]).await;
        // A message that could not be moved stays where it is and is tried again.
        if sent.iter().all(Result::is_ok) {
            self.telemetry.feed_messages_dead_lettered.increment(1);
            self.delete(vec![message.receipt]).await;
        }
    }

    /// A message that could not be deleted comes back and changes nothing, so failures are only the queue's own.
    async fn delete(&self, receipts: Vec<ReceiptHandle>) {
        let failed = self.queue.delete(receipts).await.iter().filter(|deleted| deleted.is_err()).count();
        if failed > 0 {
            tracing::debug!(queue = self.queue.name(), failed, "messages not deleted; they will be repeated");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_feed::TraceId;
    use futures::future::BoxFuture;
    use message_bus::Queue;
    use message_bus::in_memory::InMemoryQueue;
    use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, Timestamp};
    use parking_lot::Mutex;
    use replicated_grid::ProposeError;

    use super::*;
    use crate::ingest::ApplyError;

    /// Takes events after it has failed so many times.
    #[derive(Default)]
    struct UnwillingSink {
        failures_left: Mutex<u32>,
        applied: Mutex<Vec<EventId>>,
    }

    impl EventSink for UnwillingSink {
        fn is_ours(&self, _event: &FeedEvent) -> bool {
            true
        }

        fn append(&self, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>> {
            Box::pin(async move {
                let mut failures_left = self.failures_left.lock();
                if *failures_left > 0 {
                    *failures_left -= 1;
                    return Err(ProposeError::Stopped { partition: 0 }.into());
                }
                self.applied.lock().extend(events.iter().map(|event| event.id));
                Ok(())
            })
        }
    }

    fn event() -> FeedEvent {
        let (merchant, order, created_at) =
            (MerchantId::from_bytes([1; 16]), OrderId::from_bytes([2; 16]), Timestamp::from_unix_ms(1_795_000_000_000));
        FeedEvent {
            id: EventId::derive(&EventIdKey::from_bytes([1; 16]), created_at, merchant, order, 1),
            order,
            merchant,
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence: 1,
            created_at,
            expires_at: created_at.plus(Duration::from_secs(60)),
            trace: TraceId::default(),
            body: Bytes::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_deleted_only_after_its_event_was_applied() {
        let queue = Arc::new(InMemoryQueue::new("feed"));
        let sink = Arc::new(UnwillingSink { failures_left: Mutex::new(3), ..UnwillingSink::default() });
        let (body, attributes) = notification::encode(&event(), "IFOOD", None);
        queue.send(vec![OutgoingMessage { body, attributes }]).await;
        let consumer = Consumer {
            queue: queue.clone(),
            dead_letters: Arc::new(InMemoryQueue::new("dead")),
            sink: sink.clone(),
            telemetry: Arc::new(Telemetry::register()),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        while *sink.failures_left.lock() > 0 {
            let depth = queue.depth().await.unwrap();
            assert_eq!(depth.visible + depth.in_flight, 1, "it is still there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while queue.depth().await.unwrap() != message_bus::QueueDepth::default() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(*sink.applied.lock(), [event().id]);
        shutdown.cancel();
        running.await.unwrap();
    }
}
