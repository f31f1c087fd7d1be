//! Scripted peers: order-events in this process, and connection-polling, gateway-core and merchant-connection behind
//! their real gRPC services.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use kitchen_api::feed::{CachedOrder, News, PollOutcome, PollQuery, PrimaryError, PrimaryFeed};
use order_model::{
    ApplicationId, EventCategory, EventCode, EventId, EventIdKey, EvidenceId, MerchantId, OrderId, PartitionCount,
    PartitionId, Timestamp,
};
use parking_lot::Mutex;
use proto::connection_polling as fallback;
use proto::connection_polling::connection_polling_server::{ConnectionPolling, ConnectionPollingServer};
use proto::gateway_core as core;
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::merchant_connection as presence;
use proto::merchant_connection::merchant_connection_server::{MerchantConnection, MerchantConnectionServer};
use proto::transport::{Transport, local};
use proto::{conversions, feed};
use tonic::{Request, Response, Status};

use crate::histories::History;
use crate::replays::Replays;
use crate::submissions::Submissions;

pub fn event_id_key() -> EventIdKey {
    EventIdKey::from_bytes([7; 16])
}

pub fn event(merchant: MerchantId, order: u8, code: EventCode) -> FeedEvent {
    let created_at = Timestamp::from_unix_ms(1_795_000_000_000 + i64::from(order));
    let order = OrderId::from_bytes([order; 16]);
    let id = EventId::derive(&event_id_key(), created_at, merchant, order, 1);
    let body = format!(r#"{{"id":"{id}","code":"{}","orderId":"{order}","merchantId":"{merchant}"}}"#, code.code());
    FeedEvent {
        id,
        order,
        merchant,
        code,
        category: EventCategory::Food,
        sequence: 1,
        created_at,
        expires_at: Timestamp::MAX,
        trace: TraceId::default(),
        body: Bytes::from(body),
    }
}

/// order-events, and what both sides know.
#[derive(Default)]
pub struct Feed {
    pub events: Mutex<Vec<FeedEvent>>,
    pub acknowledged: Mutex<BTreeSet<(ApplicationId, EventId)>>,
    pub polls: AtomicU32,
    pub cached: Mutex<HashMap<OrderId, CachedOrder>>,
    pub down: AtomicBool,
    /// So many requests it takes and dies of, before it answers.
    pub dies_of: AtomicU32,
    /// It answers polls at once, as a feed of the same process does.
    pub local: AtomicBool,
    /// How often it has delivered what to whom.
    pub deliveries: Mutex<HashMap<(ApplicationId, EventId), u32>>,
    /// It tells no news, as one of an older version.
    pub tells_nothing: AtomicBool,
    /// Of every instance that asks it.
    news: Mutex<Vec<News>>,
}

impl Feed {
    pub fn acknowledged_by(&self, application: &str) -> Vec<EventId> {
        let acknowledged = self.acknowledged.lock();
        acknowledged.iter().filter(|(by, _)| by.as_str() == application).map(|(_, id)| *id).collect()
    }

    /// Something new, and whoever waits is told.
    pub fn publish(&self, event: FeedEvent) {
        let merchant = event.merchant;
        self.events.lock().push(event);
        if !self.tells_nothing.load(Ordering::SeqCst) {
            self.news.lock().iter().for_each(|news| news.tell(&[merchant]));
        }
    }

    async fn die(&self) -> Result<(), PrimaryError> {
        if !count_down(&self.dies_of) {
            return Ok(());
        }
        tokio::task::yield_now().await;
        Err(PrimaryError::Disconnected)
    }

    fn outcome(&self, query: &PollQuery<'_>) -> PollOutcome {
        let acknowledged = self.acknowledged.lock();
        let mut outcome = PollOutcome::default();
        let application = query.authorised.application();
        for event in self.events.lock().iter() {
            let granted = query.authorised.merchants().iter().any(|granted| granted.merchant == event.merchant);
            if !granted || acknowledged.contains(&(application.clone(), event.id)) {
                continue;
            }
            match query.filter.verdict(event) {
                event_feed::filter::Verdict::Show => outcome.events.push(event.clone()),
                event_feed::filter::Verdict::Hide => {}
                event_feed::filter::Verdict::HideAndAcknowledge => outcome.hidden.push(event.id),
            }
        }
        outcome.events.truncate(query.limit);
        self.count_deliveries(query, &mut outcome);
        outcome
    }

    /// As order-events does: the fiftieth delivery is a strike, a comparison read says how many there are.
    fn count_deliveries(&self, query: &PollQuery<'_>, outcome: &mut PollOutcome) {
        let mut deliveries = self.deliveries.lock();
        let mut count = |event: &FeedEvent, more: u32| {
            let count = deliveries.entry((query.authorised.application().clone(), event.id)).or_default();
            *count += more;
            *count
        };
        if query.shadow {
            let strikes = outcome.events.iter().filter(|event| count(event, 0) >= 50).count();
            outcome.strikes = Some(u32::try_from(strikes).unwrap());
            return;
        }
        outcome.struck = outcome.events.iter().filter(|event| count(event, 1) == 50).map(|event| event.id).collect();
    }
}

impl PrimaryFeed for Feed {
    fn bring_news(&self, news: &News) {
        self.news.lock().push(news.clone());
    }

    fn brings_all_news(&self) -> bool {
        !self.tells_nothing.load(Ordering::SeqCst) && !self.down.load(Ordering::SeqCst)
    }

    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let answers = self.local.load(Ordering::SeqCst) && !self.down.load(Ordering::SeqCst);
        answers.then(|| {
            self.polls.fetch_add(1, Ordering::SeqCst);
            self.outcome(query)
        })
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(PrimaryError::Disconnected);
            }
            self.polls.fetch_add(1, Ordering::SeqCst);
            self.die().await?;
            Ok(self.outcome(&query))
        })
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(PrimaryError::Disconnected);
            }
            self.die().await?;
            self.acknowledged.lock().extend(ids.iter().map(|id| (application.clone(), *id)));
            Ok(Vec::new())
        })
    }

    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(async move { Ok(self.cached.lock().get(&order).cloned()) })
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) { Err(PrimaryError::Disconnected) } else { Ok(Vec::new()) }
        })
    }
}

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

/// The scripted peers in one place.
#[derive(Default, Clone)]
pub struct Peers {
    pub feed: Arc<Feed>,
    pub fallback: Arc<Fallback>,
    pub core: Arc<Core>,
    pub merchants: Arc<Merchants>,
}

struct Served<T>(Arc<T>);

impl Peers {
    pub fn fallback_transport(&self) -> Transport {
        local(ConnectionPollingServer::new(Served(self.fallback.clone())))
    }

    pub fn core_transport(&self) -> Transport {
        local(GatewayCoreServer::new(Served(self.core.clone())))
    }

    pub fn merchants_transport(&self) -> Transport {
        local(MerchantConnectionServer::new(Served(self.merchants.clone())))
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
                event_feed::Verdict::Show => reply.events.push(conversions::event_to_wire(event)),
                event_feed::Verdict::Hide => {}
                event_feed::Verdict::HideAndAcknowledge => {
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

/// merchant-connection.
#[derive(Default)]
pub struct Merchants {
    pub merchants: Mutex<HashMap<MerchantId, presence::Merchant>>,
    pub online: Mutex<BTreeSet<MerchantId>>,
    pub beats: Mutex<BTreeSet<MerchantId>>,
    /// When whoever is online was heard of last; 0 for not known.
    pub last_heartbeat_at_ms: AtomicI64,
    /// So many puts find that somebody else was faster.
    pub overtaken: AtomicU32,
    /// So many puts are carried out, and their answers lost.
    pub answers_lost: AtomicU32,
    /// The shifts of every put overlap.
    pub shifts_overlap: AtomicBool,
    pub puts: AtomicU32,
    pub lookups: AtomicU32,
    /// Questions of any kind.
    pub calls: AtomicU32,
    pub history: History,
    pub down: AtomicBool,
}

impl Merchants {
    /// A merchant that is open around the clock in UTC.
    pub fn put(&self, id: MerchantId, name: &str) {
        let shift = |day_of_week| presence::Shift { day_of_week, start_minute: 0, duration_minutes: 1440 };
        let merchant = presence::Merchant {
            id: conversions::to_bytes(id.as_bytes()),
            name: name.to_owned(),
            corporate_name: format!("{name} LTDA"),
            time_zone: "UTC".to_owned(),
            shifts: (1..=7).map(shift).collect(),
            version: 1,
            ..presence::Merchant::default()
        };
        self.merchants.lock().insert(id, merchant);
    }

    pub fn change(&self, id: MerchantId, change: impl FnOnce(&mut presence::Merchant)) {
        change(self.merchants.lock().get_mut(&id).unwrap());
    }

    /// As merchant-connection does: on the version that was read, and where nothing overlaps.
    fn replace(&self, merchant: presence::Merchant) -> Result<presence::PutRefusal, Status> {
        self.up()?;
        self.puts.fetch_add(1, Ordering::SeqCst);
        let mut known = self.merchants.lock();
        let stored = known.get_mut(&conversions::merchant_id(&merchant.id)?).ok_or_else(|| Status::not_found(""))?;
        let overlap = |one: &presence::Interruption, other: &presence::Interruption| {
            one.id != other.id && one.start_ms < other.end_ms && other.start_ms < one.end_ms
        };
        let pauses = &merchant.interruptions;
        if self.shifts_overlap.load(Ordering::SeqCst) {
            return Ok(presence::PutRefusal::ShiftsOverlap);
        }
        if pauses.iter().any(|one| pauses.iter().any(|other| overlap(one, other))) {
            return Ok(presence::PutRefusal::InterruptionsOverlap);
        }
        if count_down(&self.overtaken) {
            stored.version += 1;
        }
        if merchant.version != stored.version {
            return Ok(presence::PutRefusal::Overtaken);
        }
        let presentation = stored.presentation.take();
        *stored = presence::Merchant { version: stored.version + 1, presentation, ..merchant };
        // How a call looks that was sent again, to another node, because its first answer was lost.
        let lost = count_down(&self.answers_lost);
        Ok(if lost { presence::PutRefusal::Overtaken } else { presence::PutRefusal::None })
    }

    fn called(&self) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.up()
    }

    fn up(&self) -> Result<(), Status> {
        if self.down.load(Ordering::SeqCst) { Err(Status::unavailable("down")) } else { Ok(()) }
    }
}

/// Whether one was left.
fn count_down(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn ids(bytes: &[Bytes]) -> Result<Vec<MerchantId>, Status> {
    bytes.iter().map(|bytes| conversions::merchant_id(bytes)).collect()
}

#[tonic::async_trait]
impl MerchantConnection for Served<Merchants> {
    async fn beat(&self, request: Request<presence::BeatRequest>) -> Result<Response<presence::BeatReply>, Status> {
        self.0.up()?;
        for beat in request.into_inner().beats {
            self.0.beats.lock().insert(conversions::merchant_id(&beat.merchant_id)?);
        }
        Ok(Response::new(presence::BeatReply::default()))
    }

    async fn presence(
        &self,
        request: Request<presence::PresenceRequest>,
    ) -> Result<Response<presence::PresenceReply>, Status> {
        self.0.called()?;
        let online = self.0.online.lock();
        let of = |id: MerchantId| presence::MerchantPresence {
            merchant_id: conversions::to_bytes(id.as_bytes()),
            online: online.contains(&id),
            last_heartbeat_at_ms: self.0.last_heartbeat_at_ms.load(Ordering::SeqCst),
            ..presence::MerchantPresence::default()
        };
        let presences = ids(&request.into_inner().merchant_ids)?.into_iter().map(of).collect();
        Ok(Response::new(presence::PresenceReply { presences, ..presence::PresenceReply::default() }))
    }

    async fn history(
        &self,
        request: Request<presence::HistoryRequest>,
    ) -> Result<Response<presence::HistoryReply>, Status> {
        self.0.called()?;
        self.0.history.take(&request.into_inner()).map(Response::new)
    }

    async fn lookup(&self, request: Request<presence::LookupRequest>) -> Result<Response<presence::Merchant>, Status> {
        self.0.called()?;
        let Some(presence::lookup_request::By::OpenDeliveryId(id)) = request.into_inner().by else {
            return Err(Status::unimplemented("not scripted"));
        };
        let known = self.0.merchants.lock();
        let found = known.values().find(|merchant| merchant.open_delivery_id == id).cloned();
        let found = found.ok_or_else(|| Status::not_found("no such merchant"))?;
        self.0.lookups.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(found))
    }

    async fn get_merchants(
        &self,
        request: Request<presence::GetMerchantsRequest>,
    ) -> Result<Response<presence::GetMerchantsReply>, Status> {
        self.0.called()?;
        let known = self.0.merchants.lock();
        let presence::GetMerchantsRequest { merchant_ids, with_presentation } = request.into_inner();
        let mut merchants: Vec<presence::Merchant> =
            ids(&merchant_ids)?.iter().filter_map(|id| known.get(id).cloned()).collect();
        if !with_presentation {
            merchants.iter_mut().for_each(|merchant| merchant.presentation = None);
        }
        Ok(Response::new(presence::GetMerchantsReply { merchants }))
    }

    async fn put_merchant(
        &self,
        request: Request<presence::Merchant>,
    ) -> Result<Response<presence::PutMerchantReply>, Status> {
        let refusal = self.0.replace(request.into_inner())?.into();
        Ok(Response::new(presence::PutMerchantReply { created: false, refusal }))
    }

    async fn totals(&self, _: Request<presence::TotalsRequest>) -> Result<Response<presence::TotalsReply>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}
