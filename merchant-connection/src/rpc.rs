//! The internal RPCs, each a few lines over the grid and the store.

use order_model::{MerchantId, Timestamp};
use proto::conversions::{merchant_id, to_bytes};
use proto::merchant_connection as wire;
use proto::merchant_connection::merchant_connection_server::{MerchantConnection, MerchantConnectionServer};
use tonic::{Request, Response, Status};

use crate::presence::Transition;
use crate::profile::{Merchant, OPEN_DELIVERY_ID_CHARACTERS};
use crate::service::Handle;
use crate::store::StoreError;

/// A flush of beats of a whole fleet.
const BEATS_MAX: usize = 100_000;
/// A page of merchants.
const MERCHANTS_MAX: usize = 1_000;
/// A page of history.
const HISTORY_MAX: u32 = 500;
/// 100,000 beats of about 25 bytes.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The gRPC server over `handle`.
pub fn grpc(handle: Handle) -> MerchantConnectionServer<Handle> {
    MerchantConnectionServer::new(handle)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

#[tonic::async_trait]
impl MerchantConnection for Handle {
    async fn beat(&self, request: Request<wire::BeatRequest>) -> Result<Response<wire::BeatReply>, Status> {
        measured("beat", async {
            let beats = request.into_inner().beats;
            at_most(beats.len(), BEATS_MAX, "beats")?;
            let shared = &self.shared;
            let now = shared.sweeper.hearing_time();
            let mut dropped = 0u64;
            for beat in &beats {
                // 0 means never.
                let at = now.saturating_sub(beat.age_ms / 100).max(1);
                if !shared.grid.beat(merchant_id(&beat.merchant_id)?, at) {
                    dropped += 1;
                }
            }
            // Last: hearing time must not run on before these beats are known.
            shared.sweeper.heard(beats.len());
            metrics::counter!("comanda_merchant_connection_beats_total").increment(beats.len() as u64);
            metrics::counter!("comanda_merchant_connection_beats_dropped_total").increment(dropped);
            Ok(Response::new(wire::BeatReply {}))
        })
        .await
    }

    async fn presence(&self, request: Request<wire::PresenceRequest>) -> Result<Response<wire::PresenceReply>, Status> {
        measured("presence", async {
            let ids = request.into_inner().merchant_ids;
            at_most(ids.len(), MERCHANTS_MAX, "merchant_ids")?;
            self.ready()?;
            let merchants: Result<Vec<MerchantId>, Status> = ids.iter().map(|id| merchant_id(id)).collect();
            let presences = merchants?.into_iter().map(|merchant| self.presence_of(merchant)).collect();
            Ok(Response::new(wire::PresenceReply { presences }))
        })
        .await
    }

    async fn history(&self, request: Request<wire::HistoryRequest>) -> Result<Response<wire::HistoryReply>, Status> {
        measured("history", async {
            let request = request.into_inner();
            let limit = request.limit.clamp(1, HISTORY_MAX) as usize;
            let before =
                if request.before_ms == 0 { Timestamp::MAX } else { Timestamp::from_unix_ms(request.before_ms) };
            let history = self.shared.store.history(merchant_id(&request.merchant_id)?, limit, before).await;
            let transitions = history.map_err(status)?.iter().map(transition_to_wire).collect();
            Ok(Response::new(wire::HistoryReply { transitions }))
        })
        .await
    }

    async fn lookup(&self, request: Request<wire::LookupRequest>) -> Result<Response<wire::Merchant>, Status> {
        measured("lookup", async {
            let store = &self.shared.store;
            let id = match request.into_inner().by {
                Some(wire::lookup_request::By::MerchantId(id)) => Some(merchant_id(&id)?),
                // Such an id cannot exist, and may be longer than a key can be.
                Some(wire::lookup_request::By::OpenDeliveryId(id))
                    if !OPEN_DELIVERY_ID_CHARACTERS.contains(&id.chars().count()) =>
                {
                    None
                }
                Some(wire::lookup_request::By::OpenDeliveryId(id)) => {
                    store.merchant_of_open_delivery_id(&id).await.map_err(status)?
                }
                None => return Err(Status::invalid_argument("by is missing")),
            };
            let unknown = || Status::not_found("no such merchant");
            let merchant = store.profile(id.ok_or_else(unknown)?).await.map_err(status)?.ok_or_else(unknown)?;
            Ok(Response::new(wire::Merchant::from(&merchant)))
        })
        .await
    }

    async fn get_merchants(
        &self,
        request: Request<wire::GetMerchantsRequest>,
    ) -> Result<Response<wire::GetMerchantsReply>, Status> {
        measured("get_merchants", async {
            let ids = request.into_inner().merchant_ids;
            at_most(ids.len(), MERCHANTS_MAX, "merchant_ids")?;
            let ids: Result<Vec<MerchantId>, Status> = ids.iter().map(|id| merchant_id(id)).collect();
            let found = self.shared.store.profiles(&ids?).await.map_err(status)?;
            Ok(Response::new(wire::GetMerchantsReply { merchants: found.iter().map(wire::Merchant::from).collect() }))
        })
        .await
    }

    async fn put_merchant(&self, request: Request<wire::Merchant>) -> Result<Response<wire::PutMerchantReply>, Status> {
        measured("put_merchant", async {
            let merchant = Merchant::try_from(request.get_ref())?;
            let created = self.shared.store.put_profile(&merchant).await.map_err(status)?;
            Ok(Response::new(wire::PutMerchantReply { created }))
        })
        .await
    }

    async fn totals(&self, _request: Request<wire::TotalsRequest>) -> Result<Response<wire::TotalsReply>, Status> {
        measured("totals", async {
            self.ready()?;
            let totals = self.shared.sweeper.totals();
            let partition = |(partition, totals): (u32, &crate::sweeper::PartitionTotals)| wire::PartitionTotals {
                partition,
                online: totals.online as u64,
                known: totals.known as u64,
                brake_on: totals.brake_on,
            };
            Ok(Response::new(wire::TotalsReply {
                online: totals.iter().map(|totals| totals.online as u64).sum(),
                known: totals.iter().map(|totals| totals.known as u64).sum(),
                brake_on: totals.iter().any(|totals| totals.brake_on),
                partitions: (0..).zip(&totals).map(partition).collect(),
            }))
        })
        .await
    }
}

/// Answers a call and records its rate, outcome and latency.
async fn measured<T>(endpoint: &'static str, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let started = tokio::time::Instant::now();
    let answer = call.await;
    let outcome = if answer.is_ok() { "ok" } else { "error" };
    metrics::histogram!("comanda_merchant_connection_request_seconds", "endpoint" => endpoint, "outcome" => outcome)
        .record(started.elapsed());
    answer
}

impl Handle {
    fn ready(&self) -> Result<(), Status> {
        self.readiness().map_err(Status::unavailable)
    }

    fn presence_of(&self, merchant: MerchantId) -> wire::MerchantPresence {
        let state = self.shared.grid.state(merchant);
        let heard = self.shared.grid.last_beat(merchant).map(|beat| self.shared.sweeper.instant_of(beat).unix_ms());
        wire::MerchantPresence {
            merchant_id: to_bytes(merchant.as_bytes()),
            online: state.is_online(),
            reason: state.last.map_or("NEVER_SEEN", |last| last.reason.code()).to_owned(),
            changed_at_ms: state.last.map_or(0, |last| last.changed_at_ms),
            last_heartbeat_at_ms: heard.or(state.last.map(|last| last.last_heartbeat_at_ms)).unwrap_or(0),
            sequence: state.last.map_or(0, |last| last.sequence),
        }
    }
}

fn at_most(count: usize, most: usize, field: &str) -> Result<(), Status> {
    if count <= most { Ok(()) } else { Err(Status::invalid_argument(format!("{field}: at most {most}"))) }
}

fn transition_to_wire(transition: &Transition) -> wire::Transition {
    wire::Transition {
        id: bytes::Bytes::copy_from_slice(transition.id().as_bytes()),
        online: transition.online,
        reason: transition.reason.code().to_owned(),
        changed_at_ms: transition.changed_at_ms,
        last_heartbeat_at_ms: transition.last_heartbeat_at_ms,
        sequence: transition.sequence,
    }
}

fn status(error: StoreError) -> Status {
    match error {
        StoreError::Unavailable { .. } => Status::unavailable(error.to_string()),
        StoreError::OpenDeliveryIdTaken => Status::already_exists(error.to_string()),
        StoreError::Malformed { .. } => Status::internal(error.to_string()),
    }
}
