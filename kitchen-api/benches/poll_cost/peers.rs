//! A connection-polling that holds nothing: no event is pending, no fence was ever raised.

use futures::stream::{self, BoxStream, StreamExt};
use order_model::SharedClock;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::connection_polling::{
    AcknowledgeReply, AcknowledgeRequest, AcknowledgmentChunk, ExportChunk, ExportRequest, Fence,
    FencedAcknowledgmentsRequest, Fences, LowerFenceRequest, RaiseFencesRequest, ReadFencesRequest, ReplayReply,
    ReplayRequest,
};
use proto::feed::{PollReply, PollRequest};
use proto::transport::{Transport, local};
use tonic::{Request, Response, Status};

#[derive(Clone)]
struct NothingPending {
    clock: SharedClock,
}

/// How it is reached.
pub fn nothing_pending(clock: SharedClock) -> Transport {
    local(ConnectionPollingServer::new(NothingPending { clock }))
}

#[tonic::async_trait]
impl ConnectionPolling for NothingPending {
    type FencedAcknowledgmentsStream = BoxStream<'static, Result<AcknowledgmentChunk, Status>>;
    type ExportStream = BoxStream<'static, Result<ExportChunk, Status>>;

    async fn poll(&self, _: Request<PollRequest>) -> Result<Response<PollReply>, Status> {
        Ok(Response::new(PollReply::default()))
    }

    async fn acknowledge(&self, _: Request<AcknowledgeRequest>) -> Result<Response<AcknowledgeReply>, Status> {
        Ok(Response::new(AcknowledgeReply::default()))
    }

    async fn read_fences(&self, _: Request<ReadFencesRequest>) -> Result<Response<Fences>, Status> {
        Ok(Response::new(Fences { store_date_ms: self.clock.now().unix_ms(), ..Fences::default() }))
    }

    async fn raise_fences(&self, _: Request<RaiseFencesRequest>) -> Result<Response<Fences>, Status> {
        Err(Status::unimplemented("nobody acknowledges"))
    }

    async fn replay(&self, _: Request<ReplayRequest>) -> Result<Response<ReplayReply>, Status> {
        Err(Status::unimplemented("nobody replays"))
    }

    async fn lower_fence(&self, request: Request<LowerFenceRequest>) -> Result<Response<Fence>, Status> {
        let LowerFenceRequest { partition, epoch } = request.into_inner();
        Ok(Response::new(Fence { partition, epoch, ..Fence::default() }))
    }

    async fn fenced_acknowledgments(
        &self,
        _: Request<FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn export(&self, _: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }
}
