//! Both sides of the feed, scripted: a primary in this process, and a connection-polling behind its real gRPC service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_feed::{AuthorisedMerchants, FeedEvent, GrantedMerchant, TraceId};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use order_model::{
    ApplicationId, Clock, EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, PartitionCount,
    PartitionId, RoutingHash, Timestamp,
};
use parking_lot::Mutex;
use proto::connection_polling as wire;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::{conversions, feed};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::feed::{
    CachedOrder, FeedConfig, FeedDependencies, FeedRouter, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal,
    Refused, SharedRandom,
};

const START_MS: i64 = 1_795_000_000_000;

/// A clock that follows the runtime's time, paused or not.
pub struct RuntimeClock {
    start: Instant,
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(START_MS).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        // Not zero at the start: an instant of zero is no special case.
        Duration::from_secs(1) + self.start.elapsed()
    }
}

pub fn clock() -> Arc<RuntimeClock> {
    Arc::new(RuntimeClock { start: Instant::now() })
}

pub fn random() -> SharedRandom {
    Arc::new(Mutex::new(StdRng::seed_from_u64(7)))
}

pub fn key() -> EventIdKey {
    EventIdKey::from_bytes([7; 16])
}

pub fn application() -> ApplicationId {
    "dev-pos".parse().unwrap()
}

/// The `nth` merchant that lives in `partition`.
pub fn merchant_in(partition: u16, nth: usize) -> MerchantId {
    (0u128..)
        .map(|number| MerchantId::from_bytes(number.to_be_bytes()))
        .filter(|merchant| RoutingHash::of(*merchant).partition(PartitionCount::DEFAULT) == PartitionId(partition))
        .nth(nth)
        .unwrap()
}

pub fn authorised(merchants: &[MerchantId]) -> AuthorisedMerchants {
    let granted =
        |merchant: &MerchantId| GrantedMerchant { merchant: *merchant, visible_from: Timestamp::from_unix_ms(0) };
    AuthorisedMerchants::vouched_for_by_peer(application(), merchants.iter().map(granted).collect())
}

/// The first event of order `order`, created `age_ms` before the tests' time starts.
pub fn event(merchant: MerchantId, order: u8, age_ms: u64) -> FeedEvent {
    let created_at = Timestamp::from_unix_ms(START_MS).minus(Duration::from_millis(age_ms));
    let order = OrderId::from_bytes([order; 16]);
    FeedEvent {
        id: EventId::derive(&key(), created_at, merchant, order, 1),
        order,
        merchant,
        code: EventCode::Placed,
        category: EventCategory::Food,
        sequence: 1,
        created_at,
        expires_at: created_at.plus(Duration::from_secs(8 * 3600)),
        trace: TraceId::default(),
        body: Bytes::from_static(b"{\"code\":\"PLC\"}"),
    }
}

/// How the primary behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    Answer,
    Refuse(Vec<(u16, Refusal)>),
    Hang,
    Fail,
}

#[derive(Debug)]
pub struct PrimaryState {
    pub polls: Behaviour,
    pub acknowledgments: Behaviour,
    /// Whether it lives in this process.
    pub is_local: bool,
    pub events: Vec<FeedEvent>,
    pub hidden: Vec<EventId>,
    pub applied: BTreeSet<EventId>,
    pub cached: Option<CachedOrder>,
    /// Merchants of every poll, with `fallback_unreachable` and `shadow`.
    pub asked: Vec<(Vec<MerchantId>, bool, bool)>,
    /// Ids of every acknowledgment.
    pub told: Vec<Vec<EventId>>,
}

pub struct FakePrimary {
    pub state: Mutex<PrimaryState>,
}

impl FakePrimary {
    pub fn new(events: Vec<FeedEvent>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(PrimaryState {
                polls: Behaviour::Answer,
                acknowledgments: Behaviour::Answer,
                is_local: false,
                events,
                hidden: Vec::new(),
                applied: BTreeSet::new(),
                cached: None,
                asked: Vec::new(),
                told: Vec::new(),
            }),
        })
    }

    fn outcome(&self, query: &PollQuery<'_>) -> Option<Result<PollOutcome, PrimaryError>> {
        let mut state = self.state.lock();
        let merchants: Vec<MerchantId> = query.authorised.merchants().iter().map(|granted| granted.merchant).collect();
        state.asked.push((merchants.clone(), query.fallback_unreachable, query.shadow));
        let refused = match &state.polls {
            Behaviour::Answer => Vec::new(),
            Behaviour::Refuse(refused) => refused.clone(),
            Behaviour::Hang => return None,
            Behaviour::Fail => return Some(Err(PrimaryError::Disconnected)),
        };
        let refused: Vec<Refused> = refused
            .into_iter()
            .filter(|(_, refusal)| !(query.fallback_unreachable && *refusal == Refusal::FenceUnreadable))
            .map(|(partition, refusal)| Refused { partition: PartitionId(partition), refusal })
            .collect();
        let is_refused = |merchant: MerchantId| {
            refused
                .iter()
                .any(|refused| refused.partition == RoutingHash::of(merchant).partition(PartitionCount::DEFAULT))
        };
        let is_shown = |event: &&FeedEvent| {
            merchants.contains(&event.merchant) && !is_refused(event.merchant) && !state.applied.contains(&event.id)
        };
        let events = state.events.iter().filter(is_shown).cloned().collect();
        Some(Ok(PollOutcome { events, hidden: state.hidden.clone(), refused, ..PollOutcome::default() }))
    }
}

impl PrimaryFeed for FakePrimary {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let is_local = self.state.lock().is_local;
        is_local.then(|| self.outcome(query).unwrap().unwrap())
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(async move {
            match self.outcome(&query) {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        })
    }

    fn acknowledge<'a>(
        &'a self,
        _application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            let behaviour = {
                let mut state = self.state.lock();
                state.told.push(ids.to_vec());
                state.acknowledgments.clone()
            };
            let refused = match behaviour {
                Behaviour::Answer => Vec::new(),
                Behaviour::Refuse(refused) => {
                    refused.into_iter().map(|(partition, _)| PartitionId(partition)).collect()
                }
                Behaviour::Hang => std::future::pending().await,
                Behaviour::Fail => return Err(PrimaryError::Disconnected),
            };
            let applied =
                ids.iter().filter(|id| !refused.contains(&id.routing_hash().partition(PartitionCount::DEFAULT)));
            self.state.lock().applied.extend(applied);
            Ok(refused)
        })
    }

    fn cached_order(&self, _order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(async move {
            let (behaviour, cached) = {
                let state = self.state.lock();
                (state.polls.clone(), state.cached.clone())
            };
            match behaviour {
                Behaviour::Answer | Behaviour::Refuse(_) => Ok(cached),
                Behaviour::Hang => std::future::pending().await,
                Behaviour::Fail => Err(PrimaryError::Disconnected),
            }
        })
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            let behaviour = self.state.lock().polls.clone();
            match behaviour {
                Behaviour::Answer => Ok(Vec::new()),
                Behaviour::Refuse(refused) => Ok(refused.into_iter().map(|(number, _)| PartitionId(number)).collect()),
                Behaviour::Hang => std::future::pending().await,
                Behaviour::Fail => Err(PrimaryError::Disconnected),
            }
        })
    }
}

#[derive(Debug, Default)]
pub struct StoreState {
    /// Every call fails: DynamoDB cannot be reached.
    pub is_down: bool,
    /// Every call takes this long first.
    pub delay: Duration,
    pub events: Vec<FeedEvent>,
    pub acknowledged: BTreeSet<EventId>,
    /// The fence log.
    pub logged: BTreeSet<EventId>,
    /// When each id was first written to it.
    pub logged_at: BTreeMap<EventId, Instant>,
    /// Epoch, and since when raised.
    pub fences: BTreeMap<u32, (u64, Option<Instant>)>,
    /// Every raise: partition, when, and when it was lowered again.
    pub raises: Vec<(u32, Instant, Option<Instant>)>,
    /// Merchants of every poll, and whether it was a shadow.
    pub asked: Vec<(Vec<MerchantId>, bool)>,
    pub refuses: Vec<u32>,
    /// Names of all calls.
    pub calls: Vec<&'static str>,
}

/// connection-polling over a map instead of DynamoDB.
#[derive(Clone, Default)]
pub struct FakeStore {
    pub state: Arc<Mutex<StoreState>>,
}

impl FakeStore {
    pub fn new(events: Vec<FeedEvent>) -> Self {
        let store = Self::default();
        store.state.lock().events = events;
        store
    }

    pub fn transport(&self) -> proto::transport::Transport {
        proto::transport::local(ConnectionPollingServer::new(self.clone()))
    }

    pub fn calls(&self, name: &str) -> usize {
        self.state.lock().calls.iter().filter(|call| **call == name).count()
    }

    async fn enter(&self, call: &'static str) -> Result<(), Status> {
        let delay = {
            let mut state = self.state.lock();
            state.calls.push(call);
            state.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.state.lock().is_down { Err(Status::unavailable("store")) } else { Ok(()) }
    }

    pub fn lower_fence(&self, partition: u32) {
        let mut state = self.state.lock();
        let Some((_, raised_at)) = state.fences.get_mut(&partition) else { return };
        if raised_at.take().is_some() {
            let raise = state.raises.iter_mut().rfind(|raise| raise.0 == partition).unwrap();
            raise.2 = Some(Instant::now());
        }
    }

    fn fence(&self, partition: u32) -> wire::Fence {
        let state = self.state.lock();
        let (epoch, raised_at) = state.fences.get(&partition).copied().unwrap_or_default();
        wire::Fence {
            partition,
            epoch,
            raised: raised_at.is_some(),
            raised_for_ms: raised_at.map_or(0, |at| i64::try_from(at.elapsed().as_millis()).unwrap()),
        }
    }
}

#[tonic::async_trait]
impl ConnectionPolling for FakeStore {
    async fn replay(&self, _: Request<wire::ReplayRequest>) -> Result<Response<wire::ReplayReply>, Status> {
        Err(Status::unimplemented("nobody replays"))
    }

    async fn poll(&self, request: Request<feed::PollRequest>) -> Result<Response<feed::PollReply>, Status> {
        self.enter("poll").await?;
        let request = request.into_inner();
        let authorised = conversions::authorised_from_wire(&request)?;
        let merchants: Vec<MerchantId> = authorised.merchants().iter().map(|granted| granted.merchant).collect();
        let mut state = self.state.lock();
        state.asked.push((merchants.clone(), request.shadow));
        let is_refused = |merchant: MerchantId| {
            state.refuses.contains(&u32::from(RoutingHash::of(merchant).partition(PartitionCount::DEFAULT).0))
        };
        let pending = state.events.iter().filter(|event| {
            merchants.contains(&event.merchant)
                && !is_refused(event.merchant)
                && !state.acknowledged.contains(&event.id)
        });
        let refused =
            |partition: &u32| feed::RefusedPartition { partition: *partition, reason: 3, ..Default::default() };
        let events = pending.map(conversions::event_to_wire).collect();
        let refused = state.refuses.iter().map(refused).collect();
        Ok(Response::new(feed::PollReply { events, refused, ..feed::PollReply::default() }))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeReply>, Status> {
        let request = request.into_inner();
        self.enter(if request.without_leader { "log" } else { "acknowledge" }).await?;
        let ids = request.acknowledge.unwrap().event_ids;
        let ids: Vec<EventId> = ids.iter().map(|id| conversions::event_id(id).unwrap()).collect();
        let partitions: BTreeSet<u32> =
            ids.iter().map(|id| u32::from(id.routing_hash().partition(PartitionCount::DEFAULT).0)).collect();
        let mut state = self.state.lock();
        state.acknowledged.extend(&ids);
        if !request.without_leader {
            return Ok(Response::new(wire::AcknowledgeReply::default()));
        }
        state.logged.extend(&ids);
        // An id written again has been there all the time: whoever lowered the fence in between has read it.
        for id in &ids {
            state.logged_at.entry(*id).or_insert_with(Instant::now);
        }
        drop(state);
        let fences = partitions.into_iter().map(|partition| self.fence(partition)).collect();
        Ok(Response::new(wire::AcknowledgeReply { fences }))
    }

    async fn read_fences(&self, _: Request<wire::ReadFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        self.enter("read_fences").await?;
        let fences = (0..16).map(|partition| self.fence(partition)).collect();
        Ok(Response::new(wire::Fences { fences, store_date_ms: 0 }))
    }

    async fn raise_fences(&self, request: Request<wire::RaiseFencesRequest>) -> Result<Response<wire::Fences>, Status> {
        self.enter("raise_fences").await?;
        let partitions = request.into_inner().partitions;
        for partition in &partitions {
            let mut state = self.state.lock();
            let fence = state.fences.entry(*partition).or_default();
            if fence.1.is_none() {
                *fence = (fence.0 + 1, Some(Instant::now()));
                state.raises.push((*partition, Instant::now(), None));
            }
        }
        let fences = partitions.into_iter().map(|partition| self.fence(partition)).collect();
        Ok(Response::new(wire::Fences { fences, store_date_ms: 0 }))
    }

    async fn lower_fence(&self, _: Request<wire::LowerFenceRequest>) -> Result<Response<wire::Fence>, Status> {
        Err(Status::unimplemented("kitchen-api never lowers a fence"))
    }

    type FencedAcknowledgmentsStream = BoxStream<'static, Result<wire::AcknowledgmentChunk, Status>>;

    async fn fenced_acknowledgments(
        &self,
        _: Request<wire::FencedAcknowledgmentsRequest>,
    ) -> Result<Response<Self::FencedAcknowledgmentsStream>, Status> {
        Err(Status::unimplemented("kitchen-api never reads the fence log"))
    }

    type ExportStream = BoxStream<'static, Result<wire::ExportChunk, Status>>;

    async fn export(&self, _: Request<wire::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unimplemented("kitchen-api never exports"))
    }
}

/// A router over both fakes, its clock following the runtime's.
pub fn router(primary: &Arc<FakePrimary>, store: &FakeStore, shadow_ratio: f64) -> FeedRouter {
    let dependencies = FeedDependencies {
        primary: primary.clone(),
        fallback: store.transport(),
        event_id_key: key(),
        clock: clock(),
        random: random(),
    };
    FeedRouter::new(&FeedConfig { shadow_ratio, ..FeedConfig::default() }, dependencies)
}
