//! What the tests stand on: a running agent between two queues in memory and a fake core.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gateway_agent::{Config, Dependencies, Error, Handle, Service};
use message_bus::in_memory::InMemoryQueue;
use message_bus::{OutgoingMessage, Queue, ReceivedMessage};
use order_model::{Clock, Timestamp};
use parking_lot::Mutex;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::gateway_core::{self as wire, submit_request::Content};
use proto::transport;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

pub const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Tokio's clock as ours.
pub struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        "2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap().plus(self.start.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A running agent.
pub struct Bed {
    pub orders: Arc<InMemoryQueue>,
    pub dead_letters: Arc<InMemoryQueue>,
    pub core: Core,
    pub handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

impl Bed {
    pub fn start() -> Self {
        Self::start_with(Config::default())
    }

    pub fn start_with(config: Config) -> Self {
        let clock = Arc::new(TokioClock { start: Instant::now() });
        let unix_ms = {
            let clock = Arc::clone(&clock);
            move || clock.now().unix_ms()
        };
        let dead_letters = Arc::new(InMemoryQueue::new("orders-dlq"));
        let orders =
            InMemoryQueue::new("orders").with_clock(unix_ms).with_dead_letters(Arc::clone(&dead_letters), 1000);
        let (orders, core) = (Arc::new(orders), Core::default());
        let dependencies = Dependencies {
            clock,
            orders: orders.clone(),
            dead_letters: dead_letters.clone(),
            core: GatewayCoreClient::new(transport::local(GatewayCoreServer::new(core.clone()))),
        };
        let service = Service::build(config, dependencies).unwrap();
        let (handle, shutdown) = (service.handle(), CancellationToken::new());
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { orders, dead_letters, core, handle, shutdown, running }
    }

    pub async fn send(&self, bodies: impl IntoIterator<Item = String>) {
        let attributes = BTreeMap::from([("traceparent".to_owned(), TRACEPARENT.to_owned())]);
        let message = |body| OutgoingMessage { body, attributes: attributes.clone() };
        for result in self.orders.send(bodies.into_iter().map(message).collect()).await {
            result.unwrap();
        }
    }

    /// Everything that is in the dead-letter queue now and was not looked at before.
    pub async fn dead_letters(&self) -> Vec<ReceivedMessage> {
        let mut all = Vec::new();
        loop {
            let hour = Duration::from_secs(3600);
            let batch = self.dead_letters.receive(10, Duration::ZERO, hour).await.unwrap();
            if batch.is_empty() {
                return all;
            }
            all.extend(batch);
        }
    }

    /// How many messages the orders queue holds, hidden or not.
    pub async fn left(&self) -> u64 {
        let depth = self.orders.depth().await.unwrap();
        depth.visible + depth.in_flight
    }

    pub async fn until_empty(&self) {
        eventually("the queue is empty", async || self.left().await == 0).await;
    }

    /// Ends the agent; how long it took.
    pub async fn stop(self) -> Duration {
        let started = Instant::now();
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
        assert!(self.handle.readiness().is_err());
        started.elapsed()
    }
}

/// Waits, at most two hours of paused time.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(7200);
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A gateway-core that keeps orders in memory and fails when told to.
#[derive(Clone, Default)]
pub struct Core {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    orders: HashSet<Vec<u8>>,
    committed: HashSet<(String, String)>,
    calls: HashMap<String, u32>,
    requests: Vec<wire::SubmitRequest>,
    down: bool,
    failing: HashMap<String, Code>,
    hanging: bool,
}

impl Core {
    pub fn set_down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// Answers every call never.
    pub fn hang(&self) {
        self.state.lock().hanging = true;
    }

    /// Fails this message always; `DeadlineExceeded` never answers it.
    pub fn fail(&self, message_id: &str, code: Code) {
        self.state.lock().failing.insert(message_id.to_owned(), code);
    }

    pub fn heal(&self, message_id: &str) {
        self.state.lock().failing.remove(message_id);
    }

    pub fn calls(&self, message_id: &str) -> u32 {
        self.state.lock().calls.get(message_id).copied().unwrap_or_default()
    }

    pub fn calls_of_all(&self) -> usize {
        self.state.lock().requests.len()
    }

    pub fn committed(&self) -> usize {
        self.state.lock().committed.len()
    }

    pub fn requests(&self) -> Vec<wire::SubmitRequest> {
        self.state.lock().requests.clone()
    }

    async fn judge(&self, request: wire::SubmitRequest) -> Result<wire::SubmitReply, Status> {
        let (hanging, down, failure) = {
            let state = &mut *self.state.lock();
            *state.calls.entry(request.message_id.clone()).or_default() += 1;
            state.requests.push(request.clone());
            (state.hanging, state.down, state.failing.get(&request.message_id).copied())
        };
        if down {
            return Err(Status::unavailable("down"));
        }
        if hanging || failure == Some(Code::DeadlineExceeded) {
            std::future::pending::<()>().await;
        }
        if let Some(code) = failure {
            return Err(Status::new(code, "CANARY in a status"));
        }
        Ok(self.commit(request))
    }

    fn commit(&self, request: wire::SubmitRequest) -> wire::SubmitReply {
        let state = &mut *self.state.lock();
        let rejected = |reason: &str, may_become_legal| wire::SubmitReply {
            outcome: wire::Outcome::Rejected.into(),
            rejection: Some(wire::Rejection { reason: reason.into(), detail: "because".into(), may_become_legal }),
            ..Default::default()
        };
        if request.message_id.starts_with("illegal") {
            return rejected("ILLEGAL_TRANSITION", false);
        }
        let key = (request.source, request.message_id);
        if state.committed.contains(&key) {
            return wire::SubmitReply { outcome: wire::Outcome::Repeated.into(), ..Default::default() };
        }
        match request.content.unwrap() {
            Content::Place(place) => {
                state.orders.insert(place.order_id.to_vec());
            }
            Content::Update(update) if !state.orders.contains(update.order_id.as_ref()) => {
                return rejected("UNKNOWN_ORDER", false);
            }
            Content::Update(_) => {}
        }
        state.committed.insert(key);
        wire::SubmitReply { outcome: wire::Outcome::Committed.into(), ..Default::default() }
    }
}

#[tonic::async_trait]
impl GatewayCore for Core {
    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitReply>, Status> {
        self.judge(request.into_inner()).await.map(Response::new)
    }

    async fn act(&self, _: Request<wire::ActRequest>) -> Result<Response<wire::ActReply>, Status> {
        Err(Status::unimplemented("act"))
    }

    async fn get_order(&self, _: Request<wire::GetOrderRequest>) -> Result<Response<wire::GetOrderReply>, Status> {
        Err(Status::unimplemented("get_order"))
    }

    async fn events_of_order(
        &self,
        _: Request<wire::EventsOfOrderRequest>,
    ) -> Result<Response<wire::EventsOfOrderReply>, Status> {
        Err(Status::unimplemented("events_of_order"))
    }

    async fn get_evidence(
        &self,
        _: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceReply>, Status> {
        Err(Status::unimplemented("get_evidence"))
    }

    async fn erase_order(
        &self,
        _: Request<wire::EraseOrderRequest>,
    ) -> Result<Response<wire::EraseOrderReply>, Status> {
        Err(Status::unimplemented("erase_order"))
    }

    async fn report_serving(
        &self,
        _: Request<wire::ReportServingRequest>,
    ) -> Result<Response<wire::ReportServingReply>, Status> {
        Err(Status::unimplemented("report_serving"))
    }
}

/// The id of the n-th order.
pub fn order_id(number: u32) -> String {
    format!("5f0c2a4e-6a0e-4f5e-9d57-{number:012}")
}

/// A message that places the n-th order; its id is `order-<n>`.
pub fn order(number: u32) -> String {
    let id = order_id(number);
    format!(
        r#"{{"id":"order-{number}","type":"ORDER_PLACED","source":"app","occurredAt":"2026-11-20T12:00:00Z","order":{{"id":"{id}","displayId":"1","orderType":"TAKEOUT",
 "createdAt":"2026-11-20T12:00:00Z","merchant":{{"id":"00000000-0000-4000-8000-000000000001"}},"customer":{{"name":"CANARY"}},
 "items":[{{"name":"Pizza","quantity":1,"unitPrice":30.0,"totalPrice":30.0,"observations":"CANARY"}}],"total":{{"orderAmount":30.0}},
 "takeout":{{"takeoutDateTime":"2026-11-20T12:30:00Z"}}}}}}"#
    )
}

/// A message that concludes the n-th order.
pub fn update(message_id: &str, number: u32) -> String {
    let id = order_id(number);
    format!(
        r#"{{"id":"{message_id}","type":"CON","source":"app","occurredAt":"2026-11-20T12:00:00Z","orderId":"{id}","metadata":{{"CODE":"CANARY"}}}}"#
    )
}
