//! order-events in the same process, behind the trait that kitchen-api asks: a poll is a plain call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kitchen_api::feed::{
    CachedOrder, LeaderHint, LeaderMap, News, NodeId, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal,
    Refused, Standing,
};
use order_events::{Handle, PollFlags, RefusalReason};
use order_model::{ApplicationId, EventId, OrderId, PartitionId};
use tokio_util::sync::CancellationToken;

/// order-events of this process.
pub struct LocalFeed {
    handle: Handle,
    leaders: Option<LeaderMap>,
    /// Where news go, and whether they do by now.
    news: OnceLock<News>,
    tells_news: AtomicBool,
}

impl LocalFeed {
    /// Over a service's handle.
    pub fn new(handle: Handle) -> Self {
        Self { handle, leaders: None, news: OnceLock::new(), tells_news: AtomicBool::new(false) }
    }

    /// The same, as one node of several: what it knows of leaders goes to `leaders`.
    #[must_use]
    pub fn telling(self, leaders: LeaderMap) -> Self {
        Self { leaders: Some(leaders), ..self }
    }

    /// Tells the leader map, if there is one, every change of leadership as soon as this process knows it.
    async fn tell_leaders(&self) {
        let mut leadership = self.handle.leadership();
        while let (Some(leaders), Some(node)) = (&self.leaders, NodeId::from_number(self.handle.node().0)) {
            let now = Arc::clone(&leadership.borrow_and_update());
            let hint = |(number, of): (u16, &order_events::Leadership)| LeaderHint {
                partition: PartitionId(number),
                leader: of.leader.and_then(|leader| NodeId::from_number(leader.0)),
                term: of.term,
            };
            leaders.learn(node, (0..).zip(now.iter()).map(hint));
            if leadership.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells whoever waits what this process brings in, from the first who waits on.
    async fn tell_news(&self) {
        let Some(news) = self.news.get() else { return };
        news.wanted().await;
        let mut subscription = self.handle.subscribe();
        self.tells_news.store(true, Ordering::Relaxed);
        // What came before is found by looking.
        news.doubt();
        loop {
            let told = subscription.next().await;
            news.tell(&told.merchants);
            if told.is_cut {
                news.doubt();
            }
        }
    }

    fn answer(&self, query: &PollQuery<'_>) -> PollOutcome {
        let flags = PollFlags { fallback_unreachable: query.fallback_unreachable, shadow: query.shadow };
        let outcome = self.handle.poll(query.authorised, query.filter, query.limit, flags);
        let refused = outcome.refused.into_iter().map(|refused| Refused {
            partition: refused.partition,
            refusal: match refused.reason {
                RefusalReason::NotServing => Refusal::NotServing,
                RefusalReason::NotLeader { leader, term } => {
                    Refusal::NotLeader { leader: leader.and_then(|leader| NodeId::from_number(leader.0)), term }
                }
                RefusalReason::FenceUnreadable => Refusal::FenceUnreadable,
                RefusalReason::Overloaded => Refusal::Overloaded,
            },
        });
        PollOutcome {
            events: outcome.events,
            hidden: outcome.hidden,
            refused: refused.collect(),
            is_cut: false,
            struck: outcome.struck,
            strikes: outcome.strikes,
        }
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
        ready(Ok(cached.map(|order| CachedOrder {
            merchant: order.merchant,
            body: order.body,
            sequence: order.sequence,
        })))
        .boxed()
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        let unserved = self.handle.status().into_iter().filter(|status| status.why_not.is_some());
        ready(Ok(unserved.map(|status| status.partition).collect())).boxed()
    }

    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        let status = self.handle.status();
        let unserved = status.iter().filter(|status| status.why_not.is_some()).map(|status| status.partition).collect();
        let leaders = status.into_iter().map(|status| LeaderHint {
            partition: status.partition,
            leader: status.leader.and_then(|leader| NodeId::from_number(leader.0)),
            term: status.term,
        });
        let node = NodeId::from_number(self.handle.node().0);
        ready(Ok(Standing { node, leaders: leaders.collect(), unserved })).boxed()
    }

    fn bring_news(&self, news: &News) {
        // One router has this feed.
        let _ = self.news.set(news.clone());
    }

    fn brings_all_news(&self) -> bool {
        self.tells_news.load(Ordering::Relaxed)
    }

    /// Tells who leads and what is new, to whoever wants to know.
    fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = async { tokio::join!(self.tell_leaders(), self.tell_news(), shutdown.cancelled()) } => {}
            }
            self.tells_news.store(false, Ordering::Relaxed);
        })
    }
}
