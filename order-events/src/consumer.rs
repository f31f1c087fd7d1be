//! Reads the feed queue, on every node: long polls, batches, deletes a message only after its event was applied, which is
//! after a quorum has it.
//!
//! Events go to their partitions side by side, wherever those are led, so that one without a leader holds up no other: what it
//! does not take is given back. A node that knows no leader at all, as one that was taken out of the grid, receives nothing:
//! what it gives back is hidden from the others for a moment, again and again. A message that cannot be an event goes to the dead-letter queue with its reason. Both
//! feeds' queues get the same notifications from SNS. Order does not matter here: the state holds back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use event_feed::{FeedEvent, notification};
use message_bus::{BATCH_MAX, OutgoingMessage, ReceiptHandle, ReceivedMessage, SharedQueue};
use order_model::PartitionId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dependency::Episode;
use crate::ingest::{APPLY_DEADLINE, ApplyError, EventSink};
use crate::telemetry::Telemetry;

/// How long a receive waits for a first message: the longest SQS offers.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);

/// How long received messages stay hidden: applying takes milliseconds, so this is for a process that died.
const VISIBILITY: Duration = Duration::from_secs(30);

/// When messages that could not be applied come back, and how long receiving rests after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The most proposals of one partition under way at once, over all readers; what exceeds it is given back. A quorum takes
/// milliseconds, so only a partition that takes nothing gets there.
const UNDER_WAY_MAX: usize = 16;

/// How long each failure in a row makes the readers rest, and at most. A node that is cut off from all leaders must not keep
/// taking messages away from nodes that are not; one partition without a leader is no reason to rest.
const REST_PER_FAILURE: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_secs(2);

/// One reader of the feed queue; several run side by side and share everything.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) queue: SharedQueue,
    pub(crate) dead_letters: SharedQueue,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) lanes: Arc<[Lane]>,
    /// How many groups in a row were not taken.
    pub(crate) failures: Arc<AtomicU32>,
}

/// The way into one partition.
pub(crate) struct Lane {
    room: Arc<Semaphore>,
    applying: Mutex<Episode>,
}

/// A lane for each of `partitions`.
pub(crate) fn lanes(partitions: u16) -> Arc<[Lane]> {
    let lane = |_| Lane { room: Arc::new(Semaphore::new(UNDER_WAY_MAX)), applying: Mutex::default() };
    (0..partitions).map(lane).collect()
}

/// The events of one partition out of one batch, and their messages.
#[derive(Default)]
struct Group {
    receipts: Vec<ReceiptHandle>,
    events: Vec<FeedEvent>,
}

impl Consumer {
    /// Reads until `shutdown`; what was received by then is still applied.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut receiving = Episode::default();
        let mut applying = JoinSet::new();
        loop {
            while applying.try_join_next().is_some() {}
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.ready() => {}
            }
            let received = tokio::select! {
                () = shutdown.cancelled() => break,
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
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
        while applying.join_next().await.is_some() {}
    }

    async fn ready(&self) {
        self.sink.takes_some().await;
        let failures = self.failures.load(Ordering::Relaxed);
        if failures > 0 {
            tokio::time::sleep(REST_PER_FAILURE.saturating_mul(failures).min(REST_MAX)).await;
        }
    }

    async fn handle(&self, messages: Vec<ReceivedMessage>, applying: &mut JoinSet<()>) {
        let mut groups: BTreeMap<PartitionId, Group> = BTreeMap::new();
        let mut buried = Vec::new();
        for message in messages {
            match self.event_in(&message) {
                Ok((partition, event)) => {
                    let group = groups.entry(partition).or_default();
                    group.receipts.push(message.receipt);
                    group.events.push(event);
                }
                Err((reason, detail)) => buried.extend(self.dead_letter(message, reason, detail).await),
            }
        }
        for (partition, group) in groups {
            let lane = self.lanes.get(usize::from(partition.0));
            match lane.and_then(|lane| Arc::clone(&lane.room).try_acquire_owned().ok()) {
                Some(permit) => {
                    let consumer = self.clone();
                    applying.spawn(async move {
                        consumer.apply(partition, group).await;
                        drop(permit);
                    });
                }
                None => self.give_back(group.receipts).await,
            }
        }
        if !buried.is_empty() {
            // Deleting may wait for others; no event waits for that.
            let consumer = self.clone();
            applying.spawn(async move { consumer.delete(buried).await });
        }
    }

    async fn apply(&self, partition: PartitionId, group: Group) {
        let Group { receipts, events } = group;
        let Some(lane) = self.lanes.get(usize::from(partition.0)) else { return };
        // Whether events were applied in the end is not known then; they are given again.
        let appended = tokio::time::timeout(APPLY_DEADLINE, self.sink.append(partition, events)).await;
        match appended.unwrap_or(Err(ApplyError::Deadline)) {
            Ok(()) => {
                self.failures.store(0, Ordering::Relaxed);
                if lane.applying.lock().succeeds() {
                    tracing::info!(partition = partition.0, "the partition takes events again");
                }
                self.telemetry.feed_messages_applied.increment(count(&receipts));
                self.delete(receipts).await;
            }
            Err(error) => {
                if lane.applying.lock().fails() {
                    tracing::warn!(
                        partition = partition.0,
                        error = &error as &dyn std::error::Error,
                        "events not applied; given back"
                    );
                }
                self.give_back(receipts).await;
            }
        }
    }

    /// Should this fail too, the messages come back when they become visible again.
    async fn give_back(&self, receipts: Vec<ReceiptHandle>) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.telemetry.feed_messages_failed.increment(count(&receipts));
        self.queue.give_back(receipts.into_iter().map(|receipt| (receipt, RETRY_AFTER)).collect()).await;
    }

    fn event_in(&self, message: &ReceivedMessage) -> Result<(PartitionId, FeedEvent), (&'static str, String)> {
        let event = notification::decode(&message.body, &message.attributes)
            .map_err(|error| (error.reason(), error.to_string()))?;
        match self.sink.place_of(&event) {
            Some(partition) => Ok((partition, event)),
            None => Err(("MALFORMED", "the event id was not made by this cluster".to_owned())),
        }
    }

    /// Moves a message to the dead letters; answers what deletes it. One that could not be moved stays where it is and is tried again.
    async fn dead_letter(
        &self,
        message: ReceivedMessage,
        reason: &'static str,
        detail: String,
    ) -> Option<ReceiptHandle> {
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
        if !sent.iter().all(Result::is_ok) {
            return None;
        }
        self.telemetry.feed_messages_dead_lettered.increment(1);
        Some(message.receipt)
    }

    /// A message that could not be deleted comes back and changes nothing, so failures are only the queue's own.
    async fn delete(&self, receipts: Vec<ReceiptHandle>) {
        let failed = self.queue.delete(receipts).await.iter().filter(|deleted| deleted.is_err()).count();
        if failed > 0 {
            tracing::debug!(queue = self.queue.name(), failed, "messages not deleted; they will be repeated");
        }
    }
}

fn count(receipts: &[ReceiptHandle]) -> u64 {
    u64::try_from(receipts.len()).unwrap_or(u64::MAX)
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

    /// Has two partitions, the first of which fails so many times; or hangs; or both have no leader for a while.
    #[derive(Default)]
    struct UnwillingSink {
        leaderless_for: Duration,
        failures_left: Mutex<u32>,
        hangs: bool,
        applied: Mutex<Vec<EventId>>,
    }

    impl EventSink for UnwillingSink {
        fn takes_some(&self) -> BoxFuture<'_, ()> {
            Box::pin(tokio::time::sleep(self.leaderless_for))
        }

        fn place_of(&self, event: &FeedEvent) -> Option<PartitionId> {
            Some(PartitionId(u16::from(event.order.as_bytes()[0] % 2)))
        }

        fn append(&self, partition: PartitionId, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>> {
            Box::pin(async move {
                if partition == PartitionId(0) && self.hangs {
                    return std::future::pending().await;
                }
                let mut failures_left = self.failures_left.lock();
                if partition == PartitionId(0) && *failures_left > 0 {
                    *failures_left -= 1;
                    return Err(ProposeError::NotLeader { partition: 0, leader: None }.into());
                }
                self.applied.lock().extend(events.iter().map(|event| event.id));
                Ok(())
            })
        }
    }

    fn event(order: u8) -> FeedEvent {
        let (merchant, order, created_at) = (
            MerchantId::from_bytes([1; 16]),
            OrderId::from_bytes([order; 16]),
            Timestamp::from_unix_ms(1_795_000_000_000),
        );
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

    struct Running {
        queue: Arc<InMemoryQueue>,
        shutdown: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(sink: &Arc<UnwillingSink>) -> Running {
        let queue = Arc::new(InMemoryQueue::new("feed"));
        let consumer = Consumer {
            queue: queue.clone(),
            dead_letters: Arc::new(InMemoryQueue::new("dead")),
            sink: sink.clone(),
            telemetry: Arc::new(Telemetry::register()),
            lanes: lanes(2),
            failures: Arc::default(),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(consumer.run(shutdown.clone()));
        Running { queue, shutdown, task }
    }

    async fn send(queue: &InMemoryQueue, event: &FeedEvent) {
        let (body, attributes) = notification::encode(event, "IFOOD", None);
        queue.send(vec![OutgoingMessage { body, attributes }]).await;
    }

    async fn left(queue: &InMemoryQueue) -> usize {
        let depth = queue.depth().await.unwrap();
        usize::try_from(depth.visible + depth.in_flight).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_deleted_only_after_its_event_was_applied() {
        let sink = Arc::new(UnwillingSink { failures_left: Mutex::new(3), ..UnwillingSink::default() });
        let running = start(&sink);
        send(&running.queue, &event(2)).await;
        while *sink.failures_left.lock() > 0 {
            assert_eq!(left(&running.queue).await, 1, "it is still there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while left(&running.queue).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(*sink.applied.lock(), [event(2).id]);
        running.shutdown.cancel();
        running.task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_takes_nothing_holds_up_no_other() {
        let sink = Arc::new(UnwillingSink { hangs: true, ..UnwillingSink::default() });
        let running = start(&sink);
        for pair in 0..100 {
            send(&running.queue, &event(2 * pair)).await;
            send(&running.queue, &event(2 * pair + 1)).await;
            while sink.applied.lock().len() <= usize::from(pair) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(left(&running.queue).await, 100, "what nobody took is still there");
        running.task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_can_apply_nothing_leaves_the_messages_to_others() {
        let sink = Arc::new(UnwillingSink { failures_left: Mutex::new(u32::MAX), ..UnwillingSink::default() });
        let running = start(&sink);
        for order in 0..100 {
            send(&running.queue, &event(2 * order)).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let attempts = u32::MAX - *sink.failures_left.lock();
        assert!(attempts < 100, "{attempts}");
        running.shutdown.cancel();
        running.task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_knows_no_leader_receives_nothing() {
        let leaderless_for = Duration::from_secs(3_600);
        let sink = Arc::new(UnwillingSink { leaderless_for, ..UnwillingSink::default() });
        let running = start(&sink);
        send(&running.queue, &event(2)).await;
        tokio::time::sleep(Duration::from_secs(3_500)).await;
        assert_eq!(running.queue.depth().await.unwrap().in_flight, 0);
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(left(&running.queue).await, 0);
        assert_eq!(*sink.applied.lock(), [event(2).id]);
        running.shutdown.cancel();
        running.task.await.unwrap();
    }
}
