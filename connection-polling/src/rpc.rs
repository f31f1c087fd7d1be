//! The gRPC face: reads requests, admits or refuses, calls, and says in gRPC's words what went wrong.
//!
//! Called by peers through `proto::transport`. Decisions are deliberately absent.

use std::future::Future;
use std::time::Duration;

use event_feed::PAGE_EVENTS_MAX;
use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use order_model::{EventId, PartitionCount, PartitionId};
use proto::connection_polling as wire;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::conversions::{application_id, authorised_from_wire, event_id, event_to_wire, filter_from_wire, to_bytes};
use proto::feed;
use proto::transport::BoxedServer;
use tonic::{Request, Response, Status};

use crate::admission::{Admission, Overloaded};
use crate::export::{Selection, export};
use crate::poll::Poll;
use crate::replay;
use crate::service::Handle;
use crate::store::{FenceLogEntry, Item, StoreError};

/// The largest message taken or sent: a page is at most 4 MiB of bodies, a page of an export about 1 MiB.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most merchants of one poll: above the 500 that a token or a header may name.
const MERCHANTS_MAX: usize = 1_000;

/// The service for a server or for `proto::transport::local`.
pub fn grpc(handle: Handle) -> BoxedServer<ConnectionPollingServer<Handle>> {
    let server = ConnectionPollingServer::new(handle)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    BoxedServer::new(server)
}

#[tonic::async_trait]
impl ConnectionPolling for Handle {
    type FencedAcknowledgmentsStream = BoxStream<'static, Result<wire::AcknowledgmentChunk, Status>>;
    type ExportStream = BoxStream<'static, Result<wire::ExportChunk, Status>>;

    async fn poll(&self, request: Request<feed::PollRequest>) -> Result<Response<feed::PollReply>, Status> {
        let poll = poll_from_wire(request.get_ref())?;
        let limits = (&self.parts.polls, self.parts.config.poll_timeout);
        let answer = bounded("Poll", limits, self.parts.poller.poll(&poll)).await?;
        Ok(Response::new(feed::PollReply {
            events: answer.events.iter().map(event_to_wire).collect(),
            hidden_ids: answer.hidden.iter().map(|id| to_bytes(id.as_bytes())).collect(),
            // It counts no deliveries.
            ..feed::PollReply::default()
        }))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeReply>, Status> {
        let wire::AcknowledgeRequest { acknowledge, without_leader } = request.into_inner();
        let acknowledge = acknowledge.ok_or_else(|| Status::invalid_argument("acknowledge is absent"))?;
        let application = application_id(&acknowledge.application_id)?;
        let ids = self.genuine_ids(&acknowledge.event_ids)?;
        let limits = (&self.parts.acknowledgments, self.parts.config.acknowledgment_timeout);
        let work = async {
            let partitions = partitions_of(&ids, self.parts.config.partition_count);
            self.parts.acknowledger.acknowledge(&application, ids, without_leader).await?;
            // Only now: a fence read before the log was written says nothing about who has read the log.
            if without_leader {
                self.parts.fences.read(&partitions).await.map(|read| read.fences)
            } else {
                Ok(Vec::new())
            }
        };
        let fences = bounded("Acknowledge", limits, work).await?;
        Ok(Response::new(wire::AcknowledgeReply { fences }))
    }

    async fn read_fences(&self, _: Request<wire::ReadFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        observed("ReadFences", self.parts.fences.read_all()).await.map(Response::new)
    }

    async fn raise_fences(&self, request: Request<wire::RaiseFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        let partitions = self.partitions(&request.get_ref().partitions)?;
        observed("RaiseFences", self.parts.fences.raise(&partitions)).await.map(Response::new)
    }

    async fn lower_fence(&self, request: Request<wire::LowerFenceRequest>) -> Result<Response<wire::Fence>, Status> {
        let wire::LowerFenceRequest { partition, epoch } = *request.get_ref();
        let partition = partition_from_wire(partition, self.parts.config.partition_count)?;
        observed("LowerFence", self.parts.fences.lower(partition, epoch)).await.map(Response::new)
    }

    async fn fenced_acknowledgments(
        &self,
        request: Request<wire::FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        let partition = partition_from_wire(request.get_ref().partition, self.parts.config.partition_count)?;
        let store = self.parts.store.clone();
        let step = move |place: Option<Option<Item>>| {
            let store = store.clone();
            async move {
                let Some(start) = place else { return Ok(None) };
                let page = store.fence_log_page(partition, store.now(), start).await;
                let (entries, next) = page.map_err(|error| status("FencedAcknowledgments", &error))?;
                let acknowledgments = entries.into_iter().map(entry_to_wire).collect();
                Ok(Some((wire::AcknowledgmentChunk { acknowledgments }, next.map(Some))))
            }
        };
        Ok(Response::new(stream::try_unfold(Some(None), step).boxed()))
    }

    async fn replay(&self, request: Request<wire::ReplayRequest>) -> Result<Response<wire::ReplayReply>, Status> {
        let wire::ReplayRequest { of, after } = request.into_inner();
        let of = of.ok_or_else(|| Status::invalid_argument("of is absent"))?;
        let asked = replay::asked(poll_from_wire(&of)?, after.as_ref())?;
        let limits = (&self.parts.replays, self.parts.config.poll_timeout);
        let page = bounded("Replay", limits, self.parts.replayer.replay(&asked)).await?;
        Ok(Response::new(replay::to_wire(&page)))
    }

    async fn export(&self, request: Request<wire::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let wire::ExportRequest { partitions, partition_count } = request.into_inner();
        let count = u16::try_from(partition_count).ok().and_then(std::num::NonZeroU16::new).map(PartitionCount);
        let partition_count = count.ok_or_else(|| Status::invalid_argument("partition_count is malformed"))?;
        let partitions: Result<Vec<PartitionId>, Status> =
            partitions.into_iter().map(|partition| partition_from_wire(partition, partition_count)).collect();
        let selection = Selection { partitions: partitions?, partition_count };
        let chunks = export(self.parts.store.clone(), selection, self.parts.config.export_segments);
        Ok(Response::new(chunks.map_err(|error| status("Export", &error)).boxed()))
    }
}

impl Handle {
    /// The genuine ones among these ids; the others are acknowledged by forgetting them.
    fn genuine_ids(&self, ids: &[bytes::Bytes]) -> Result<Vec<EventId>, Status> {
        if ids.len() > ACKNOWLEDGMENT_IDS_MAX {
            return Err(Status::invalid_argument("event_ids holds too many ids"));
        }
        let key = &self.parts.config.event_id_key;
        let all: Result<Vec<EventId>, Status> = ids.iter().map(|id| event_id(id)).collect();
        let (genuine, foreign): (Vec<_>, Vec<_>) = all?.into_iter().partition(|id| id.is_genuine(key));
        metrics::counter!("comanda_connection_polling_foreign_ids_total").increment(foreign.len() as u64);
        Ok(genuine)
    }

    fn partitions(&self, numbers: &[u32]) -> Result<Vec<PartitionId>, Status> {
        let read = |number: &u32| partition_from_wire(*number, self.parts.config.partition_count);
        let mut partitions: Vec<PartitionId> = numbers.iter().map(read).collect::<Result<_, _>>()?;
        partitions.sort_unstable();
        partitions.dedup();
        Ok(partitions)
    }
}

fn partition_from_wire(number: u32, count: PartitionCount) -> Result<PartitionId, Status> {
    let partition = u16::try_from(number).ok().filter(|number| *number < count.0.get());
    partition.map(PartitionId).ok_or_else(|| Status::invalid_argument("partition is out of range"))
}

fn partitions_of(ids: &[EventId], count: PartitionCount) -> Vec<PartitionId> {
    let mut partitions: Vec<PartitionId> = ids.iter().map(|id| id.routing_hash().partition(count)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

fn poll_from_wire(request: &feed::PollRequest) -> Result<Poll, Status> {
    if request.merchants.len() > MERCHANTS_MAX {
        return Err(Status::invalid_argument("merchants holds too many merchants"));
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| (1..=PAGE_EVENTS_MAX).contains(limit));
    Ok(Poll {
        authorised: authorised_from_wire(request)?,
        filter: filter_from_wire(request.filter.as_ref())?,
        limit: limit.ok_or_else(|| Status::invalid_argument("limit must be 1 to 1000"))?,
        shadow: request.shadow,
    })
}

fn entry_to_wire(entry: FenceLogEntry) -> wire::Acknowledgment {
    let event_ids = entry.ids.iter().map(|id| to_bytes(id.as_bytes())).collect();
    wire::Acknowledgment { application_id: entry.application.to_string(), event_ids }
}

/// Admits, bounds in time, counts and times a call.
async fn bounded<T>(
    method: &'static str,
    (admission, timeout): (&Admission, Duration),
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Status> {
    let _admitted = match admission.enter().await {
        Ok(admitted) => admitted,
        Err(Overloaded) => {
            metrics::counter!("comanda_connection_polling_refused_total", "method" => method).increment(1);
            return Err(Status::resource_exhausted("OVERLOADED"));
        }
    };
    let work = async {
        let in_time = tokio::time::timeout(timeout, work).await;
        in_time.unwrap_or_else(|_| Err(StoreError::unavailable(method, "the call took too long")))
    };
    observed(method, work).await
}

async fn observed<T>(method: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Status> {
    let started = tokio::time::Instant::now();
    let result = work.await.map_err(|error| status(method, &error));
    let outcome = if result.is_ok() { "ok" } else { "failed" };
    let labels = [("method", method), ("outcome", outcome)];
    metrics::histogram!("comanda_connection_polling_request_seconds", &labels).record(started.elapsed());
    result
}

/// The boundary where a failure is logged, once.
fn status(method: &'static str, error: &StoreError) -> Status {
    let error_text = error.to_string();
    tracing::debug!(method, error = error as &dyn std::error::Error, "a call failed");
    if error.is_retryable() { Status::unavailable(error_text) } else { Status::internal(error_text) }
}
