//! Bringing events and acknowledgments into the partitions, whoever they come from: queue, export, core or kitchen-api.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use event_feed::FeedEvent;
use futures::future::BoxFuture;
use order_model::{ApplicationId, EventCode, EventId, PartitionId, RoutingHash};
use replicated_grid::ProposeError;

use crate::service::Shared;
use crate::state::command::{encode_acknowledge, encode_append};
use crate::state::{Appended, Reply};

/// The most events of one command: its log entry stays far below the size of a message.
const EVENTS_PER_COMMAND_MAX: usize = 64;

/// The most ids of one command.
const IDS_PER_COMMAND_MAX: usize = 1_000;

/// Orders older than this are not fetched for the cache: it holds the orders of the last two hours.
const CACHEABLE_AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The feed queue, or the core filling a gap: they may be held back.
    Live,
    /// An export: it comes in no order at all, so gaps are looked for when it is complete.
    Export,
}

/// Something could not be applied; the whole call may be repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the partition did not take it")]
    Propose(#[from] ProposeError),
    #[error("the partition's reply is not the one expected")]
    UnexpectedReply,
}

/// Where the consumer puts what it read; a seam for its tests.
pub(crate) trait EventSink: Send + Sync + 'static {
    /// Whether the event's id was made by our core for just this event. Others could never be acknowledged.
    fn is_ours(&self, event: &FeedEvent) -> bool;

    /// Applies events; after an error they may be given again.
    fn append(&self, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>>;
}

impl EventSink for Shared {
    fn is_ours(&self, event: &FeedEvent) -> bool {
        let key = &self.config.event_id_key;
        event.sequence > 0
            && event.id == EventId::derive(key, event.created_at, event.merchant, event.order, event.sequence)
    }

    fn append(&self, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), ApplyError>> {
        Box::pin(async move { self.append_from(Source::Live, events).await.map(|_| ()) })
    }
}

impl Shared {
    /// Applies events and answers how many were new. Those that are not ours are counted and left out.
    pub(crate) async fn append_from(&self, source: Source, events: Vec<FeedEvent>) -> Result<usize, ApplyError> {
        let mut by_partition: BTreeMap<PartitionId, Vec<FeedEvent>> = BTreeMap::new();
        for event in events {
            if self.is_ours(&event) {
                by_partition.entry(self.partition_of(RoutingHash::of(event.merchant))).or_default().push(event);
            } else {
                self.telemetry.events_not_ours.increment(1);
            }
        }
        let mut added = 0;
        for (partition, events) in by_partition {
            added += self.append_to(source, partition, &events).await?;
        }
        Ok(added)
    }

    async fn append_to(
        &self,
        source: Source,
        partition: PartitionId,
        events: &[FeedEvent],
    ) -> Result<usize, ApplyError> {
        let soft = self.soft_of(partition);
        if source == Source::Live {
            let arrived = self.clock.monotonic();
            events.iter().filter(|event| event.sequence > 1).for_each(|event| soft.note_arrival(event, arrived));
        }
        let commands = events.chunks(EVENTS_PER_COMMAND_MAX).map(|chunk| Bytes::from(encode_append(chunk))).collect();
        let replies = self.grid.propose(partition.0, commands).await?;
        let mut outcomes = Vec::with_capacity(events.len());
        for reply in replies {
            match Reply::decode(&reply) {
                Ok(Reply::Appended(of_command)) => outcomes.extend(of_command),
                _ => return Err(ApplyError::UnexpectedReply),
            }
        }
        let settled = events
            .iter()
            .zip(&outcomes)
            .filter(|(event, outcome)| event.sequence > 1 && matches!(outcome, Appended::Added | Appended::Expired));
        soft.forget_arrivals(settled.map(|(event, _)| event.id));
        Ok(events.iter().zip(outcomes).filter(|(event, outcome)| self.count(source, event, *outcome)).count())
    }

    /// Counts what became of an event; whether it was new. A new order is fetched for the cache in the background.
    fn count(&self, source: Source, event: &FeedEvent, outcome: Appended) -> bool {
        match outcome {
            Appended::Added | Appended::AddedAboveGap => {
                let age = self.clock.now().since(event.created_at);
                self.telemetry.events_added.increment(1);
                if source == Source::Live {
                    self.telemetry.event_lag_seconds.record(age);
                }
                let changes_order = matches!(event.code, EventCode::Placed | EventCode::OrderPatched);
                if changes_order && age < CACHEABLE_AGE_MAX && self.orders_to_cache.try_send(event.order).is_err() {
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

    /// Applies acknowledgments and answers the partitions that did not take theirs. Ids that are not genuine are
    /// counted and stored nowhere.
    pub(crate) async fn acknowledge(&self, application: &ApplicationId, ids: &[EventId]) -> Vec<PartitionId> {
        let started = self.clock.monotonic();
        let mut by_partition: BTreeMap<PartitionId, Vec<EventId>> = BTreeMap::new();
        for id in ids {
            if id.is_genuine(&self.config.event_id_key) {
                by_partition.entry(self.partition_of(id.routing_hash())).or_default().push(*id);
            } else {
                self.telemetry.ids_not_genuine.increment(1);
            }
        }
        let mut refused = Vec::new();
        for (partition, ids) in by_partition {
            if self.acknowledge_in(partition, application, &ids).await.is_err() {
                refused.push(partition);
            }
        }
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
