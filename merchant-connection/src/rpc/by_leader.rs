//! What only the leader of a merchant's partition may take or answer, under its lease: beats and presence.
//!
//! Whoever does not lead refuses and says who does, in the words in which order-events answers: the sender keeps its beats and
//! routes by what it is told. Only for a sender that does not reach the leader are they passed on ([`super::passing_on`]).

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use order_model::MerchantId;
use proto::conversions::{merchant_id, to_bytes};
use proto::merchant_connection as wire;
use tonic::Status;

use super::{MERCHANTS_MAX, at_most};
use crate::leading::NotLedHere;
use crate::presence::TransitionReason;
use crate::service::{Handle, Shared};

/// A flush of beats of a whole fleet.
const BEATS_MAX: usize = 100_000;

/// What a kitchen-api tells, by partition.
pub(super) struct Told {
    /// Merchants heard, and how long ago in ms.
    pub(super) beats: BTreeMap<u16, Vec<(MerchantId, u32)>>,
    /// Partitions of which this is everything.
    pub(super) all_of: BTreeSet<u16>,
}

impl Told {
    pub(super) fn read(shared: &Shared, request: &wire::BeatRequest) -> Result<Self, Status> {
        at_most(request.beats.len(), BEATS_MAX, "beats")?;
        let count = shared.partitions.0.get();
        if ![0, u32::from(count)].contains(&request.partition_count) {
            return Err(Status::failed_precondition(format!("partition_count: there are {count} partitions")));
        }
        let mut beats: BTreeMap<u16, Vec<(MerchantId, u32)>> = BTreeMap::new();
        for beat in &request.beats {
            let merchant = merchant_id(&beat.merchant_id)?;
            beats.entry(shared.partition_of(merchant)).or_default().push((merchant, beat.age_ms));
        }
        let all_of: Result<BTreeSet<u16>, Status> =
            request.partitions.iter().map(|one| partition(*one, count)).collect();
        Ok(Self { beats, all_of: all_of? })
    }

    fn partitions(&self) -> BTreeSet<u16> {
        self.beats.keys().chain(&self.all_of).copied().collect()
    }
}

/// The most merchants whose last transition is read from the table in one call, and how many at once.
const LAST_CHANGES_MAX: usize = 100;
const READS_AT_ONCE_MAX: usize = 16;

impl Handle {
    /// Takes what is led here; the rest is refused, or passed on if that is asked for.
    pub(super) async fn take_beats(&self, request: &wire::BeatRequest) -> Result<wire::BeatReply, Status> {
        let told = Told::read(&self.shared, request)?;
        let mut refused = self.take_led(&told);
        if request.pass_on {
            refused = self.pass_on(&told, refused).await;
        }
        Ok(wire::BeatReply {
            refused_partitions: refused.into_iter().map(u32::from).collect(),
            leaders: self.leaders_of(&told.partitions()),
            node: self.node().0,
        })
    }

    /// Takes what is led here, and answers of which partitions nothing was taken.
    pub(super) fn take_led(&self, told: &Told) -> Vec<u16> {
        let takes = |partition: &u16| {
            let beats = told.beats.get(partition).map_or(&[][..], Vec::as_slice);
            self.take_beats_of(*partition, beats, told.all_of.contains(partition)).is_ok()
        };
        told.partitions().into_iter().filter(|partition| !takes(partition)).collect()
    }

    fn take_beats_of(&self, partition: u16, beats: &[(MerchantId, u32)], told_all: bool) -> Result<(), NotLedHere> {
        let now = self.shared.clock.monotonic();
        let dropped = self.shared.with_led(partition, |led, state| {
            if led.is_ending() {
                return Err(NotLedHere);
            }
            let dropped = led.take(state, beats, now);
            if told_all {
                // Last: hearing time must not run on before these beats are known.
                led.heard_all(now);
            }
            Ok(dropped)
        })??;
        metrics::counter!("comanda_merchant_connection_beats_total").increment(beats.len() as u64);
        metrics::counter!("comanda_merchant_connection_beats_dropped_total").increment(dropped);
        Ok(())
    }

    pub(super) async fn answer_presence(&self, request: &wire::PresenceRequest) -> Result<wire::PresenceReply, Status> {
        let most = if request.with_last_change { LAST_CHANGES_MAX } else { MERCHANTS_MAX };
        at_most(request.merchant_ids.len(), most, "merchant_ids")?;
        let merchants: Result<Vec<MerchantId>, Status> =
            request.merchant_ids.iter().map(|id| merchant_id(id)).collect();
        let (mut presences, mut asked, mut refused) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for merchant in merchants? {
            let partition = self.shared.partition_of(merchant);
            asked.insert(partition);
            match self.presence_of(partition, merchant) {
                Ok(presence) => presences.push((merchant, presence)),
                Err(NotLedHere) => {
                    refused.insert(partition);
                }
            }
        }
        let complete = |(merchant, presence): (MerchantId, wire::MerchantPresence)| async move {
            let changed_at_ms = if request.with_last_change { self.last_change(merchant, &presence).await } else { 0 };
            wire::MerchantPresence { changed_at_ms, ..presence }
        };
        Ok(wire::PresenceReply {
            presences: futures::stream::iter(presences).map(complete).buffered(READS_AT_ONCE_MAX).collect().await,
            refused_partitions: refused.into_iter().map(u32::from).collect(),
            leaders: self.leaders_of(&asked),
            node: self.node().0,
        })
    }

    fn presence_of(&self, partition: u16, merchant: MerchantId) -> Result<wire::MerchantPresence, NotLedHere> {
        let monotonic = self.shared.clock.monotonic();
        let now_ms = self.shared.grid.time(partition).unix_ms;
        self.shared.with_led(partition, |led, state| {
            if !led.is_judging() {
                return Err(NotLedHere);
            }
            let known = state.merchant(merchant);
            let record = known.map(|known| known.record).unwrap_or_default();
            let beat = known.map_or(0, |known| led.board.read().last_beat(known.index));
            let heard_at_ms = led.instant_of(beat, led.hearing_time(monotonic), now_ms);
            let reason = match record.sequence() {
                0 => "NEVER_SEEN",
                _ => TransitionReason::of(record.is_online()).code(),
            };
            Ok(wire::MerchantPresence {
                merchant_id: to_bytes(merchant.as_bytes()),
                online: record.is_online(),
                reason: reason.to_owned(),
                changed_at_ms: 0,
                last_heartbeat_at_ms: if beat == 0 { 0 } else { heard_at_ms },
                sequence: record.sequence(),
            })
        })?
    }

    /// When the transition of `presence` happened; 0 while that is not written, and when the table cannot be read: whether
    /// somebody is online must not depend on it.
    async fn last_change(&self, merchant: MerchantId, presence: &wire::MerchantPresence) -> i64 {
        if presence.sequence == 0 {
            return 0;
        }
        let last = self.shared.store.last_transition(merchant).await.ok().flatten();
        last.filter(|last| last.sequence == presence.sequence).map_or(0, |last| last.changed_at_ms)
    }
}

fn partition(number: u32, count: u16) -> Result<u16, Status> {
    let partition = u16::try_from(number).ok().filter(|partition| *partition < count);
    partition.ok_or_else(|| Status::invalid_argument("partitions: there is no such partition"))
}
