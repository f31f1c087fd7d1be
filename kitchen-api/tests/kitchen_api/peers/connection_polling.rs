//! The scripted connection-polling, behind its real gRPC service: takes every acknowledgment and has only events that it is given.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use event_feed::{FeedEvent, Verdict};
use futures::stream::BoxStream;
use order_model::PartitionCount;
use parking_lot::Mutex;
use proto::connection_polling as fallback;
use proto::connection_polling::connection_polling_server::ConnectionPolling;
use proto::{conversions, feed};
use tonic::{Request, Response, Status};

use crate::peers::Served;
use crate::peers::replays::Replays;

/// connection-polling: takes every acknowledgment and has only events that it is given, or is down.
#[derive(Default)]
pub struct Fallback {
    pub down: AtomicBool,
    pub polls: AtomicU32,
    pub acknowledgments: AtomicU32,
    /// Every partition's fence was raised a minute ago: acknowledgments hold without the leaders.
    pub is_fenced: AtomicBool,
    pub replays: Replays,
    pub events: Mutex<Vec<FeedEvent>>,
}

impl Fallback {
    fn fences(&self) -> Vec<fallback::Fence> {
        let partitions = PartitionCount::DEFAULT.iter().filter(|_| self.is_fenced.load(Ordering::SeqCst));
        partitions
            .map(|partition| fallback::Fence {
                partition: u32::from(partition.0),
                epoch: 1,
                raised: true,
                raised_for_ms: 60_000,
            })
            .collect()
    }

    fn up(&self) -> Result<(), Status> {
        if self.down.load(Ordering::SeqCst) { Err(Status::unavailable("down")) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl ConnectionPolling for Served<Fallback> {
    async fn poll(&self, request: Request<feed::PollRequest>) -> Result<Response<feed::PollReply>, Status> {
        self.0.up()?;
        self.0.polls.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let authorised = conversions::authorised_from_wire(&request)?;
        let filter = conversions::filter_from_wire(request.filter.as_ref())?;
        let mut reply = feed::PollReply::default();
        for event in self.0.events.lock().iter() {
            if authorised.merchants().iter().all(|granted| granted.merchant != event.merchant) {
                continue;
            }
            match filter.verdict(event) {
                Verdict::Show => reply.events.push(conversions::event_to_wire(event)),
                Verdict::Hide => {}
                Verdict::HideAndAcknowledge => {
                    reply.hidden_ids.push(conversions::to_bytes(event.id.as_bytes()));
                }
            }
        }
        reply.events.truncate(usize::try_from(request.limit).unwrap());
        Ok(Response::new(reply))
    }

    async fn acknowledge(
        &self,
        request: Request<fallback::AcknowledgeRequest>,
    ) -> Result<Response<fallback::AcknowledgeReply>, Status> {
        self.0.up()?;
        self.0.acknowledgments.fetch_add(1, Ordering::SeqCst);
        let fences = if request.get_ref().without_leader { self.0.fences() } else { Vec::new() };
        Ok(Response::new(fallback::AcknowledgeReply { fences }))
    }

    async fn read_fences(&self, _: Request<fallback::ReadFencesRequest>) -> Result<Response<fallback::Fences>, Status> {
        self.0.up()?;
        Ok(Response::new(fallback::Fences { fences: self.0.fences(), ..fallback::Fences::default() }))
    }

    async fn raise_fences(
        &self,
        _: Request<fallback::RaiseFencesRequest>,
    ) -> Result<Response<fallback::Fences>, Status> {
        Err(Status::unavailable("not scripted"))
    }

    async fn replay(
        &self,
        request: Request<fallback::ReplayRequest>,
    ) -> Result<Response<fallback::ReplayReply>, Status> {
        self.0.up()?;
        self.0.replays.take(request.into_inner()).map(Response::new)
    }

    async fn lower_fence(&self, _: Request<fallback::LowerFenceRequest>) -> Result<Response<fallback::Fence>, Status> {
        Err(Status::unavailable("not scripted"))
    }

    type FencedAcknowledgmentsStream = BoxStream<'static, Result<fallback::AcknowledgmentChunk, Status>>;

    async fn fenced_acknowledgments(
        &self,
        _: Request<fallback::FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        Err(Status::unavailable("not scripted"))
    }

    type ExportStream = BoxStream<'static, Result<fallback::ExportChunk, Status>>;

    async fn export(&self, _: Request<fallback::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unavailable("not scripted"))
    }
}
