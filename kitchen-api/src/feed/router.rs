//! The feed as kitchen-api's handlers use it: poll, acknowledge, an order's cached details, and whether polls are served.
//!
//! It puts the parts together and decides nothing of its own but what is worth an answer: a page that some partitions
//! are missing from is answered as long as it holds an event; "nothing pending" is said only when everybody was asked.
//! Beats and HTTP are deliberately absent.

use std::sync::Arc;
use std::time::Duration;

use event_feed::{AuthorisedMerchants, FeedEvent, Filter};
use metrics::Counter;
use order_model::{ApplicationId, EventId, EventIdKey, OrderId, PartitionCount, SharedClock};
use proto::transport::Transport;
use tokio_util::sync::CancellationToken;

use super::acknowledgment::{Acknowledger, AcknowledgmentError};
use super::fallback::{Fallback, FallbackError};
use super::news::News;
use super::page;
use super::poll::{Gathered, PollWalk};
use super::primary::{CachedOrder, PollOutcome, PrimaryFeed};
use super::replay::{ReplayPlace, ReplayedPage};
use super::served_log::ServedLog;
use super::serving::ServingEvidence;
use super::shadow::{ShadowReader, SharedRandom};

/// How long a poll waits for the ids that its filter hides to be acknowledged. Failing that they stay pending.
pub const HIDDEN_DEADLINE: Duration = Duration::from_secs(1);

/// The same where the fallback has failed repeatedly.
pub const HIDDEN_DEADLINE_WHEN_DOWN: Duration = Duration::from_millis(150);

/// How long an order's cached details may take.
pub const CACHED_ORDER_DEADLINE: Duration = Duration::from_millis(500);

/// How often both sides are probed for whether polls could be served.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Settings of the feed.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// How many partitions order-events has; the same everywhere in a cluster. Default 16.
    pub partitions: PartitionCount,
    /// The share of polls that are also read from the fallback and compared, 0 to 1. Default 0.01.
    pub shadow_ratio: f64,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self { partitions: PartitionCount::DEFAULT, shadow_ratio: 0.01 }
    }
}

/// What the feed is given.
pub struct FeedDependencies {
    /// order-events: the binary's adapter in the same process, a [`super::remote::RemoteFeed`], or a
    /// [`super::routed::RoutedFeed`] over several of them.
    pub primary: Arc<dyn PrimaryFeed>,
    /// connection-polling.
    pub fallback: Transport,
    /// The key under which event ids are made.
    pub event_id_key: EventIdKey,
    /// Time.
    pub clock: SharedClock,
    /// Chooses the polls to compare.
    pub random: SharedRandom,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledPage {
    /// The events to show, at most 1,000; empty: nothing is pending.
    pub events: Vec<FeedEvent>,
    /// Who answered.
    pub answered_by: AnsweredBy,
    /// Strikes: events that were delivered often enough with this page and never acknowledged. Each is told once.
    pub struck: Vec<EventId>,
}

/// How far a poll has come without waiting.
#[derive(Debug)]
pub enum Begun {
    /// To the end.
    Answered(PolledPage),
    /// To what is to be passed to [`FeedRouter::finish`]: what the primary has answered already, if it was asked.
    Unfinished(Option<PollOutcome>),
}

/// Who answered a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// order-events alone.
    Primary,
    /// connection-polling, for some partitions at least.
    Fallback,
    /// order-events without its fence, because connection-polling cannot be reached.
    PrimaryUnfenced,
    /// Some partitions were answered for by nobody; their merchants' events come with a later poll.
    Partly,
}

/// 503. Always worth a retry.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedUnavailable {
    /// Neither side answered a poll.
    #[error("neither feed answers for {partitions} of the partitions asked for")]
    Poll {
        /// How many partitions nobody answered for.
        partitions: usize,
        /// Why the fallback did not.
        #[source]
        fallback: Option<FallbackError>,
    },
    /// An acknowledgment is not true everywhere.
    #[error("the acknowledgment was not taken")]
    Acknowledge(#[source] AcknowledgmentError),
}

impl FeedUnavailable {
    /// Whether the same request may succeed later: always.
    pub fn is_retryable(&self) -> bool {
        true
    }
}

/// The feed. Cheap to clone.
#[derive(Clone)]
pub struct FeedRouter {
    pub(super) parts: Arc<Parts>,
}

pub(super) struct Parts {
    pub(super) primary: Arc<dyn PrimaryFeed>,
    pub(super) fallback: Arc<Fallback>,
    walk: PollWalk,
    acknowledger: Acknowledger,
    shadow: ShadowReader,
    serving: ServingEvidence,
    served: ServedLog,
    pub(super) news: News,
    polls: PollCounters,
    clock: SharedClock,
}

impl FeedRouter {
    /// Puts a feed together; does nothing yet. [`FeedRouter::run`] must be running for it to work well.
    pub fn new(config: &FeedConfig, dependencies: FeedDependencies) -> Self {
        let FeedDependencies { primary, fallback, event_id_key, clock, random } = dependencies;
        let fallback = Fallback::new(fallback, clock.clone());
        let partitions = config.partitions;
        let acknowledger =
            Acknowledger::new(primary.clone(), fallback.clone(), partitions, event_id_key, clock.clone());
        let news = News::default();
        primary.bring_news(&news);
        let parts = Parts {
            walk: PollWalk::new(primary.clone(), fallback.clone(), partitions, clock.clone()),
            shadow: ShadowReader::new(primary.clone(), fallback.clone(), clock.clone(), config.shadow_ratio, random),
            acknowledger,
            serving: ServingEvidence::default(),
            served: ServedLog::default(),
            news,
            polls: PollCounters::new(),
            primary,
            fallback,
            clock,
        };
        Self { parts: Arc::new(parts) }
    }

    /// Answers a poll. Ids that a sent filter hides are acknowledged already.
    ///
    /// # Errors
    /// 503, when neither side can answer; nothing was acknowledged then.
    pub async fn poll(&self, authorised: &AuthorisedMerchants, filter: &Filter) -> Result<PolledPage, FeedUnavailable> {
        match self.begin(authorised, filter) {
            Begun::Answered(page) => Ok(page),
            Begun::Unfinished(so_far) => self.finish(authorised, filter, so_far).await,
        }
    }

    /// Answers a poll as far as nothing has to be waited for, which is nearly always all the way where the primary
    /// lives in this process.
    pub fn begin(&self, authorised: &AuthorisedMerchants, filter: &Filter) -> Begun {
        let parts = &*self.parts;
        match parts.walk.ask_at_once(authorised, filter) {
            Some(mut outcome) if outcome.refused.is_empty() && outcome.hidden.is_empty() => {
                page::drop_foreign(&mut outcome.events, authorised);
                parts.serving.served(parts.clock.monotonic());
                if !outcome.is_cut {
                    parts.shadow.offer(authorised, filter, &outcome.events);
                }
                Begun::Answered(parts.page(outcome.events, AnsweredBy::Primary, outcome.struck))
            }
            so_far => Begun::Unfinished(so_far),
        }
    }

    /// Finishes what [`FeedRouter::begin`] left unfinished.
    ///
    /// # Errors
    /// 503, when neither side can answer; nothing was acknowledged then.
    pub async fn finish(
        &self,
        authorised: &AuthorisedMerchants,
        filter: &Filter,
        so_far: Option<PollOutcome>,
    ) -> Result<PolledPage, FeedUnavailable> {
        let parts = &*self.parts;
        let gathered = parts.walk.gather(authorised, filter, so_far).await;
        let now = parts.clock.monotonic();
        if gathered.missing.is_empty() {
            parts.serving.served(now);
        } else {
            parts.serving.incomplete(now);
            if gathered.is_nothing() || gathered.events.is_empty() {
                parts.polls.nobody.increment(1);
                let partitions = gathered.missing.len();
                return Err(FeedUnavailable::Poll { partitions, fallback: gathered.fallback_error });
            }
        }
        let answered_by = answered_by(&gathered);
        if answered_by == AnsweredBy::Primary && !gathered.is_cut {
            parts.shadow.offer(authorised, filter, &gathered.events);
        }
        // A feed of an older version may list them all the same.
        if !gathered.hidden.is_empty() && !filter.keeps_hidden {
            Box::pin(parts.acknowledge_hidden(authorised.application(), &gathered.hidden)).await;
        }
        Ok(parts.page(gathered.events, answered_by, gathered.struck))
    }

    /// Acknowledges. `Ok` is a 202; ids that are not ours are dropped and counted.
    ///
    /// # Errors
    /// 503: repeat it. Some of the ids may be acknowledged.
    pub async fn acknowledge(&self, application: &ApplicationId, ids: Vec<EventId>) -> Result<(), FeedUnavailable> {
        self.parts.acknowledger.acknowledge(application, ids).await.map_err(FeedUnavailable::Acknowledge)
    }

    /// A page of one merchant's events again, acknowledged or not, from connection-polling.
    ///
    /// # Errors
    /// 503, when it does not answer.
    pub async fn replay(
        &self,
        authorised: &AuthorisedMerchants,
        after: Option<ReplayPlace>,
        limit: usize,
    ) -> Result<ReplayedPage, FallbackError> {
        self.parts.fallback.replay(authorised, after, limit).await
    }

    /// An order's details from order-events' bounded cache, for when the core cannot be reached. `None` when they are
    /// not there or cannot be had.
    pub async fn cached_order(&self, order: OrderId) -> Option<CachedOrder> {
        let answer = tokio::time::timeout(CACHED_ORDER_DEADLINE, self.parts.primary.cached_order(order)).await;
        let (found, outcome) = match answer {
            Ok(Ok(Some(order))) => (Some(order), "hit"),
            Ok(Ok(None)) => (None, "miss"),
            Ok(Err(_)) | Err(_) => (None, "failed"),
        };
        metrics::counter!("comanda_kitchen_api_cached_orders_total", "outcome" => outcome).increment(1);
        found
    }

    /// Whether polls of all merchants have been served lately, or could have been.
    pub fn serving(&self) -> bool {
        self.parts.serving.is_serving(self.parts.clock.monotonic())
    }

    /// Keeps the primary connected, probes both sides and compares them, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let parts = &*self.parts;
        tokio::join!(parts.primary.run(shutdown.clone()), parts.shadow.run(shutdown.clone()), parts.probe(shutdown),);
    }

    /// The breakers of polls, for tests.
    #[cfg(test)]
    pub(super) fn breakers(&self) -> &super::breakers::Breakers {
        self.parts.walk.breakers()
    }
}

impl Parts {
    fn page(&self, events: Vec<FeedEvent>, answered_by: AnsweredBy, struck: Vec<EventId>) -> PolledPage {
        self.served.served(&events);
        self.polls.of(answered_by).increment(1);
        PolledPage { events, answered_by, struck }
    }

    /// Bounded: a poll is worth more than a hidden event that is hidden once more.
    async fn acknowledge_hidden(&self, application: &ApplicationId, hidden: &[EventId]) {
        let deadline = if self.fallback.is_down() { HIDDEN_DEADLINE_WHEN_DOWN } else { HIDDEN_DEADLINE };
        let acknowledging = self.acknowledger.acknowledge_genuine(application, hidden);
        if !matches!(tokio::time::timeout(deadline, acknowledging).await, Ok(Ok(()))) {
            metrics::counter!("comanda_kitchen_api_hidden_unacknowledged_total").increment(hidden.len() as u64);
        }
    }

    /// Finds out once a second whether polls could be served, and whether a fallback that was down is back.
    async fn probe(&self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(PROBE_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = shutdown.cancelled() => return,
            }
            tokio::select! {
                () = self.probe_once() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn probe_once(&self) {
        let unserved = tokio::time::timeout(PROBE_INTERVAL, self.primary.unserved()).await;
        let primary_serves = matches!(unserved, Ok(Ok(partitions)) if partitions.is_empty());
        let could_serve = if primary_serves && !self.fallback.is_down() {
            true
        } else {
            let fallback_serves = self.fallback.read_fences().await.is_ok();
            primary_serves || fallback_serves
        };
        if could_serve {
            self.serving.served(self.clock.monotonic());
        }
    }
}

fn answered_by(gathered: &Gathered) -> AnsweredBy {
    if !gathered.missing.is_empty() {
        AnsweredBy::Partly
    } else if gathered.by_last_resort {
        AnsweredBy::PrimaryUnfenced
    } else if gathered.by_fallback {
        AnsweredBy::Fallback
    } else {
        AnsweredBy::Primary
    }
}

/// Polls by who answered them, through handles that are made once: a look-up by name would be dear on every poll.
struct PollCounters {
    primary: Counter,
    fallback: Counter,
    primary_unfenced: Counter,
    partly: Counter,
    nobody: Counter,
}

impl PollCounters {
    fn new() -> Self {
        let counter =
            |answered_by| metrics::counter!("comanda_kitchen_api_feed_polls_total", "answered_by" => answered_by);
        Self {
            primary: counter("primary"),
            fallback: counter("fallback"),
            primary_unfenced: counter("primary_unfenced"),
            partly: counter("partly"),
            nobody: counter("nobody"),
        }
    }

    fn of(&self, answered_by: AnsweredBy) -> &Counter {
        match answered_by {
            AnsweredBy::Primary => &self.primary,
            AnsweredBy::Fallback => &self.fallback,
            AnsweredBy::PrimaryUnfenced => &self.primary_unfenced,
            AnsweredBy::Partly => &self.partly,
        }
    }
}
