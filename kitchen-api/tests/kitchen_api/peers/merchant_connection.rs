//! The scripted merchant-connection, behind its real gRPC service: profiles, who is online and who has beaten, and a history.
//!
//! Presence is what tests say it is: nothing is swept, and nobody goes OFFLINE by silence.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use bytes::Bytes;
use order_model::MerchantId;
use parking_lot::Mutex;
use proto::conversions;
use proto::merchant_connection as presence;
use proto::merchant_connection::merchant_connection_server::MerchantConnection;
use tonic::{Request, Response, Status};

use crate::peers::history::History;
use crate::peers::{Served, count_down};

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
