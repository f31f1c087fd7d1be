//! The internal RPCs, each a few lines over the grid and the store. What only a leader answers is in [`by_leader`].

mod by_leader;
mod passing_on;

use std::collections::BTreeSet;

use order_model::{MerchantId, Timestamp};
use proto::conversions::merchant_id;
use proto::merchant_connection as wire;
use proto::merchant_connection::merchant_connection_server::{MerchantConnection, MerchantConnectionServer};
use proto::transport::BoxedServer;
use replicated_grid::{Leadership, NodeId};
use tonic::{Request, Response, Status};

use crate::presence::Transition;
use crate::profile::{Merchant, OPEN_DELIVERY_ID_CHARACTERS, Overlap};
use crate::service::Handle;
use crate::store::{StoreError, VersionedProfile};
use crate::totals::PartitionTotals;

/// A page of merchants.
const MERCHANTS_MAX: usize = 1_000;
/// A page of history.
const HISTORY_MAX: u32 = 500;
/// 100,000 beats of about 25 bytes.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The gRPC server over `handle`.
pub fn grpc(handle: Handle) -> BoxedServer<MerchantConnectionServer<Handle>> {
    let server = MerchantConnectionServer::new(handle)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    BoxedServer::new(server)
}

#[tonic::async_trait]
impl MerchantConnection for Handle {
    async fn beat(&self, request: Request<wire::BeatRequest>) -> Result<Response<wire::BeatReply>, Status> {
        measured("beat", async { self.take_beats(&request.into_inner()).await.map(Response::new) }).await
    }

    async fn presence(&self, request: Request<wire::PresenceRequest>) -> Result<Response<wire::PresenceReply>, Status> {
        measured("presence", async { self.answer_presence(&request.into_inner()).await.map(Response::new) }).await
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
            let found = store.versioned_profile(id.ok_or_else(unknown)?).await.map_err(status)?.ok_or_else(unknown)?;
            Ok(Response::new(profile_to_wire(&found)))
        })
        .await
    }

    async fn get_merchants(
        &self,
        request: Request<wire::GetMerchantsRequest>,
    ) -> Result<Response<wire::GetMerchantsReply>, Status> {
        measured("get_merchants", async {
            let wire::GetMerchantsRequest { merchant_ids: ids, with_presentation } = request.into_inner();
            at_most(ids.len(), MERCHANTS_MAX, "merchant_ids")?;
            let ids: Result<Vec<MerchantId>, Status> = ids.iter().map(|id| merchant_id(id)).collect();
            let found = self.shared.store.versioned_profiles(&ids?).await.map_err(status)?;
            let mut merchants: Vec<wire::Merchant> = found.iter().map(profile_to_wire).collect();
            if with_presentation {
                let ids: Vec<MerchantId> = found.iter().map(|stored| stored.merchant.id).collect();
                let known = self.shared.store.presentations(&ids).await.map_err(status)?;
                for (merchant, known) in merchants.iter_mut().zip(known) {
                    merchant.presentation = Some(known.into());
                }
            }
            Ok(Response::new(wire::GetMerchantsReply { merchants }))
        })
        .await
    }

    async fn put_merchant(&self, request: Request<wire::Merchant>) -> Result<Response<wire::PutMerchantReply>, Status> {
        measured("put_merchant", async {
            let merchant = Merchant::try_from(request.get_ref())?;
            self.put_profile(&merchant, request.get_ref().version).await.map(Response::new)
        })
        .await
    }

    async fn totals(&self, _request: Request<wire::TotalsRequest>) -> Result<Response<wire::TotalsReply>, Status> {
        measured("totals", async { Ok(Response::new(self.totals_to_wire())) }).await
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
    /// Writes a profile whose fields fit, at `version` or, with 0, at any.
    async fn put_profile(&self, merchant: &Merchant, version: u64) -> Result<wire::PutMerchantReply, Status> {
        let store = &self.shared.store;
        let (created, refusal) = match merchant.overlap() {
            Some(Overlap::Shifts) => (false, wire::PutRefusal::ShiftsOverlap),
            Some(Overlap::Interruptions) => (false, wire::PutRefusal::InterruptionsOverlap),
            None if version == 0 => (store.put_profile(merchant).await.map_err(status)?, wire::PutRefusal::None),
            None if store.put_profile_at(merchant, version).await.map_err(status)? => (false, wire::PutRefusal::None),
            None => (false, wire::PutRefusal::Overtaken),
        };
        Ok(wire::PutMerchantReply { created, refusal: refusal.into() })
    }

    fn totals_to_wire(&self) -> wire::TotalsReply {
        let totals = self.totals();
        let to_wire = |(partition, totals): (u16, &Option<PartitionTotals>)| {
            let (of, leadership) = (totals.unwrap_or_default(), self.shared.leadership_of(partition));
            wire::PartitionTotals {
                partition: u32::from(partition),
                online: of.online as u64,
                known: of.known as u64,
                brake_on: of.brake_on,
                leader: number_of(leadership.leader),
                term: leadership.term,
                has_replica: totals.is_some(),
                restored: of.restored,
                unpublished: of.unpublished as u64,
            }
        };
        let known = || totals.iter().flatten();
        wire::TotalsReply {
            online: known().map(|totals| totals.online as u64).sum(),
            known: known().map(|totals| totals.known as u64).sum(),
            brake_on: known().any(|totals| totals.brake_on),
            partitions: (0..).zip(&totals).map(to_wire).collect(),
            node: self.node().0,
        }
    }

    /// Who leads `partitions`, or all of them when there are none.
    pub(crate) fn leaders_of(&self, partitions: &BTreeSet<u16>) -> Vec<wire::PartitionLeader> {
        let all = (0..self.shared.partitions.0.get()).filter(|one| partitions.is_empty() || partitions.contains(one));
        let to_wire = |partition: u16| {
            let Leadership { leader, term, .. } = self.shared.leadership_of(partition);
            wire::PartitionLeader { partition: u32::from(partition), leader: number_of(leader), term }
        };
        all.map(to_wire).collect()
    }
}

fn number_of(node: Option<NodeId>) -> u64 {
    node.unwrap_or_default().0
}

fn at_most(count: usize, most: usize, field: &str) -> Result<(), Status> {
    if count <= most { Ok(()) } else { Err(Status::invalid_argument(format!("{field}: at most {most}"))) }
}

fn profile_to_wire(stored: &VersionedProfile) -> wire::Merchant {
    wire::Merchant { version: stored.version, ..wire::Merchant::from(&stored.merchant) }
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
