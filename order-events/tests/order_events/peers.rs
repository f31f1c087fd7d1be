//! Stand-ins for connection-polling and gateway-core that can be told what they know and to fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_feed::FeedEvent;
use futures::stream::{self, BoxStream, StreamExt};
use order_model::{EventId, OrderId};
use parking_lot::Mutex;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::connection_polling::{
    AcknowledgeReply, AcknowledgeRequest, Acknowledgment, AcknowledgmentChunk, ExportChunk, ExportRequest, Fence,
    FencedAcknowledgmentsRequest, Fences, LowerFenceRequest, RaiseFencesRequest, ReadFencesRequest, ReplayReply,
    ReplayRequest,
};
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::gateway_core::{
    ActReply, ActRequest, EraseOrderReply, EraseOrderRequest, EventsOfOrderReply, EventsOfOrderRequest,
    GetEvidenceReply, GetEvidenceRequest, GetOrderReply, GetOrderRequest, ReportServingReply, ReportServingRequest,
    SubmitReply, SubmitRequest,
};
use proto::transport::{self, Transport};
use proto::{conversions, feed};
use tonic::{Request, Response, Status};

/// What the fake connection-polling holds and how it behaves.
#[derive(Default)]
pub struct PollingState {
    pub unreachable: bool,
    pub events: Vec<FeedEvent>,
    pub acknowledged: Vec<(String, EventId)>,
    pub fences: BTreeMap<u32, (u64, bool)>,
    pub fenced: BTreeMap<u32, Vec<(String, EventId)>>,
    pub fence_log_unreadable: bool,
    pub store_date_ms: i64,
    pub exports: u32,
    pub exports_fail: bool,
    /// The partitions of the latest export.
    pub exported: Vec<u32>,
    pub lowered: Vec<(u32, u64)>,
}

/// A connection-polling whose store is this value.
#[derive(Clone, Default)]
pub struct FakePolling {
    pub state: Arc<Mutex<PollingState>>,
}

impl FakePolling {
    pub fn transport(&self) -> Transport {
        transport::local(ConnectionPollingServer::new(self.clone()))
    }

    fn reached<R>(&self, answer: impl FnOnce(&mut PollingState) -> R) -> Result<R, Status> {
        let mut state = self.state.lock();
        if state.unreachable { Err(Status::unavailable("down")) } else { Ok(answer(&mut state)) }
    }
}

fn acknowledgment((application, id): &(String, EventId)) -> Acknowledgment {
    Acknowledgment { application_id: application.clone(), event_ids: vec![conversions::to_bytes(id.as_bytes())] }
}

fn fences(state: &PollingState) -> Fences {
    let fence = |(partition, (epoch, raised)): (&u32, &(u64, bool))| Fence {
        partition: *partition,
        epoch: *epoch,
        raised: *raised,
        raised_for_ms: 0,
    };
    Fences { fences: state.fences.iter().map(fence).collect(), store_date_ms: state.store_date_ms }
}

#[tonic::async_trait]
impl ConnectionPolling for FakePolling {
    type FencedAcknowledgmentsStream = BoxStream<'static, Result<AcknowledgmentChunk, Status>>;
    type ExportStream = BoxStream<'static, Result<ExportChunk, Status>>;

    async fn poll(&self, _: Request<feed::PollRequest>) -> Result<Response<feed::PollReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn acknowledge(&self, _: Request<AcknowledgeRequest>) -> Result<Response<AcknowledgeReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn read_fences(&self, _: Request<ReadFencesRequest>) -> Result<Response<Fences>, Status> {
        self.reached(|state| fences(state)).map(Response::new)
    }

    async fn raise_fences(&self, _: Request<RaiseFencesRequest>) -> Result<Response<Fences>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn replay(&self, _: Request<ReplayRequest>) -> Result<Response<ReplayReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn lower_fence(&self, request: Request<LowerFenceRequest>) -> Result<Response<Fence>, Status> {
        let LowerFenceRequest { partition, epoch } = request.into_inner();
        let lowered = self.reached(|state| {
            let fence = state.fences.entry(partition).or_default();
            if fence.0 == epoch {
                fence.1 = false;
                state.lowered.push((partition, epoch));
            }
            Fence { partition, epoch: state.fences[&partition].0, raised: state.fences[&partition].1, raised_for_ms: 0 }
        });
        lowered.map(Response::new)
    }

    async fn fenced_acknowledgments(
        &self,
        request: Request<FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        let partition = request.into_inner().partition;
        let log = self.reached(|state| {
            let log = state.fenced.get(&partition).cloned().unwrap_or_default();
            (log, state.fence_log_unreadable)
        })?;
        let mut chunks: Vec<Result<AcknowledgmentChunk, Status>> =
            log.0.iter().map(|one| Ok(AcknowledgmentChunk { acknowledgments: vec![acknowledgment(one)] })).collect();
        if log.1 {
            chunks.push(Err(Status::unavailable("torn")));
        }
        Ok(Response::new(stream::iter(chunks).boxed()))
    }

    async fn export(&self, request: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let chunks = self.reached(|state| {
            state.exports += 1;
            state.exported = request.into_inner().partitions;
            if state.exports_fail {
                return vec![Err(Status::unavailable("torn"))];
            }
            // Acknowledgments first: whoever imports must not need the other order.
            let acknowledgments = ExportChunk {
                acknowledgments: state.acknowledged.iter().map(acknowledgment).collect(),
                ..ExportChunk::default()
            };
            let events = state.events.chunks(3).map(|events| ExportChunk {
                events: events.iter().map(conversions::event_to_wire).collect(),
                ..ExportChunk::default()
            });
            std::iter::once(acknowledgments).chain(events).map(Ok).collect::<Vec<_>>()
        });
        Ok(Response::new(stream::iter(chunks?).boxed()))
    }
}

/// What the fake core holds.
#[derive(Default)]
pub struct CoreState {
    pub events: Vec<FeedEvent>,
    pub orders: BTreeMap<OrderId, GetOrderReply>,
    pub asked_for_events: u32,
}

/// A gateway-core whose store is this value.
#[derive(Clone, Default)]
pub struct FakeCore {
    pub state: Arc<Mutex<CoreState>>,
}

impl FakeCore {
    pub fn transport(&self) -> Transport {
        transport::local(GatewayCoreServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl GatewayCore for FakeCore {
    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn act(&self, _: Request<ActRequest>) -> Result<Response<ActReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderReply>, Status> {
        let order = conversions::order_id(&request.into_inner().order_id)?;
        let found = self.state.lock().orders.get(&order).cloned();
        found.map(Response::new).ok_or_else(|| Status::not_found("unknown"))
    }

    async fn events_of_order(
        &self,
        request: Request<EventsOfOrderRequest>,
    ) -> Result<Response<EventsOfOrderReply>, Status> {
        let EventsOfOrderRequest { order_id, from_sequence, to_sequence } = request.into_inner();
        let order = conversions::order_id(&order_id)?;
        let mut state = self.state.lock();
        state.asked_for_events += 1;
        let asked = state
            .events
            .iter()
            .filter(|event| event.order == order && (from_sequence..=to_sequence).contains(&event.sequence));
        Ok(Response::new(EventsOfOrderReply { events: asked.map(conversions::event_to_wire).collect() }))
    }

    async fn get_evidence(&self, _: Request<GetEvidenceRequest>) -> Result<Response<GetEvidenceReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn erase_order(&self, _: Request<EraseOrderRequest>) -> Result<Response<EraseOrderReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }

    async fn report_serving(&self, _: Request<ReportServingRequest>) -> Result<Response<ReportServingReply>, Status> {
        Err(Status::unimplemented("not asked by order-events"))
    }
}
