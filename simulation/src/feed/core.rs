//! gateway-core, as far as order-events asks it: the events of an order. Orders themselves nobody asks for here.

use std::sync::Arc;

use proto::conversions;
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::gateway_core::{
    ActReply, ActRequest, EraseOrderReply, EraseOrderRequest, EventsOfOrderReply, EventsOfOrderRequest,
    GetEvidenceReply, GetEvidenceRequest, GetOrderReply, GetOrderRequest, ReportServingReply, ReportServingRequest,
    SubmitReply, SubmitRequest,
};
use proto::transport::{self, Transport};
use tonic::{Request, Response, Status};

use super::cloud::Cloud;
use crate::machine::Machine;

/// A core beside one machine.
#[derive(Clone)]
pub struct CoreModel {
    /// Where its orders are.
    pub cloud: Arc<Cloud>,
    /// Where it runs.
    pub machine: Arc<Machine>,
}

impl CoreModel {
    /// How that machine's services reach it.
    pub fn transport(self) -> Transport {
        transport::local(GatewayCoreServer::new(self))
    }
}

fn not_asked<R>() -> Result<Response<R>, Status> {
    Err(Status::unimplemented("nobody asks this here"))
}

#[tonic::async_trait]
impl GatewayCore for CoreModel {
    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitReply>, Status> {
        not_asked()
    }

    async fn act(&self, _: Request<ActRequest>) -> Result<Response<ActReply>, Status> {
        not_asked()
    }

    async fn get_order(&self, _: Request<GetOrderRequest>) -> Result<Response<GetOrderReply>, Status> {
        Err(Status::not_found("the model keeps no bodies"))
    }

    async fn events_of_order(
        &self,
        request: Request<EventsOfOrderRequest>,
    ) -> Result<Response<EventsOfOrderReply>, Status> {
        let EventsOfOrderRequest { order_id, from_sequence, to_sequence } = request.into_inner();
        let order = conversions::order_id(&order_id)?;
        let found = self.cloud.call(&self.machine, |tables, _| {
            let events = tables.committed.get(&order).into_iter().flatten();
            let asked = events.filter(|event| (from_sequence..=to_sequence).contains(&event.sequence));
            asked.map(conversions::event_to_wire).collect()
        });
        Ok(Response::new(EventsOfOrderReply { events: found.await? }))
    }

    async fn get_evidence(&self, _: Request<GetEvidenceRequest>) -> Result<Response<GetEvidenceReply>, Status> {
        not_asked()
    }

    async fn erase_order(&self, _: Request<EraseOrderRequest>) -> Result<Response<EraseOrderReply>, Status> {
        not_asked()
    }

    async fn report_serving(&self, _: Request<ReportServingRequest>) -> Result<Response<ReportServingReply>, Status> {
        not_asked()
    }
}
