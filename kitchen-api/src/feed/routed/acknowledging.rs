//! Acknowledgments on their way to the leaders: each partition's ids directly to its own.
//!
//! A node passes on what another leads, so a stale route costs a hop and no more. What a node refuses or cannot be told is
//! sent to another once, within the same deadline; what is refused then is fenced by the caller.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use order_model::{ApplicationId, EventId, PartitionId};
use tokio::time::Instant;

use super::RoutedFeed;
use super::nodes::Node;
use crate::feed::acknowledgment::LEADER_DEADLINE;
use crate::feed::breakers::sorted;
use crate::feed::primary::PrimaryError;

/// How long the leaders have: a little less than whoever waits, so that the answers that came are used.
const WITHIN: Duration = LEADER_DEADLINE.saturating_sub(Duration::from_millis(50));

impl RoutedFeed {
    /// Sends `ids` to the leaders of their partitions, side by side; the partitions, sorted, where they are not known to
    /// be applied.
    pub(super) async fn apply(&self, application: &ApplicationId, ids: &[EventId]) -> Vec<PartitionId> {
        let deadline = Instant::now() + WITHIN;
        let partitions = sorted(ids.iter().map(|id| self.partition_of_id(*id)).collect());
        let route = self.route(&partitions);
        if let ([(node, _)], []) = (&route.stops[..], &route.unreachable[..]) {
            return self.apply_at(node, application, ids, deadline).await;
        }
        let parts = route.stops.iter().map(|(node, partitions)| async move {
            let ids = self.ids_in(ids, partitions);
            self.apply_at(node, application, &ids, deadline).await
        });
        let refused: Vec<PartitionId> = join_all(parts).await.into_iter().flatten().collect();
        sorted(refused.into_iter().chain(route.unreachable).collect())
    }

    /// Tells one node, and about what it refuses another: the leader that is known by now, or anybody else.
    async fn apply_at(
        &self,
        node: &Arc<Node>,
        application: &ApplicationId,
        ids: &[EventId],
        deadline: Instant,
    ) -> Vec<PartitionId> {
        let refused = self.tell(node, application, ids, deadline).await;
        let mut left: BTreeSet<PartitionId> = refused.iter().copied().collect();
        for (leader, partitions) in self.leaders.route(&refused) {
            let leader = leader.and_then(|leader| self.nodes.by_id(leader));
            let next = match leader {
                Some(leader) if Arc::ptr_eq(&leader, node) => continue,
                Some(leader) => Some(leader),
                None => self.nodes.any_but(node),
            };
            let Some(next) = next.filter(|_| Instant::now() < deadline) else { continue };
            let again = self.tell(&next, application, &self.ids_in(ids, &partitions), deadline).await;
            for applied in partitions.iter().filter(|partition| !again.contains(partition)) {
                left.remove(applied);
            }
        }
        left.into_iter().collect()
    }

    /// Tells one node; the partitions, sorted, that it refused or may not have heard of.
    async fn tell(
        &self,
        node: &Node,
        application: &ApplicationId,
        ids: &[EventId],
        deadline: Instant,
    ) -> Vec<PartitionId> {
        let told = sorted(ids.iter().map(|id| self.partition_of_id(*id)).collect());
        let answer = tokio::time::timeout_at(deadline, node.feed.acknowledge(application, ids)).await;
        let deadline_ms = u64::try_from(WITHIN.as_millis()).unwrap_or(u64::MAX);
        match answer.unwrap_or(Err(PrimaryError::Deadline { deadline_ms })) {
            Ok(refused) => told.into_iter().filter(|partition| refused.contains(partition)).collect(),
            Err(error) => {
                self.note_failure(node, &error);
                told
            }
        }
    }

    fn ids_in(&self, ids: &[EventId], partitions: &[PartitionId]) -> Vec<EventId> {
        ids.iter().copied().filter(|id| partitions.binary_search(&self.partition_of_id(*id)).is_ok()).collect()
    }

    fn partition_of_id(&self, id: EventId) -> PartitionId {
        id.routing_hash().partition(self.partitions)
    }
}
