//! order-events in the same process, behind the trait that kitchen-api asks: a poll is a plain call.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kitchen_api::feed::{CachedOrder, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused};
use order_events::{Handle, PollFlags, RefusalReason};
use order_model::{ApplicationId, EventId, OrderId, PartitionId};

/// order-events of this process.
pub struct LocalFeed {
    handle: Handle,
}

impl LocalFeed {
    /// Over a service's handle.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    fn answer(&self, query: &PollQuery<'_>) -> PollOutcome {
        let flags = PollFlags { fallback_unreachable: query.fallback_unreachable, shadow: query.shadow };
        let outcome = self.handle.poll(query.authorised, query.filter, query.limit, flags);
        let refused = outcome.refused.into_iter().map(|refused| Refused {
            partition: refused.partition,
            refusal: match refused.reason {
                RefusalReason::NotServing => Refusal::NotServing,
                RefusalReason::FenceUnreadable => Refusal::FenceUnreadable,
                RefusalReason::Overloaded => Refusal::Overloaded,
            },
        });
        PollOutcome { events: outcome.events, hidden: outcome.hidden, refused: refused.collect() }
    }
}

impl PrimaryFeed for LocalFeed {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        Some(self.answer(query))
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        ready(Ok(self.answer(&query))).boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        self.handle.acknowledge(application, ids).map(Ok).boxed()
    }

    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        let cached = self.handle.cached_order(order);
        ready(Ok(cached.map(|order| CachedOrder { merchant: order.merchant, body: order.body }))).boxed()
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        let unserved = self.handle.status().into_iter().filter(|status| status.why_not.is_some());
        ready(Ok(unserved.map(|status| status.partition).collect())).boxed()
    }
}
