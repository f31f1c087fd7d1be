//! Bringing kept beats to the leaders of their partitions.
//!
//! Each node gets what it leads, side by side; a partition that it refuses goes on to the leader it names, once. The last
//! batch of a node says of which partitions it now knows everything: only while somebody says so is silence judged there.
//! What was refused or not answered stays where it was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use order_model::{MerchantId, PartitionId, SharedClock};
use proto::conversions;
use proto::merchant_connection::{Beat, BeatReply, BeatRequest};

use super::nodes::{Node, PresenceNodes, partitions};

/// The most beats of one call: some 120 KB.
const BATCH_MAX: usize = 5_000;

/// How long a node may take to take a batch, which is work of a millisecond.
const CALL_DEADLINE: Duration = Duration::from_secs(1);

/// When a merchant was last heard of, in ms of the monotonic clock.
pub(super) type KeptBeat = (MerchantId, u64);

/// Kept beats by partition.
pub(super) type KeptBeats = BTreeMap<PartitionId, Vec<KeptBeat>>;

/// What became of a delivery.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Partitions of which nobody has taken everything.
    pub(super) left: BTreeSet<PartitionId>,
    /// Why a node did not answer, if one did not.
    pub(super) failure: Option<&'static str>,
}

/// Brings beats to merchant-connection.
pub(super) struct Delivery {
    pub(super) nodes: PresenceNodes,
    pub(super) clock: SharedClock,
}

impl Delivery {
    /// Asks any node anything, after an outage; whether it answered.
    pub(super) async fn probe(&self) -> Result<(), &'static str> {
        let node = self.nodes.any().ok_or("no node is known")?;
        self.call(&node, BeatRequest::default()).await.map(|_| ())
    }

    /// Brings `beats`, and says of all partitions that this is everything. `taken` is told what arrived.
    pub(super) async fn deliver(&self, beats: &KeptBeats, taken: &(impl Fn(&[KeptBeat]) + Sync)) -> Delivered {
        let all: Vec<PartitionId> = self.nodes.partitions().iter().collect();
        let stops = self.nodes.route(&all);
        let strangers =
            self.nodes.strangers().into_iter().filter(|node| !stops.iter().any(|(to, _)| Arc::ptr_eq(to, node)));
        let introductions =
            join_all(strangers.map(|node| async move { self.call(&node, BeatRequest::default()).await }));
        let routed: BTreeSet<PartitionId> =
            stops.iter().flat_map(|(_, partitions)| partitions.iter().copied()).collect();
        let bringing =
            join_all(stops.iter().map(|(node, partitions)| self.bring_and_follow(node, partitions, beats, taken)));
        let (_, parts) = tokio::join!(introductions, bringing);
        let mut delivered = Delivered::default();
        delivered.left.extend(all.into_iter().filter(|partition| !routed.contains(partition)));
        for part in parts {
            delivered.left.extend(part.left);
            delivered.failure = delivered.failure.or(part.failure);
        }
        delivered
    }

    async fn bring_and_follow(
        &self,
        node: &Arc<Node>,
        partitions: &[PartitionId],
        beats: &KeptBeats,
        taken: &(impl Fn(&[KeptBeat]) + Sync),
    ) -> Delivered {
        let mut delivered = self.bring(node, partitions, beats, taken).await;
        if delivered.failure.is_some() {
            return delivered;
        }
        let refused: Vec<PartitionId> = delivered.left.iter().copied().collect();
        let on = self.nodes.route_on(node, &refused);
        let parts = join_all(on.iter().map(|(next, partitions)| self.bring(next, partitions, beats, taken))).await;
        for ((_, partitions), part) in on.iter().zip(parts) {
            delivered.left.retain(|left| !partitions.contains(left) || part.left.contains(left));
            delivered.failure = delivered.failure.or(part.failure);
        }
        delivered
    }

    /// Brings one node what it is believed to lead, until it refuses all of it.
    async fn bring(
        &self,
        node: &Arc<Node>,
        told: &[PartitionId],
        beats: &KeptBeats,
        taken: &(impl Fn(&[KeptBeat]) + Sync),
    ) -> Delivered {
        let mut refused: BTreeSet<PartitionId> = BTreeSet::new();
        let own: Vec<KeptBeat> = told.iter().filter_map(|partition| beats.get(partition)).flatten().copied().collect();
        let batches = own.chunks(BATCH_MAX).chain(own.is_empty().then_some(&[][..]));
        let last = batches.clone().count() - 1;
        for (number, batch) in batches.enumerate() {
            let is_wanted = |(merchant, _): &&KeptBeat| !refused.contains(&self.nodes.partition_of(*merchant));
            let wanted: Vec<KeptBeat> = batch.iter().filter(is_wanted).copied().collect();
            let everything = if number == last { told } else { &[] };
            match self.call(node, self.request(&wanted, everything)).await {
                Ok(reply) => {
                    refused.extend(partitions(&reply.refused_partitions));
                    let is_taken = |(merchant, _): &&KeptBeat| !refused.contains(&self.nodes.partition_of(*merchant));
                    taken(&wanted.iter().filter(is_taken).copied().collect::<Vec<_>>());
                }
                Err(failure) => {
                    return Delivered { left: told.iter().copied().collect(), failure: Some(failure) };
                }
            }
            if told.iter().all(|partition| refused.contains(partition)) {
                break;
            }
        }
        Delivered { left: refused, failure: None }
    }

    fn request(&self, batch: &[KeptBeat], everything: &[PartitionId]) -> BeatRequest {
        let now_ms = now_ms(&self.clock);
        let to_wire = |(merchant, at_ms): &KeptBeat| Beat {
            merchant_id: conversions::to_bytes(merchant.as_bytes()),
            age_ms: u32::try_from(now_ms.saturating_sub(*at_ms)).unwrap_or(u32::MAX),
        };
        BeatRequest {
            beats: batch.iter().map(to_wire).collect(),
            partitions: everything.iter().map(|partition| u32::from(partition.0)).collect(),
            partition_count: u32::from(self.nodes.partitions().0.get()),
        }
    }

    async fn call(&self, node: &Arc<Node>, request: BeatRequest) -> Result<BeatReply, &'static str> {
        let started = self.clock.monotonic();
        let mut client = node.client();
        let result = match tokio::time::timeout(CALL_DEADLINE, client.beat(request)).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(_)) => Err("error"),
            Err(_) => Err("deadline"),
        };
        let outcome = result.as_ref().err().copied().unwrap_or("ok");
        metrics::histogram!("comanda_dependency_seconds",
            "dependency" => "merchant-connection", "operation" => "beat", "outcome" => outcome)
        .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        match &result {
            Ok(reply) => self.nodes.learn(node, reply.node, &reply.leaders),
            Err(_) => self.nodes.is_unreachable(node),
        }
        result
    }
}

/// Whole ms of the monotonic clock.
pub(super) fn now_ms(clock: &SharedClock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}
