//! order-events of the same machine behind the trait that kitchen-api asks, as the binary has it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kitchen_api::feed::{
    CachedOrder, LeaderHint, LeaderMap, NodeId, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused,
    Standing,
};
use order_events::{Handle, Leadership, PollFlags, RefusalReason};
use order_model::{ApplicationId, EventId, OrderId, PartitionId};
use tokio_util::sync::CancellationToken;

/// See the module.
pub struct LocalFeed {
    /// order-events.
    pub handle: Handle,
    /// Told of every change of leadership.
    pub leaders: LeaderMap,
}

fn hint(partition: PartitionId, of: Leadership) -> LeaderHint {
    let leader = of.leader.and_then(|leader| NodeId::from_number(leader.0));
    LeaderHint { partition, leader, term: of.term }
}

fn refusal(reason: RefusalReason) -> Refusal {
    match reason {
        RefusalReason::NotServing => Refusal::NotServing,
        RefusalReason::NotLeader { leader, term } => {
            Refusal::NotLeader { leader: leader.and_then(|leader| NodeId::from_number(leader.0)), term }
        }
        RefusalReason::FenceUnreadable => Refusal::FenceUnreadable,
        RefusalReason::Overloaded => Refusal::Overloaded,
    }
}

impl PrimaryFeed for LocalFeed {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let flags = PollFlags { fallback_unreachable: query.fallback_unreachable, shadow: query.shadow };
        let outcome = self.handle.poll(query.authorised, query.filter, query.limit, flags);
        let refused = outcome.refused.into_iter();
        let refused = refused.map(|one| Refused { partition: one.partition, refusal: refusal(one.reason) }).collect();
        Some(PollOutcome { events: outcome.events, hidden: outcome.hidden, refused, ..PollOutcome::default() })
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        ready(self.poll_now(&query).ok_or(PrimaryError::Disconnected)).boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        self.handle.acknowledge(application, ids).map(Ok).boxed()
    }

    fn cached_order(&self, _: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        ready(Ok(None)).boxed()
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        let unserved = self.handle.status().into_iter().filter(|status| status.why_not.is_some());
        ready(Ok(unserved.map(|status| status.partition).collect())).boxed()
    }

    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        let status = self.handle.status();
        let unserved = status.iter().filter(|status| status.why_not.is_some()).map(|status| status.partition).collect();
        let leaders = status
            .iter()
            .map(|of| hint(of.partition, Leadership { leader: of.leader, term: of.term, is_ours: false }))
            .collect();
        ready(Ok(Standing { node: NodeId::from_number(self.handle.node().0), leaders, unserved })).boxed()
    }

    fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut leadership = self.handle.leadership();
            while let Some(node) = NodeId::from_number(self.handle.node().0) {
                let now = Arc::clone(&leadership.borrow_and_update());
                self.leaders.learn(node, (0..).zip(now.iter()).map(|(number, of)| hint(PartitionId(number), *of)));
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    changed = leadership.changed() => if changed.is_err() { break },
                }
            }
            shutdown.cancelled().await;
        })
    }
}
