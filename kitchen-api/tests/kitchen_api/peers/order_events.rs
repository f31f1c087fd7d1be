//! The scripted order-events, in this process: what is pending and acknowledged stays what tests put there.
//!
//! Asked by kitchen-api through `PrimaryFeed`. It expires, fences and elects nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use event_feed::{FeedEvent, Verdict};
use futures::future::BoxFuture;
use kitchen_api::feed::{CachedOrder, News, PollOutcome, PollQuery, PrimaryError, PrimaryFeed};
use order_model::{ApplicationId, EventId, OrderId, PartitionId};
use parking_lot::Mutex;

use crate::peers::count_down;

/// order-events, and what both sides know.
#[derive(Default)]
pub struct Feed {
    pub events: Mutex<Vec<FeedEvent>>,
    pub acknowledged: Mutex<BTreeSet<(ApplicationId, EventId)>>,
    pub polls: AtomicU32,
    pub cached: Mutex<HashMap<OrderId, CachedOrder>>,
    pub down: AtomicBool,
    /// So many requests it takes and dies of, before it answers.
    pub dies_of: AtomicU32,
    /// It answers polls at once, as a feed of the same process does.
    pub local: AtomicBool,
    /// How often it has delivered what to whom.
    pub deliveries: Mutex<HashMap<(ApplicationId, EventId), u32>>,
    /// It tells no news, as one of an older version.
    pub tells_nothing: AtomicBool,
    /// Of every instance that asks it.
    news: Mutex<Vec<News>>,
}

impl Feed {
    pub fn acknowledged_by(&self, application: &str) -> Vec<EventId> {
        let acknowledged = self.acknowledged.lock();
        acknowledged.iter().filter(|(by, _)| by.as_str() == application).map(|(_, id)| *id).collect()
    }

    /// Something new, and whoever waits is told.
    pub fn publish(&self, event: FeedEvent) {
        let merchant = event.merchant;
        self.events.lock().push(event);
        if !self.tells_nothing.load(Ordering::SeqCst) {
            self.news.lock().iter().for_each(|news| news.tell(&[merchant]));
        }
    }

    async fn die(&self) -> Result<(), PrimaryError> {
        if !count_down(&self.dies_of) {
            return Ok(());
        }
        tokio::task::yield_now().await;
        Err(PrimaryError::Disconnected)
    }

    fn outcome(&self, query: &PollQuery<'_>) -> PollOutcome {
        let acknowledged = self.acknowledged.lock();
        let mut outcome = PollOutcome::default();
        let application = query.authorised.application();
        for event in self.events.lock().iter() {
            let granted = query.authorised.merchants().iter().any(|granted| granted.merchant == event.merchant);
            if !granted || acknowledged.contains(&(application.clone(), event.id)) {
                continue;
            }
            match query.filter.verdict(event) {
                Verdict::Show => outcome.events.push(event.clone()),
                Verdict::Hide => {}
                Verdict::HideAndAcknowledge => outcome.hidden.push(event.id),
            }
        }
        outcome.events.truncate(query.limit);
        self.count_deliveries(query, &mut outcome);
        outcome
    }

    /// As order-events does: the fiftieth delivery is a strike, a comparison read says how many there are.
    fn count_deliveries(&self, query: &PollQuery<'_>, outcome: &mut PollOutcome) {
        let mut deliveries = self.deliveries.lock();
        let mut count = |event: &FeedEvent, more: u32| {
            let count = deliveries.entry((query.authorised.application().clone(), event.id)).or_default();
            *count += more;
            *count
        };
        if query.shadow {
            let strikes = outcome.events.iter().filter(|event| count(event, 0) >= 50).count();
            outcome.strikes = Some(u32::try_from(strikes).unwrap());
            return;
        }
        outcome.struck = outcome.events.iter().filter(|event| count(event, 1) == 50).map(|event| event.id).collect();
    }
}

impl PrimaryFeed for Feed {
    fn bring_news(&self, news: &News) {
        self.news.lock().push(news.clone());
    }

    fn brings_all_news(&self) -> bool {
        !self.tells_nothing.load(Ordering::SeqCst) && !self.down.load(Ordering::SeqCst)
    }

    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let answers = self.local.load(Ordering::SeqCst) && !self.down.load(Ordering::SeqCst);
        answers.then(|| {
            self.polls.fetch_add(1, Ordering::SeqCst);
            self.outcome(query)
        })
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(PrimaryError::Disconnected);
            }
            self.polls.fetch_add(1, Ordering::SeqCst);
            self.die().await?;
            Ok(self.outcome(&query))
        })
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(PrimaryError::Disconnected);
            }
            self.die().await?;
            self.acknowledged.lock().extend(ids.iter().map(|id| (application.clone(), *id)));
            Ok(Vec::new())
        })
    }

    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(async move { Ok(self.cached.lock().get(&order).cloned()) })
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) { Err(PrimaryError::Disconnected) } else { Ok(Vec::new()) }
        })
    }
}
