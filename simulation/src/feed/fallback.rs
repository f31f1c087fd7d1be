//! connection-polling, as a model of its gRPC service over the tables: polls, acknowledgments, fences, export.
//!
//! The rules of what is shown are event-feed's, as in the real crate, which is tested against a real DynamoDB elsewhere.

use std::sync::Arc;
use std::time::Duration;

use event_feed::{FeedEvent, GrantedMerchant, hold_back, visibility};
use futures::stream::{self, BoxStream, StreamExt};
use order_model::{ApplicationId, EventId, OrderId, PartitionCount};
use proto::connection_polling as wire;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::transport::{self, Transport};
use proto::{conversions, feed};
use tonic::{Request, Response, Status};

use super::cloud::{Cloud, Fence, Tables};
use crate::clock::START_MS;
use crate::machine::Machine;
use crate::planted::SimulationBug;

/// A connection-polling beside one machine.
#[derive(Clone)]
pub struct FallbackModel {
    /// Its DynamoDB.
    pub cloud: Arc<Cloud>,
    /// Where it runs.
    pub machine: Arc<Machine>,
    /// Of order-events.
    pub partitions: PartitionCount,
}

/// Events in one chunk of an export.
const EXPORT_CHUNK: usize = 50;

impl FallbackModel {
    /// How that machine's services reach it.
    pub fn transport(self) -> Transport {
        transport::local(ConnectionPollingServer::new(self))
    }

    fn partition_of(&self, id: EventId) -> u32 {
        u32::from(id.routing_hash().partition(self.partitions).0)
    }

    fn fences_of(&self, tables: &Tables, now: Duration, partitions: impl Iterator<Item = u32>) -> Vec<wire::Fence> {
        partitions.map(|partition| fence(tables, now, partition)).collect()
    }

    fn all_partitions(&self) -> impl Iterator<Item = u32> + use<> {
        (0..self.partitions.0.get()).map(u32::from)
    }

    fn dated(&self, fences: Vec<wire::Fence>) -> wire::Fences {
        wire::Fences { fences, store_date_ms: self.cloud.now().unix_ms() / 1_000 * 1_000 }
    }
}

fn fence(tables: &Tables, now: Duration, partition: u32) -> wire::Fence {
    let Fence { epoch, raised_at } = tables.fences.get(&partition).copied().unwrap_or_default();
    let raised_for = raised_at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
    let raised_for_ms = i64::try_from(raised_for.as_millis()).unwrap_or(i64::MAX);
    wire::Fence { partition, epoch, raised: raised_at.is_some(), raised_for_ms }
}

/// What `application` sees of one merchant.
fn shown(tables: &Tables, now: Duration, application: &ApplicationId, granted: &GrantedMerchant) -> Vec<FeedEvent> {
    let wall = order_model::Timestamp::from_unix_ms(START_MS).plus(now);
    let is_indexed = |order: OrderId, sequence: u32| {
        let events = tables.committed.get(&order).into_iter().flatten();
        events.filter(|event| event.sequence == sequence).all(|event| tables.indexed.contains_key(&event.id))
    };
    let is_shown = |(event, indexed_at): &&(FeedEvent, Duration)| {
        let is_acknowledged = tables.acknowledged.contains(&(application.clone(), event.id));
        let misses_lower = (1..event.sequence).any(|lower| !is_indexed(event.order, lower));
        event.merchant == granted.merchant
            && visibility::is_visible(event, granted.visible_from, wall)
            && (!is_acknowledged || SimulationBug::FallbackIgnoresAcks.is_planted())
            && !hold_back::is_held(misses_lower, now.saturating_sub(*indexed_at))
    };
    let mut events: Vec<FeedEvent> = tables.indexed.values().filter(is_shown).map(|(event, _)| event.clone()).collect();
    events.sort_by_key(|event| (event.created_at, event.id));
    if SimulationBug::FallbackDropsFilter.is_planted()
        && let Some((foreign, _)) = tables.indexed.values().find(|(event, _)| event.merchant != granted.merchant)
    {
        // Under its own header kitchen-api would leave it out; a mistaken key brings it under the one asked for.
        events.push(FeedEvent { merchant: granted.merchant, ..foreign.clone() });
    }
    events
}

fn acknowledgment((application, id): &(ApplicationId, EventId)) -> wire::Acknowledgment {
    wire::Acknowledgment {
        application_id: application.to_string(),
        event_ids: vec![conversions::to_bytes(id.as_bytes())],
    }
}

#[tonic::async_trait]
impl ConnectionPolling for FallbackModel {
    type FencedAcknowledgmentsStream = BoxStream<'static, Result<wire::AcknowledgmentChunk, Status>>;
    type ExportStream = BoxStream<'static, Result<wire::ExportChunk, Status>>;

    async fn poll(&self, request: Request<feed::PollRequest>) -> Result<Response<feed::PollReply>, Status> {
        let request = request.into_inner();
        let authorised = conversions::authorised_from_wire(&request)?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let page = self.cloud.call(&self.machine, |tables, now| {
            let of = |granted| shown(tables, now, authorised.application(), granted);
            let events: Vec<FeedEvent> = authorised.merchants().iter().flat_map(of).take(limit).collect();
            events
        });
        let events = page.await?.iter().map(conversions::event_to_wire).collect();
        Ok(Response::new(feed::PollReply { events, ..feed::PollReply::default() }))
    }

    async fn replay(&self, _: Request<wire::ReplayRequest>) -> Result<Response<wire::ReplayReply>, Status> {
        Err(Status::unimplemented("nobody replays"))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeReply>, Status> {
        let wire::AcknowledgeRequest { acknowledge, without_leader } = request.into_inner();
        let acknowledge = acknowledge.ok_or_else(|| Status::invalid_argument("nothing is acknowledged"))?;
        let application = conversions::application_id(&acknowledge.application_id)?;
        let ids: Vec<EventId> =
            acknowledge.event_ids.iter().map(|id| conversions::event_id(id)).collect::<Result<_, _>>()?;
        let written = self.cloud.call(&self.machine, |tables, _| {
            for id in &ids {
                tables.acknowledged.insert((application.clone(), *id));
                if without_leader {
                    let log = tables.fence_log.entry(self.partition_of(*id)).or_default();
                    log.insert((application.clone(), *id));
                }
            }
        });
        written.await?;
        let mut partitions: Vec<u32> = ids.iter().map(|id| self.partition_of(*id)).collect();
        partitions.sort_unstable();
        partitions.dedup();
        if !without_leader {
            return Ok(Response::new(wire::AcknowledgeReply::default()));
        }
        // Read after the write: a fence that was lowered before it must not look as if it had been lowered after.
        let read = self.cloud.call(&self.machine, |tables, now| self.fences_of(tables, now, partitions.into_iter()));
        Ok(Response::new(wire::AcknowledgeReply { fences: read.await? }))
    }

    async fn read_fences(&self, _: Request<wire::ReadFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        let read = self.cloud.call(&self.machine, |tables, now| self.fences_of(tables, now, self.all_partitions()));
        Ok(Response::new(self.dated(read.await?)))
    }

    async fn raise_fences(&self, request: Request<wire::RaiseFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        let partitions = request.into_inner().partitions;
        let raised = self.cloud.call(&self.machine, |tables, now| {
            for partition in &partitions {
                let fence = tables.fences.entry(*partition).or_default();
                if fence.raised_at.is_none() {
                    *fence = Fence { epoch: fence.epoch + 1, raised_at: Some(now) };
                }
            }
            self.fences_of(tables, now, partitions.iter().copied())
        });
        Ok(Response::new(self.dated(raised.await?)))
    }

    async fn lower_fence(&self, request: Request<wire::LowerFenceRequest>) -> Result<Response<wire::Fence>, Status> {
        let wire::LowerFenceRequest { partition, epoch } = request.into_inner();
        let lowered = self.cloud.call(&self.machine, |tables, now| {
            let fence_now = tables.fences.entry(partition).or_default();
            if fence_now.epoch == epoch {
                fence_now.raised_at = None;
            }
            fence(tables, now, partition)
        });
        Ok(Response::new(lowered.await?))
    }

    async fn fenced_acknowledgments(
        &self,
        request: Request<wire::FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        let partition = request.into_inner().partition;
        let log = self.cloud.call(&self.machine, |tables, _| tables.fence_log.get(&partition).cloned());
        let acknowledgments: Vec<_> = log.await?.unwrap_or_default().iter().map(acknowledgment).collect();
        let chunks: Vec<_> = acknowledgments
            .chunks(EXPORT_CHUNK)
            .map(|chunk| Ok(wire::AcknowledgmentChunk { acknowledgments: chunk.to_vec() }))
            .collect();
        Ok(Response::new(stream::iter(chunks).boxed()))
    }

    async fn export(&self, request: Request<wire::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let partitions = request.into_inner().partitions;
        let exported = self.cloud.call(&self.machine, |tables, _| {
            let is_wanted = |id: EventId| partitions.contains(&self.partition_of(id));
            let events = tables.indexed.values().filter(|(event, _)| is_wanted(event.id));
            let events: Vec<feed::Event> = events.map(|(event, _)| conversions::event_to_wire(event)).collect();
            let acknowledged = tables.acknowledged.iter().filter(|(_, id)| is_wanted(*id));
            (events, acknowledged.map(acknowledgment).collect::<Vec<_>>())
        });
        let (events, acknowledgments) = exported.await?;
        let first = wire::ExportChunk { acknowledgments, ..wire::ExportChunk::default() };
        let rest = events
            .chunks(EXPORT_CHUNK)
            .map(|events| wire::ExportChunk { events: events.to_vec(), ..wire::ExportChunk::default() });
        let chunks: Vec<_> = std::iter::once(first).chain(rest).map(Ok).collect();
        Ok(Response::new(stream::iter(chunks).boxed()))
    }
}
