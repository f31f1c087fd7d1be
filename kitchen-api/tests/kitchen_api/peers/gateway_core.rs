//! The scripted gateway-core, behind its real gRPC service: has the orders that it is given, and takes any action on them.
//!
//! It knows no lifecycle: what an order's state makes of an action is judged by the tests of the real platform.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use order_model::{EvidenceId, MerchantId, OrderId};
use parking_lot::Mutex;
use proto::conversions;
use proto::gateway_core as core;
use proto::gateway_core::gateway_core_server::GatewayCore;
use tonic::{Request, Response, Status};

use crate::peers::Served;
use crate::peers::submissions::Submissions;

/// gateway-core.
#[derive(Default)]
pub struct Core {
    pub orders: Mutex<HashMap<OrderId, core::GetOrderReply>>,
    pub acts: Mutex<Vec<core::ActRequest>>,
    /// Which order has which dispute.
    pub disputes: Mutex<HashMap<String, OrderId>>,
    /// The files that came with disputes.
    pub evidence: Mutex<HashMap<(OrderId, EvidenceId), core::GetEvidenceReply>>,
    /// What is wrong with the terms of every action.
    pub objection: Mutex<core::Objection>,
    /// What every action commits.
    pub event_ids: Mutex<Vec<Bytes>>,
    pub conflict: Mutex<Option<core::Conflict>>,
    pub down: AtomicBool,
    pub hangs: AtomicBool,
    pub serving_reports: AtomicU32,
    /// Calls of any other kind.
    pub calls: AtomicU32,
    pub submissions: Submissions,
}

impl Core {
    pub fn put(&self, order: OrderId, merchant: MerchantId, body: &'static str) {
        let reply = core::GetOrderReply {
            merchant_id: conversions::to_bytes(merchant.as_bytes()),
            body: Bytes::from_static(body.as_bytes()),
            state: "PLACED".to_owned(),
            version: 1,
            order_id: conversions::to_bytes(order.as_bytes()),
            position: None,
            last_sequence: 1,
            cancellation_reasons: vec![core::CancellationReason {
                code: "501".to_owned(),
                description: "PROBLEMAS DE SISTEMA".to_owned(),
            }],
        };
        self.orders.lock().insert(order, reply);
    }

    async fn called(&self) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.up().await
    }

    async fn up(&self) -> Result<(), Status> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.down.load(Ordering::SeqCst) { Err(Status::unavailable("secret detail of a peer")) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl GatewayCore for Served<Core> {
    async fn submit(&self, request: Request<core::SubmitRequest>) -> Result<Response<core::SubmitReply>, Status> {
        self.0.called().await?;
        self.0.take_submission(request.into_inner()).map(Response::new)
    }

    async fn act(&self, request: Request<core::ActRequest>) -> Result<Response<core::ActReply>, Status> {
        self.0.called().await?;
        self.0.acts.lock().push(request.into_inner());
        self.0.submissions.pass_gate().await;
        let objection = (*self.0.objection.lock()).into();
        Ok(Response::new(core::ActReply {
            conflict: self.0.conflict.lock().clone(),
            objection,
            event_ids: self.0.event_ids.lock().clone(),
        }))
    }

    async fn get_order(
        &self,
        request: Request<core::GetOrderRequest>,
    ) -> Result<Response<core::GetOrderReply>, Status> {
        self.0.called().await?;
        let request = request.into_inner();
        let unknown = || Status::not_found("no such order");
        let order = match request.dispute_id.as_str() {
            "" => conversions::order_id(&request.order_id)?,
            dispute => *self.0.disputes.lock().get(dispute).ok_or_else(unknown)?,
        };
        let found = self.0.orders.lock().get(&order).cloned();
        found.map(Response::new).ok_or_else(unknown)
    }

    async fn get_evidence(
        &self,
        request: Request<core::GetEvidenceRequest>,
    ) -> Result<Response<core::GetEvidenceReply>, Status> {
        self.0.called().await?;
        let request = request.into_inner();
        let wanted = (conversions::order_id(&request.order_id)?, conversions::evidence_id(&request.evidence_id)?);
        let found = self.0.evidence.lock().get(&wanted).cloned();
        found.map(Response::new).ok_or_else(|| Status::not_found("no such evidence"))
    }

    async fn events_of_order(
        &self,
        _: Request<core::EventsOfOrderRequest>,
    ) -> Result<Response<core::EventsOfOrderReply>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn erase_order(
        &self,
        _: Request<core::EraseOrderRequest>,
    ) -> Result<Response<core::EraseOrderReply>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn report_serving(
        &self,
        _: Request<core::ReportServingRequest>,
    ) -> Result<Response<core::ReportServingReply>, Status> {
        self.0.up().await?;
        self.0.serving_reports.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(core::ReportServingReply::default()))
    }
}
