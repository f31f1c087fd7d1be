//! The walk of one poll: the primary, for what it leaves out the fallback, and for what that cannot answer either the
//! primary once more.
//!
//! Order of preference: never lose, then never refuse a poll, then never repeat. A leader that cannot read its fence is
//! therefore asked to serve only after the fallback was tried and failed, in this very poll. Called by the router, which
//! makes the page out of it.

use std::sync::Arc;
use std::time::Duration;

use event_feed::page::PAGE_EVENTS_MAX;
use event_feed::{AuthorisedMerchants, FeedEvent, Filter};
use metrics::Histogram;
use order_model::{EventId, PartitionCount, PartitionId, SharedClock};

use super::breaker::BreakerSettings;
use super::breakers::Breakers;
use super::fallback::{Fallback, FallbackError};
use super::page;
use super::primary::{PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal};

/// How long the primary has before the fallback is asked.
pub const PRIMARY_DEADLINE: Duration = Duration::from_millis(300);

/// How long the fallback has: DynamoDB's slow answers included, and well within the edge's 10 s.
pub const FALLBACK_DEADLINE: Duration = Duration::from_secs(2);

/// How long the fallback has where it has failed repeatedly and a leader waits to serve without it. It is tried all
/// the same, because only a caller that cannot reach it may ask such a leader.
pub const FALLBACK_DEADLINE_WHEN_DOWN: Duration = Duration::from_millis(150);

/// How long the primary has when it is the last one left to ask.
pub const LAST_RESORT_DEADLINE: Duration = Duration::from_secs(1);

/// Why a partition is not answered for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// The leader said that it may not serve, or there is none.
    Refused,
    /// The leader has not all bodies of some merchant asked for, or too much to do. Others of its merchants are served
    /// as ever, so this says nothing against asking it.
    Overloaded,
    /// The leader cannot read its fence.
    FenceUnreadable,
    /// The primary did not answer in time or at all.
    Unanswered,
    /// The breaker saved the attempt.
    Skipped,
}

impl Gap {
    /// Whether the primary may be asked once more when the fallback cannot be reached.
    fn may_ask_again(self) -> bool {
        match self {
            Self::Refused | Self::Overloaded => false,
            Self::FenceUnreadable | Self::Unanswered | Self::Skipped => true,
        }
    }
}

/// A partition not answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub partition: PartitionId,
    pub gap: Gap,
}

/// What a poll gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub events: Vec<FeedEvent>,
    /// Ids that a sent filter hides.
    pub hidden: Vec<EventId>,
    /// Partitions that neither side answered for.
    pub missing: Vec<Missing>,
    /// How many partitions there were in all; 0 when the primary answered for all of them and nobody counted.
    pub partitions: usize,
    pub by_fallback: bool,
    pub by_last_resort: bool,
    /// More may be pending than the number of events tells.
    pub is_cut: bool,
    /// Events that became strikes.
    pub struck: Vec<EventId>,
    /// Why the fallback did not answer, if it was asked and did not.
    pub fallback_error: Option<FallbackError>,
}

impl Gathered {
    fn take(&mut self, mut outcome: PollOutcome, authorised: &AuthorisedMerchants) {
        page::drop_foreign(&mut outcome.events, authorised);
        self.is_cut |= outcome.is_cut;
        self.hidden.append(&mut outcome.hidden);
        self.struck.append(&mut outcome.struck);
        let gathered = std::mem::take(&mut self.events);
        self.events = if gathered.is_empty() { outcome.events } else { page::merge(gathered, outcome.events) };
    }

    /// Whether no merchant was answered for.
    pub fn is_nothing(&self) -> bool {
        self.partitions > 0 && self.missing.len() >= self.partitions
    }
}

/// Asks both sides.
pub(super) struct PollWalk {
    primary: Arc<dyn PrimaryFeed>,
    fallback: Arc<Fallback>,
    breakers: Breakers,
    clock: SharedClock,
    seconds: PrimarySeconds,
}

/// How long the primary takes, by outcome; looking a histogram up costs more than recording.
struct PrimarySeconds {
    ok: Histogram,
    deadline: Histogram,
    error: Histogram,
}

impl PrimarySeconds {
    fn new() -> Self {
        let of = |outcome: &'static str| {
            metrics::histogram!("comanda_dependency_seconds",
                "dependency" => "order-events", "operation" => "poll", "outcome" => outcome)
        };
        Self { ok: of("ok"), deadline: of("deadline"), error: of("error") }
    }

    fn of(&self, answer: &Result<PollOutcome, PrimaryError>) -> &Histogram {
        match answer {
            Ok(_) => &self.ok,
            Err(PrimaryError::Deadline { .. }) => &self.deadline,
            Err(_) => &self.error,
        }
    }
}

impl PollWalk {
    pub fn new(
        primary: Arc<dyn PrimaryFeed>,
        fallback: Arc<Fallback>,
        partitions: PartitionCount,
        clock: SharedClock,
    ) -> Self {
        let breakers = Breakers::new("polls", BreakerSettings::POLLS, partitions);
        Self { primary, fallback, breakers, clock, seconds: PrimarySeconds::new() }
    }

    /// What the primary answers without being waited for; `None` where it has to be, or where a breaker has to be asked
    /// first. An answer that is not whole belongs to [`PollWalk::gather`]: what it holds is marked as delivered.
    pub fn ask_at_once(&self, authorised: &AuthorisedMerchants, filter: &Filter) -> Option<PollOutcome> {
        if !self.breakers.are_pristine() {
            return None;
        }
        self.primary.poll_now(&query(authorised, filter, false, PRIMARY_DEADLINE))
    }

    /// Gathers what can be had for `authorised`, beginning with what the primary has answered already.
    pub async fn gather(
        &self,
        authorised: &AuthorisedMerchants,
        filter: &Filter,
        so_far: Option<PollOutcome>,
    ) -> Gathered {
        let mut gathered = Gathered::default();
        if let Some(outcome) = so_far {
            gathered.missing = self.take_answer(&mut gathered, Ok(outcome), authorised);
        } else if self.breakers.are_pristine() {
            gathered.missing = self.ask_primary(&mut gathered, authorised, filter).await;
        } else {
            let partitions = self.breakers.partitions_of(authorised);
            let plan = self.breakers.plan(partitions, self.clock.monotonic());
            if !plan.ask.is_empty() {
                let asked = self.breakers.restrict(authorised, &plan.ask);
                gathered.missing = self.ask_primary(&mut gathered, &asked, filter).await;
            }
            gathered.missing.extend(plan.skip.iter().map(|&partition| Missing { partition, gap: Gap::Skipped }));
        }
        if gathered.missing.is_empty() {
            return gathered;
        }
        // Boxed: it is rare, and would be a part of every poll that waits for another process.
        Box::pin(self.ask_others(&mut gathered, authorised, filter)).await;
        gathered
    }

    async fn ask_others(&self, gathered: &mut Gathered, authorised: &AuthorisedMerchants, filter: &Filter) {
        gathered.partitions = self.breakers.partitions_of(authorised).len();
        self.ask_fallback(gathered, authorised, filter).await;
        if gathered.fallback_error.is_some() {
            self.ask_again(gathered, authorised, filter).await;
        }
    }

    async fn ask_primary(&self, gathered: &mut Gathered, asked: &AuthorisedMerchants, filter: &Filter) -> Vec<Missing> {
        let answer = self.primary_answer(query(asked, filter, false, PRIMARY_DEADLINE)).await;
        self.take_answer(gathered, answer, asked)
    }

    fn take_answer(
        &self,
        gathered: &mut Gathered,
        answer: Result<PollOutcome, PrimaryError>,
        asked: &AuthorisedMerchants,
    ) -> Vec<Missing> {
        let missing = match answer {
            Ok(outcome) => {
                let missing = self.missing_in(&outcome, asked);
                gathered.take(outcome, asked);
                missing
            }
            Err(_) => self.all_of(asked, Gap::Unanswered),
        };
        self.observe(asked, &missing);
        missing
    }

    /// A leader that cannot read its fence, or has not everything of one merchant, has answered as it should: that is no
    /// failure of the attempt.
    fn observe(&self, asked: &AuthorisedMerchants, missing: &[Missing]) {
        let failed = |missing: &&Missing| matches!(missing.gap, Gap::Refused | Gap::Unanswered);
        let failures: Vec<PartitionId> = missing.iter().filter(failed).map(|missing| missing.partition).collect();
        if failures.is_empty() && self.breakers.are_pristine() {
            return;
        }
        let now = self.clock.monotonic();
        for partition in self.breakers.partitions_of(asked) {
            self.breakers.observe(partition, now, !failures.contains(&partition));
        }
    }

    async fn ask_fallback(&self, gathered: &mut Gathered, authorised: &AuthorisedMerchants, filter: &Filter) {
        let asked = self.restrict(authorised, &gathered.missing);
        let a_leader_waits = gathered.missing.iter().all(|missing| missing.gap == Gap::FenceUnreadable);
        let is_hopeless = a_leader_waits && self.fallback.is_down();
        let deadline = if is_hopeless { FALLBACK_DEADLINE_WHEN_DOWN } else { FALLBACK_DEADLINE };
        match self.fallback.poll(query(&asked, filter, false, deadline), deadline).await {
            Ok(outcome) => {
                gathered.by_fallback = true;
                let refused: Vec<PartitionId> = outcome.refused.iter().map(|refused| refused.partition).collect();
                gathered.missing.retain(|missing| refused.contains(&missing.partition));
                gathered.take(outcome, &asked);
                if !gathered.missing.is_empty() {
                    gathered.fallback_error = Some(FallbackError::Refused { partitions: gathered.missing.len() });
                }
            }
            Err(error) => gathered.fallback_error = Some(error),
        }
    }

    /// The fallback could not be reached: whoever may serve without it is asked to.
    async fn ask_again(&self, gathered: &mut Gathered, authorised: &AuthorisedMerchants, filter: &Filter) {
        let (again, refused): (Vec<Missing>, Vec<Missing>) =
            gathered.missing.drain(..).partition(|missing| missing.gap.may_ask_again());
        gathered.missing = refused;
        if again.is_empty() {
            return;
        }
        let asked = self.restrict(authorised, &again);
        match self.primary_answer(query(&asked, filter, true, LAST_RESORT_DEADLINE)).await {
            Ok(outcome) => {
                gathered.by_last_resort = true;
                gathered.missing.extend(self.missing_in(&outcome, &asked));
                gathered.take(outcome, &asked);
            }
            Err(_) => gathered.missing.extend(again),
        }
    }

    async fn primary_answer(&self, query: PollQuery<'_>) -> Result<PollOutcome, PrimaryError> {
        if let Some(outcome) = self.primary.poll_now(&query) {
            return Ok(outcome);
        }
        let (started, deadline) = (self.clock.monotonic(), query.within);
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let answer = tokio::time::timeout(deadline, self.primary.poll(query))
            .await
            .unwrap_or(Err(PrimaryError::Deadline { deadline_ms }));
        self.seconds.of(&answer).record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        answer
    }

    fn all_of(&self, asked: &AuthorisedMerchants, gap: Gap) -> Vec<Missing> {
        self.breakers.partitions_of(asked).into_iter().map(|partition| Missing { partition, gap }).collect()
    }

    /// What an answer left out. Partitions that were not asked for do not count, however a peer comes to name them.
    fn missing_in(&self, outcome: &PollOutcome, asked: &AuthorisedMerchants) -> Vec<Missing> {
        if outcome.refused.is_empty() {
            return Vec::new();
        }
        let refusal_of = |partition: PartitionId| {
            outcome.refused.iter().find(|refused| refused.partition == partition).map(|refused| refused.refusal)
        };
        let missing = |partition| {
            let gap = match refusal_of(partition)? {
                Refusal::NotServing | Refusal::NotLeader { .. } => Gap::Refused,
                Refusal::Unreachable => Gap::Unanswered,
                Refusal::Overloaded => Gap::Overloaded,
                Refusal::FenceUnreadable => Gap::FenceUnreadable,
            };
            Some(Missing { partition, gap })
        };
        self.breakers.partitions_of(asked).into_iter().filter_map(missing).collect()
    }

    fn restrict(&self, authorised: &AuthorisedMerchants, missing: &[Missing]) -> AuthorisedMerchants {
        let partitions = missing.iter().map(|missing| missing.partition).collect();
        self.breakers.restrict(authorised, &super::breakers::sorted(partitions))
    }

    /// The breakers, for tests.
    #[cfg(test)]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }
}

fn query<'a>(
    authorised: &'a AuthorisedMerchants,
    filter: &'a Filter,
    fallback_unreachable: bool,
    within: Duration,
) -> PollQuery<'a> {
    PollQuery { authorised, filter, limit: PAGE_EVENTS_MAX, fallback_unreachable, shadow: false, within }
}
