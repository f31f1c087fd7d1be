//! The gRPC door: each method reads its request, calls `core` and words the answer.
//!
//! Generated clients in this process and across the network come through here alike. Failures of dependencies are
//! UNAVAILABLE, never a rejection; they are logged once per method and episode here and nowhere below.

use std::error::Error as _;
use std::future::Future;

use order_model::EventId;
use proto::conversions::{self, event_to_wire, to_bytes};
use proto::gateway_core as wire;
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::transport::BoxedServer;
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use crate::acting::{acting, objection};
use crate::core::Outcome;
use crate::error::RequestError;
use crate::planning::Refusal;
use crate::service::Handle;
use crate::telemetry;
use crate::wire::{Content, Malformed, conflict, position, rejected, rejection, submitted};

/// The largest message either way: a page of events, or a body of 192 KiB with room to spare.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The gRPC server over `handle`.
pub fn grpc(handle: Handle) -> BoxedServer<GatewayCoreServer<Handle>> {
    let server = GatewayCoreServer::new(handle)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    BoxedServer::new(server)
}

/// Answers one request: measures it, and words its failure.
async fn answer<T>(
    endpoint: &'static str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Response<T>, Status> {
    let started = Instant::now();
    let result = work.await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(Failure::Status(_)) => "refused",
        Err(Failure::Request(_)) => "failed",
    };
    telemetry::request(endpoint, outcome, started);
    result.map(Response::new).map_err(|failure| match failure {
        Failure::Status(status) => status,
        Failure::Request(error) => status_of(endpoint, &error),
    })
}

/// Why a request has no answer.
enum Failure {
    Status(Status),
    Request(RequestError),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

fn status_of(endpoint: &'static str, error: &RequestError) -> Status {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let text = format!("{error}{cause}");
    if error.is_retryable() {
        // One line per failed request would be a flood in an outage; the reconcilers log the episode.
        tracing::debug!(endpoint, error = text, "request not answered");
        Status::unavailable(text)
    } else {
        tracing::error!(endpoint, error = text, "request failed for good");
        Status::internal(text)
    }
}

fn ids(ids: &[EventId]) -> Vec<bytes::Bytes> {
    ids.iter().map(|id| to_bytes(id.as_bytes())).collect()
}

fn submit_reply(outcome: wire::Outcome, event_ids: &[EventId]) -> wire::SubmitReply {
    wire::SubmitReply { outcome: outcome.into(), rejection: None, event_ids: ids(event_ids) }
}

fn rejected_reply(rejection: wire::Rejection, reason: &'static str) -> wire::SubmitReply {
    telemetry::rejected(reason);
    wire::SubmitReply { outcome: wire::Outcome::Rejected.into(), rejection: Some(rejection), event_ids: Vec::new() }
}

const fn reason_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownOrder => "UNKNOWN_ORDER",
        Refusal::IdReused => "ID_REUSED",
        Refusal::OrderExists => "ORDER_EXISTS",
        Refusal::DisputeExists => "DISPUTE_EXISTS",
        Refusal::Unpatchable | Refusal::TooMuchEvidence => "MALFORMED",
        Refusal::Illegal(_)
        | Refusal::AlreadyDone { .. }
        | Refusal::Conflict { .. }
        | Refusal::AlreadyErased
        | Refusal::Objected(_) => "ILLEGAL_TRANSITION",
    }
}

impl Handle {
    async fn submit_message(&self, request: wire::SubmitRequest) -> Result<wire::SubmitReply, Failure> {
        let _permit = self.core.admit()?;
        let (content, cause) = match submitted(request, &self.core.public_url)? {
            Ok(submitted) => submitted,
            Err(Malformed(field)) => {
                let detail = format!("{field} is missing or malformed");
                return Ok(rejected_reply(rejected("MALFORMED", &detail, false), "MALFORMED"));
            }
        };
        let outcome = match content {
            Content::Place(merchant, placement) => self.core.place(&merchant, placement, &cause).await?,
            Content::Update(order, command) => self.core.update(order, &command, &cause).await?,
        };
        Ok(match outcome {
            Outcome::Committed(ids) => submit_reply(wire::Outcome::Committed, &ids),
            Outcome::Repeated(ids) => submit_reply(wire::Outcome::Repeated, &ids),
            // Only an action checks a code.
            Outcome::WrongCode => submit_reply(wire::Outcome::Unspecified, &[]),
            Outcome::Refused(refusal) => rejected_reply(rejection(&refusal), reason_of(&refusal)),
            Outcome::UnknownMerchant => {
                rejected_reply(rejected("UNKNOWN_MERCHANT", "no merchant has this id", true), "UNKNOWN_MERCHANT")
            }
        })
    }

    async fn act_for_merchant(&self, request: wire::ActRequest) -> Result<wire::ActReply, Failure> {
        let _permit = self.core.admit()?;
        let acting = acting(&request)?;
        match self.core.act(acting.order, acting.merchant, &acting.asked, &acting.cause).await? {
            Outcome::Committed(done) | Outcome::Repeated(done) => {
                Ok(wire::ActReply { event_ids: ids(&done), ..wire::ActReply::default() })
            }
            Outcome::WrongCode => {
                Ok(wire::ActReply { objection: wire::Objection::WrongCode.into(), ..wire::ActReply::default() })
            }
            Outcome::Refused(Refusal::Objected(what)) => {
                Ok(wire::ActReply { objection: objection(what).into(), ..wire::ActReply::default() })
            }
            Outcome::Refused(refusal) => match conflict(&refusal) {
                Some(conflict) => Ok(wire::ActReply { conflict: Some(conflict), ..wire::ActReply::default() }),
                None => Err(not_found().into()),
            },
            Outcome::UnknownMerchant => Err(not_found().into()),
        }
    }

    async fn show_order(&self, request: wire::GetOrderRequest) -> Result<wire::GetOrderReply, Failure> {
        let _permit = self.core.admit()?;
        let order = match request.dispute_id.parse() {
            Ok(dispute) => self.core.order_of_dispute(&dispute).await?.ok_or_else(not_found)?,
            Err(_) => conversions::order_id(&request.order_id)?,
        };
        let shown = self.core.show(order).await?.ok_or_else(not_found)?;
        let reason = |code: &order_model::lifecycle::CancellationCode| wire::CancellationReason {
            code: code.code().to_owned(),
            description: code.description().to_owned(),
        };
        Ok(wire::GetOrderReply {
            merchant_id: to_bytes(shown.merchant.as_bytes()),
            body: shown.body,
            state: shown.state.to_owned(),
            version: i64::try_from(shown.version).unwrap_or(i64::MAX),
            order_id: to_bytes(order.as_bytes()),
            position: shown.position.map(position),
            last_sequence: shown.last_sequence,
            cancellation_reasons: shown.cancellation_codes.iter().map(reason).collect(),
        })
    }

    async fn show_evidence(&self, request: wire::GetEvidenceRequest) -> Result<wire::GetEvidenceReply, Failure> {
        let _permit = self.core.admit()?;
        let order = conversions::order_id(&request.order_id)?;
        let id = conversions::evidence_id(&request.evidence_id)?;
        let found = self.core.evidence(order, id).await?;
        let (merchant, evidence) = found.ok_or_else(|| Status::not_found("no such evidence"))?;
        Ok(wire::GetEvidenceReply {
            merchant_id: to_bytes(merchant.as_bytes()),
            content_type: evidence.content_type.name().to_owned(),
            content: evidence.content,
        })
    }

    async fn list_events(&self, request: wire::EventsOfOrderRequest) -> Result<wire::EventsOfOrderReply, Failure> {
        let _permit = self.core.admit()?;
        let order = conversions::order_id(&request.order_id)?;
        let events = self.core.events(order, request.from_sequence, request.to_sequence).await?;
        Ok(wire::EventsOfOrderReply { events: events.iter().map(event_to_wire).collect() })
    }

    async fn blank_order(&self, request: wire::EraseOrderRequest) -> Result<wire::EraseOrderReply, Failure> {
        let _permit = self.core.admit()?;
        match self.core.erase(conversions::order_id(&request.order_id)?).await? {
            Outcome::Committed(_) | Outcome::Repeated(_) => Ok(wire::EraseOrderReply { already_erased: false }),
            Outcome::Refused(Refusal::AlreadyErased) => Ok(wire::EraseOrderReply { already_erased: true }),
            Outcome::WrongCode | Outcome::Refused(_) | Outcome::UnknownMerchant => Err(not_found().into()),
        }
    }
}

fn not_found() -> Status {
    Status::not_found("no such order")
}

#[async_trait]
impl GatewayCore for Handle {
    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitReply>, Status> {
        answer("submit", self.submit_message(request.into_inner())).await
    }

    async fn act(&self, request: Request<wire::ActRequest>) -> Result<Response<wire::ActReply>, Status> {
        answer("act", self.act_for_merchant(request.into_inner())).await
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::GetOrderReply>, Status> {
        answer("get_order", self.show_order(request.into_inner())).await
    }

    async fn get_evidence(
        &self,
        request: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceReply>, Status> {
        answer("get_evidence", self.show_evidence(request.into_inner())).await
    }

    async fn events_of_order(
        &self,
        request: Request<wire::EventsOfOrderRequest>,
    ) -> Result<Response<wire::EventsOfOrderReply>, Status> {
        answer("events_of_order", self.list_events(request.into_inner())).await
    }

    async fn erase_order(
        &self,
        request: Request<wire::EraseOrderRequest>,
    ) -> Result<Response<wire::EraseOrderReply>, Status> {
        answer("erase_order", self.blank_order(request.into_inner())).await
    }

    async fn report_serving(
        &self,
        _request: Request<wire::ReportServingRequest>,
    ) -> Result<Response<wire::ReportServingReply>, Status> {
        let report = async { Ok(self.core.serving.report().await.map(|()| wire::ReportServingReply {})?) };
        answer("report_serving", report).await
    }
}
