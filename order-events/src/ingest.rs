//! Bringing events and acknowledgments into the partitions, whoever they come from: queue, export, core or kitchen-api.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use event_feed::FeedEvent;
use futures::future::{BoxFuture, join_all};
use order_model::{ApplicationId, EventCode, EventId, PartitionId, RoutingHash};
use replicated_grid::ProposeError;

use crate::service::Shared;
use crate::state::command::{encode_acknowledge, encode_append};
use crate::state::{Appended, Reply};

/// The most events of one command: its log entry stays far below the size of a message.
const EVENTS_PER_COMMAND_MAX: usize = 64;

/// The most ids of one command.
const IDS_PER_COMMAND_MAX: usize = 1_000;

/// How long a partition may take over events or acknowledgments that nobody waits for but a loop of ours.
pub(crate) const APPLY_DEADLINE: Duration = Duration::from_secs(10);

/// How long it may take over an acknowledgment of kitchen-api, which fences it out after that.
pub(crate) const ACKNOWLEDGE_DEADLINE: Duration = Duration::from_secs(1);

/// Orders older than this are not fetched for the cache: it holds the orders of the last two hours.
const CACHEABLE_AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The feed queue, or the core filling a gap.
    Live,
    /// An export: how old its events are says nothing of how fast we are.
    Export,
}

/// Something could not be applied; the whole call may be repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the partition did not take it")]
    Propose(#[from] ProposeError),
    #[error("the partition's reply is not the one expected")]
    UnexpectedReply,
    #[error("the partition did not answer in time")]
    Deadline,
}

/// Where the consumer puts what it read; a seam for its tests.
pub(crate) trait EventSink: Send + Sync + 'static {
    /// Resolves when a leader of some partition is known here.
    fn takes_some(&self) -> BoxFuture<'_, ()>;

    /// Where the event belongs; `None` when its id was not made by our core for just this event. Such an event could
    /// never be acknowledged.
    fn place_of(&self, event: &FeedEvent) -> Option<PartitionId>;

    /// Applies events of one partition, wherever it is led; after an error they may be given again.
    fn append(&self, partition: PartitionId, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>>;
}

impl EventSink for Shared {
    fn takes_some(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut leadership = self.leadership.clone();
            let known = leadership.wait_for(|of| of.iter().any(|partition| partition.leader.is_some()));
            if known.await.is_err() {
                // The grid has ended: whoever asks is about to be told to stop.
                std::future::pending().await
            }
        })
    }

    fn place_of(&self, event: &FeedEvent) -> Option<PartitionId> {
        let key = &self.config.event_id_key;
        let genuine = EventId::derive(key, event.created_at, event.merchant, event.order, event.sequence);
        (event.sequence > 0 && event.id == genuine).then(|| self.partition_of(RoutingHash::of(event.merchant)))
    }

    fn append(&self, partition: PartitionId, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>> {
        Box::pin(async move {
            if self.leadership_of(partition).leader.is_none() {
                // Waiting for an election would keep the messages from nodes that know a leader.
                return Err(ProposeError::NotLeader { partition: partition.0, leader: None }.into());
            }
            self.append_to(Source::Live, partition, &events).await.map(|_| ())
        })
    }
}

impl Shared {
    /// Events by where they belong. Those that are not ours are counted and left out.
    pub(crate) fn ours_by_partition(&self, events: Vec<FeedEvent>) -> BTreeMap<PartitionId, Vec<FeedEvent>> {
        let mut by_partition: BTreeMap<PartitionId, Vec<FeedEvent>> = BTreeMap::new();
        for event in events {
            match self.place_of(&event) {
                Some(partition) => by_partition.entry(partition).or_default().push(event),
                None => self.telemetry.events_not_ours.increment(1),
            }
        }
        by_partition
    }

    /// Applies those of `events` that are ours.
    pub(crate) async fn append_ours(&self, source: Source, events: Vec<FeedEvent>) -> Result<(), ApplyError> {
        for (partition, events) in self.ours_by_partition(events) {
            self.append_to(source, partition, &events).await?;
        }
        Ok(())
    }

    /// Applies events of one partition, wherever it is led, and answers how many were new.
    pub(crate) async fn append_to(
        &self,
        source: Source,
        partition: PartitionId,
        events: &[FeedEvent],
    ) -> Result<usize, ApplyError> {
        let commands = events.chunks(EVENTS_PER_COMMAND_MAX).map(|chunk| Bytes::from(encode_append(chunk))).collect();
        let replies = self.grid.propose(partition.0, commands).await?;
        let mut outcomes = Vec::with_capacity(events.len());
        for reply in replies {
            match Reply::decode(&reply) {
                Ok(Reply::Appended(of_command)) => outcomes.extend(of_command),
                _ => return Err(ApplyError::UnexpectedReply),
            }
        }
        Ok(events.iter().zip(outcomes).filter(|(event, outcome)| self.count(source, event, *outcome)).count())
    }

    /// Counts what became of an event; whether it was new. A new order is fetched for the cache in the background, and
    /// whoever waits for news is told. A repetition is told too: whoever brought the event in before may have ended before
    /// it could tell.
    fn count(&self, source: Source, event: &FeedEvent, outcome: Appended) -> bool {
        if source == Source::Live && outcome != Appended::Expired {
            self.subscribers.tell(event.merchant);
        }
        match outcome {
            Appended::Added | Appended::AddedAboveGap => {
                let age = self.clock.now().since(event.created_at);
                self.telemetry.events_added.increment(1);
                if source == Source::Live {
                    self.telemetry.event_lag_seconds.record(age);
                }
                if changes_body(event.code) {
                    self.orders.patched(event.order, event.merchant, event.sequence, self.clock.monotonic());
                }
                let is_unread = event.code == EventCode::Placed || changes_body(event.code);
                if is_unread && age < CACHEABLE_AGE_MAX && self.orders_to_cache.try_send(event.order).is_err() {
                    self.telemetry.orders_not_cached.increment(1);
                }
                true
            }
            Appended::Repeated => {
                self.telemetry.events_repeated.increment(1);
                false
            }
            Appended::Expired => {
                self.telemetry.events_arrived_expired.increment(1);
                false
            }
        }
    }

    /// Applies acknowledgments wherever their partitions are led and answers the partitions that did not take theirs. Ids
    /// that are not genuine are counted and stored nowhere. A partition that takes longer than `deadline` counts as one
    /// that did not, whatever it does later.
    pub(crate) async fn acknowledge(
        &self,
        application: &ApplicationId,
        ids: &[EventId],
        deadline: Duration,
    ) -> Vec<PartitionId> {
        let started = self.clock.monotonic();
        let mut by_partition: BTreeMap<PartitionId, Vec<EventId>> = BTreeMap::new();
        for id in ids {
            if id.is_genuine(&self.config.event_id_key) {
                by_partition.entry(self.partition_of(id.routing_hash())).or_default().push(*id);
            } else {
                self.telemetry.ids_not_genuine.increment(1);
            }
        }
        let applying = by_partition.into_iter().map(|(partition, ids)| async move {
            let applied = tokio::time::timeout(deadline, self.acknowledge_in(partition, application, &ids)).await;
            (!matches!(applied, Ok(Ok(())))).then_some(partition)
        });
        let refused = join_all(applying).await.into_iter().flatten().collect();
        self.telemetry.acknowledge_seconds.record(self.clock.monotonic().saturating_sub(started));
        refused
    }

    async fn acknowledge_in(
        &self,
        partition: PartitionId,
        application: &ApplicationId,
        ids: &[EventId],
    ) -> Result<(), ApplyError> {
        let command = |ids: &[EventId]| Bytes::from(encode_acknowledge(application, ids));
        let commands = ids.chunks(IDS_PER_COMMAND_MAX).map(command).collect();
        for reply in self.grid.propose(partition.0, commands).await? {
            let Ok(Reply::Acknowledged { applied, remembered }) = Reply::decode(&reply) else {
                return Err(ApplyError::UnexpectedReply);
            };
            self.telemetry.ids_acknowledged.increment(u64::from(applied));
            self.telemetry.ids_remembered.increment(u64::from(remembered));
        }
        self.soft_of(partition).delivered().forget(application, ids);
        Ok(())
    }
}

/// Whether the order's body is another one after such an event. A change of address stands in the body while it waits for its
/// answer, and an answer moves or drops it there.
const fn changes_body(code: EventCode) -> bool {
    matches!(
        code,
        EventCode::OrderPatched
            | EventCode::AddressChangeRequested
            | EventCode::AddressChangeAccepted
            | EventCode::AddressChangeDenied
    )
}
