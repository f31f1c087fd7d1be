//! Calls of gateway-core and merchant-connection: a deadline on each, its latency measured, its failure made ours.
//!
//! Used by `orders`, `merchants` and the service's loop that reports serving. What a peer says about a failure is logged once per
//! episode and never shown to a client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::Histogram;
use order_model::{MerchantId, SharedClock};
use proto::conversions::to_bytes;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::gateway_core::{
    ActReply, ActRequest, GetEvidenceReply, GetEvidenceRequest, GetOrderReply, GetOrderRequest, ReportServingRequest,
    SubmitReply, SubmitRequest,
};
use proto::merchant_connection::{
    GetMerchantsReply, GetMerchantsRequest, HistoryReply, HistoryRequest, LookupRequest, Merchant, MerchantPresence,
    PresenceRequest, PutRefusal,
};
use proto::transport::Transport;
use tonic::{Code, Response, Status};

use crate::presence::{Node, PresenceNodes};

/// The largest answer we take: an order is at most 192 KiB, and `merchants` asks for as few as fit.
const MESSAGE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why another service did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no such order or merchant.
    #[error("not found")]
    NotFound,
    /// The service says that the request is wrong.
    #[error("refused as invalid")]
    Invalid,
    /// No answer, or one that says "not now". Worth repeating.
    #[error("not available")]
    Unavailable,
}

/// One operation of one dependency, measured by outcome.
struct Operation {
    name: &'static str,
    dependency: &'static str,
    ok: Histogram,
    refused: Histogram,
    unavailable: Histogram,
    failing: AtomicBool,
    clock: SharedClock,
    timeout: Duration,
}

impl Operation {
    fn new(dependency: &'static str, name: &'static str, clock: &SharedClock, timeout: Duration) -> Self {
        let histogram = |outcome| {
            metrics::histogram!("comanda_dependency_seconds",
                "dependency" => dependency, "operation" => name, "outcome" => outcome)
        };
        Self {
            name,
            dependency,
            ok: histogram("ok"),
            refused: histogram("refused"),
            unavailable: histogram("error"),
            failing: AtomicBool::new(false),
            clock: clock.clone(),
            timeout,
        }
    }

    async fn run<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, CallError> {
        let started_at = self.clock.monotonic();
        let answer = tokio::time::timeout(self.timeout, call).await;
        let (outcome, result) = match answer {
            Ok(Ok(response)) => (&self.ok, Ok(response.into_inner())),
            Ok(Err(status)) if status.code() == Code::NotFound => (&self.refused, Err(CallError::NotFound)),
            Ok(Err(status)) if status.code() == Code::InvalidArgument => (&self.refused, Err(CallError::Invalid)),
            Ok(Err(status)) => {
                self.note_failure(status.code().description());
                (&self.unavailable, Err(CallError::Unavailable))
            }
            Err(_elapsed) => {
                self.note_failure("no answer in time");
                (&self.unavailable, Err(CallError::Unavailable))
            }
        };
        outcome.record(self.clock.monotonic().saturating_sub(started_at).as_secs_f64());
        if result.is_ok() && self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(dependency = self.dependency, operation = self.name, "answers again");
        }
        result
    }

    fn note_failure(&self, reason: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(dependency = self.dependency, operation = self.name, reason, "does not answer");
        }
    }
}

/// gateway-core.
pub(crate) struct Core {
    client: GatewayCoreClient<Transport>,
    get_order: Operation,
    get_evidence: Operation,
    act: Operation,
    submit: Operation,
    report_serving: Operation,
}

impl Core {
    pub(crate) fn new(transport: Transport, clock: &SharedClock, timeout: Duration) -> Self {
        let operation = |name| Operation::new("gateway-core", name, clock, timeout);
        Self {
            client: GatewayCoreClient::new(transport).max_decoding_message_size(MESSAGE_MAX_BYTES),
            get_order: operation("GetOrder"),
            get_evidence: operation("GetEvidence"),
            act: operation("Act"),
            submit: operation("Submit"),
            report_serving: operation("ReportServing"),
        }
    }

    pub(crate) async fn get_order(&self, request: GetOrderRequest) -> Result<GetOrderReply, CallError> {
        self.get_order.run(self.client.clone().get_order(request)).await
    }

    /// A file that came with a dispute of an order.
    pub(crate) async fn get_evidence(&self, request: GetEvidenceRequest) -> Result<GetEvidenceReply, CallError> {
        self.get_evidence.run(self.client.clone().get_evidence(request)).await
    }

    pub(crate) async fn act(&self, request: ActRequest) -> Result<ActReply, CallError> {
        self.act.run(self.client.clone().act(request)).await
    }

    /// Has the core commit what an internal app would report; answered after its commit.
    pub(crate) async fn submit(&self, request: SubmitRequest) -> Result<SubmitReply, CallError> {
        self.submit.run(self.client.clone().submit(request)).await
    }

    pub(crate) async fn report_serving(&self, instance: &str) -> Result<(), CallError> {
        let request = ReportServingRequest { instance: instance.to_owned() };
        self.report_serving.run(self.client.clone().report_serving(request)).await.map(|_| ())
    }
}

/// merchant-connection.
pub(crate) struct Merchants {
    nodes: PresenceNodes,
    get_merchants: Operation,
    lookup: Operation,
    put_merchant: Operation,
    presence: Operation,
    history: Operation,
}

impl Merchants {
    pub(crate) fn new(nodes: PresenceNodes, clock: &SharedClock, timeout: Duration) -> Self {
        let operation = |name| Operation::new("merchant-connection", name, clock, timeout);
        Self {
            nodes,
            get_merchants: operation("GetMerchants"),
            lookup: operation("Lookup"),
            put_merchant: operation("PutMerchant"),
            presence: operation("Presence"),
            history: operation("History"),
        }
    }

    pub(crate) async fn get_merchants(&self, request: GetMerchantsRequest) -> Result<GetMerchantsReply, CallError> {
        self.get_merchants.run(self.nodes.any_client().get_merchants(request)).await
    }

    /// The merchant of an id of either kind; `NotFound` when there is none.
    pub(crate) async fn lookup(&self, request: LookupRequest) -> Result<Merchant, CallError> {
        self.lookup.run(self.nodes.any_client().lookup(request)).await
    }

    /// Puts a profile in the place of the version that was read. A call that was carried out and sent again is answered
    /// with `Overtaken`.
    pub(crate) async fn put_merchant(&self, merchant: Merchant) -> Result<PutRefusal, CallError> {
        let reply = self.put_merchant.run(self.nodes.any_client().put_merchant(merchant)).await?;
        // A refusal that we do not know is one all the same.
        PutRefusal::try_from(reply.refusal).map_err(|_| CallError::Unavailable)
    }

    /// Transitions of one merchant, newest first, from the table that every node reads.
    pub(crate) async fn history(&self, request: HistoryRequest) -> Result<HistoryReply, CallError> {
        self.history.run(self.nodes.any_client().history(request)).await
    }

    /// The presence of one merchant, from the leader of its partition; a hint of who that is is followed once.
    pub(crate) async fn presence(&self, merchant: MerchantId) -> Result<MerchantPresence, CallError> {
        let partition = [self.nodes.partition_of(merchant)];
        let (node, _) = self.nodes.route(&partition).pop().ok_or(CallError::Unavailable)?;
        if let Some(presence) = self.presence_at(&node, merchant).await? {
            return Ok(presence);
        }
        let (leader, _) = self.nodes.route_on(&node, &partition).pop().ok_or(CallError::Unavailable)?;
        self.presence_at(&leader, merchant).await?.ok_or(CallError::Unavailable)
    }

    /// The presence as one node knows it; `None` where it refuses.
    async fn presence_at(&self, node: &Node, merchant: MerchantId) -> Result<Option<MerchantPresence>, CallError> {
        let merchant_ids = vec![to_bytes(merchant.as_bytes())];
        let request = PresenceRequest { merchant_ids, with_last_change: false };
        match self.presence.run(node.client().presence(request)).await {
            Ok(reply) => {
                self.nodes.learn(node, reply.node, &reply.leaders);
                Ok(reply.presences.into_iter().find(|presence| *presence.merchant_id == *merchant.as_bytes()))
            }
            Err(error) => {
                if matches!(error, CallError::Unavailable) {
                    self.nodes.is_unreachable(node);
                }
                Err(error)
            }
        }
    }
}
