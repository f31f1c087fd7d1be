//! Bringing kept beats to the leaders of their partitions.
//!
//! Each node gets what it leads, side by side; a partition that it refuses goes on to the leader it names, once; what a leader
//! cannot be reached with is given to another node to pass on. The batch that ends a partition says so to its leader: only
//! while somebody says that it told everything is silence judged there. What was refused or not answered stays kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use order_model::{PartitionId, SharedClock};
use proto::conversions;
use proto::merchant_connection::{Beat, BeatReply, BeatRequest};

use super::kept::{Batch, KeptBeat, KeptBeats, Walk};
use super::nodes::{Node, PresenceNodes, partitions};

/// How long a node may take to take a batch, which is work of a millisecond, or to pass it on.
const CALL_DEADLINE: Duration = Duration::from_secs(1);

/// What became of a delivery.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Partitions of which nobody has taken everything.
    pub(super) left: BTreeSet<PartitionId>,
    /// Why a node did not answer, if one did not.
    pub(super) failure: Option<&'static str>,
}

/// What one node made of what it was brought.
#[derive(Default)]
struct Brought {
    refused: BTreeSet<PartitionId>,
    /// Of which it has not answered for everything, and why.
    unanswered: Option<(Vec<PartitionId>, &'static str)>,
}

/// Brings beats to merchant-connection.
pub(super) struct Delivery {
    pub(super) nodes: PresenceNodes,
    pub(super) clock: SharedClock,
    pub(super) kept: KeptBeats,
}

impl Delivery {
    /// Asks any node anything, after an outage; whether it answered.
    pub(super) async fn probe(&self) -> Result<(), &'static str> {
        let node = self.nodes.any().ok_or("no node is known")?;
        self.call(&node, BeatRequest::default()).await.map(|_| ())
    }

    /// Brings everything kept, and says of all partitions that this is everything.
    pub(super) async fn deliver(&self) -> Delivered {
        let all: Vec<PartitionId> = self.nodes.partitions().iter().collect();
        let stops = self.nodes.route(&all);
        let strangers =
            self.nodes.strangers().into_iter().filter(|node| !stops.iter().any(|(to, _)| Arc::ptr_eq(to, node)));
        let introductions =
            join_all(strangers.map(|node| async move { self.call(&node, BeatRequest::default()).await }));
        let routed: BTreeSet<PartitionId> =
            stops.iter().flat_map(|(_, partitions)| partitions.iter().copied()).collect();
        let bringing = join_all(stops.iter().map(|(node, partitions)| self.bring_and_follow(node, partitions)));
        let (_, parts) = tokio::join!(introductions, bringing);
        let mut delivered = Delivered::default();
        delivered.left.extend(all.into_iter().filter(|partition| !routed.contains(partition)));
        for part in parts {
            delivered.left.extend(part.left);
            delivered.failure = delivered.failure.or(part.failure);
        }
        delivered
    }

    /// Brings `node` what it is believed to lead, what it refuses to whom it names, and has what the leader cannot be
    /// reached with passed on.
    async fn bring_and_follow(&self, node: &Arc<Node>, told: &[PartitionId]) -> Delivered {
        let Brought { refused, unanswered } = self.bring(node, told, false).await;
        let mut delivered = Delivered { left: refused.clone(), failure: None };
        let mut unreached: Vec<_> = unanswered.map(|unanswered| (Arc::clone(node), unanswered)).into_iter().collect();
        let refused: Vec<PartitionId> = refused.into_iter().collect();
        let on = self.nodes.route_on(node, &refused);
        let followed = join_all(on.iter().map(|(next, partitions)| self.bring(next, partitions, false))).await;
        for ((next, partitions), brought) in on.into_iter().zip(followed) {
            delivered.left.retain(|left| !partitions.contains(left) || brought.refused.contains(left));
            unreached.extend(brought.unanswered.map(|unanswered| (next, unanswered)));
        }
        let strangers: Vec<PartitionId> =
            delivered.left.iter().copied().filter(|one| self.nodes.is_led_by_a_stranger(*one)).collect();
        let (by_strangers, passed) = tokio::join!(
            self.pass_on(node, &strangers),
            join_all(unreached.iter().map(|(failed, (partitions, _))| self.have_passed_on(failed, partitions))),
        );
        delivered.left.retain(|left| !strangers.contains(left) || by_strangers.contains(left));
        for ((_, (_, failure)), left) in unreached.into_iter().zip(passed) {
            if !left.is_empty() {
                delivered.failure = delivered.failure.or(Some(failure));
            }
            delivered.left.extend(left);
        }
        delivered
    }

    /// Gives another node than `failed` what is of `told`, to pass it on; what of that is left.
    async fn have_passed_on(&self, failed: &Arc<Node>, told: &[PartitionId]) -> Vec<PartitionId> {
        match self.nodes.another_than(failed) {
            Some(node) => self.pass_on(&node, told).await,
            None => told.to_vec(),
        }
    }

    /// Gives `node` what is of `told`, to pass it on; what of that is left.
    async fn pass_on(&self, node: &Arc<Node>, told: &[PartitionId]) -> Vec<PartitionId> {
        let Brought { refused, unanswered } = self.bring(node, told, true).await;
        let left: Vec<PartitionId> = refused.into_iter().chain(unanswered.into_iter().flat_map(|(of, _)| of)).collect();
        let passed_on = told.len().saturating_sub(left.len()) as u64;
        metrics::counter!("comanda_kitchen_api_beat_partitions_passed_on_total").increment(passed_on);
        left
    }

    /// Brings `node` everything of `told`, but for what it refuses.
    async fn bring(&self, node: &Arc<Node>, told: &[PartitionId], pass_on: bool) -> Brought {
        let mut brought = Brought::default();
        let (mut walk, mut ended) = (Walk::over(told), BTreeSet::new());
        while !walk.is_over() {
            let batch = self.kept.take(&mut walk);
            match self.call(node, self.request(&batch, pass_on)).await {
                Ok(reply) => {
                    let refused = partitions(&reply.refused_partitions).into_iter().collect();
                    ended.extend(batch.ends.iter().copied());
                    let taken = batch.taken_except(&refused) as u64;
                    metrics::counter!("comanda_kitchen_api_beats_taken_total").increment(taken);
                    walk.leave_out(&refused);
                    brought.refused.extend(refused);
                }
                Err(failure) => {
                    let is_open = |one: &PartitionId| !ended.contains(one) && !brought.refused.contains(one);
                    brought.unanswered = Some((told.iter().copied().filter(is_open).collect(), failure));
                    break;
                }
            }
        }
        brought
    }

    fn request(&self, batch: &Batch<'_>, pass_on: bool) -> BeatRequest {
        let now_ms = now_ms(&self.clock);
        let to_wire = |(merchant, at_ms): &KeptBeat| Beat {
            merchant_id: conversions::to_bytes(merchant.as_bytes()),
            age_ms: u32::try_from(now_ms.saturating_sub(*at_ms)).unwrap_or(u32::MAX),
        };
        BeatRequest {
            beats: batch.beats().iter().map(to_wire).collect(),
            partitions: batch.ends.iter().map(|partition| u32::from(partition.0)).collect(),
            partition_count: u32::from(self.nodes.partitions().0.get()),
            pass_on,
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
