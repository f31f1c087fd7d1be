//! One breaker per partition behind locks, with the log lines and metrics of its transitions.
//!
//! Used by the poll's walk and, with a set of its own, by acknowledgments. While no breaker has a failure on record a
//! poll neither locks nor even computes its partitions. Decisions are in [`super::breaker`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::AuthorisedMerchants;
use order_model::{PartitionCount, PartitionId, RoutingHash};
use parking_lot::Mutex;

use super::breaker::{BreakerEffect, BreakerInput, BreakerSettings, BreakerState};

/// The breakers of every partition, for one kind of attempt.
pub(super) struct Breakers {
    purpose: &'static str,
    settings: BreakerSettings,
    partitions: PartitionCount,
    states: Box<[Mutex<BreakerState>]>,
    /// How many states are not pristine; zero is the fast path.
    troubled: AtomicUsize,
    open: AtomicUsize,
}

/// Which of some partitions to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be asked, sorted.
    pub ask: Vec<PartitionId>,
    /// Attempts to save, sorted.
    pub skip: Vec<PartitionId>,
}

impl Breakers {
    /// All closed. `purpose` is a metric label and a log field: `polls` or `acknowledgments`.
    pub fn new(purpose: &'static str, settings: BreakerSettings, partitions: PartitionCount) -> Self {
        let states = partitions.iter().map(|_| Mutex::new(BreakerState::PRISTINE)).collect();
        Self { purpose, settings, partitions, states, troubled: AtomicUsize::new(0), open: AtomicUsize::new(0) }
    }

    /// Whether no breaker has a failure on record: every attempt may be made.
    pub fn are_pristine(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) == 0
    }

    /// Decides for each of `partitions` (sorted) whether it is asked.
    pub fn plan(&self, partitions: Vec<PartitionId>, at: Duration) -> Plan {
        if self.are_pristine() {
            return Plan { ask: partitions, skip: Vec::new() };
        }
        let asks = |partition: &PartitionId| match self.apply(*partition, at, BreakerInput::Asked) {
            BreakerEffect::Skip => false,
            BreakerEffect::Attempt
            | BreakerEffect::Probe
            | BreakerEffect::Nothing
            | BreakerEffect::Opened
            | BreakerEffect::Reopened
            | BreakerEffect::Closed { .. } => true,
        };
        let (ask, skip) = partitions.into_iter().partition(asks);
        Plan { ask, skip }
    }

    /// Takes in the outcome of an attempt.
    pub fn observe(&self, partition: PartitionId, at: Duration, answered: bool) {
        if answered && self.are_pristine() {
            return;
        }
        self.apply(partition, at, if answered { BreakerInput::Answered } else { BreakerInput::Failed });
    }

    fn apply(&self, partition: PartitionId, at: Duration, input: BreakerInput) -> BreakerEffect {
        // A partition that a peer invented has no breaker.
        let Some(cell) = self.states.get(usize::from(partition.0)) else {
            return BreakerEffect::Attempt;
        };
        let mut state = cell.lock();
        let before = *state;
        let (after, effect) = before.apply(&self.settings, at, input);
        *state = after;
        self.count_pristine(before, after);
        drop(state);
        self.report(partition, effect);
        effect
    }

    fn count_pristine(&self, before: BreakerState, after: BreakerState) {
        match (before == BreakerState::PRISTINE, after == BreakerState::PRISTINE) {
            (true, false) => self.troubled.fetch_add(1, Ordering::Relaxed),
            (false, true) => self.troubled.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => return,
        };
    }

    /// Logs the ends of an episode once each; probes that fail within it are counted only.
    fn report(&self, partition: PartitionId, effect: BreakerEffect) {
        let (to, purpose) = match effect {
            BreakerEffect::Attempt | BreakerEffect::Skip | BreakerEffect::Nothing => return,
            BreakerEffect::Probe => ("half_open", self.purpose),
            BreakerEffect::Reopened => ("reopened", self.purpose),
            BreakerEffect::Opened => {
                self.open.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    partition = partition.0,
                    purpose = self.purpose,
                    "breaker opened: the primary feed fails"
                );
                ("open", self.purpose)
            }
            BreakerEffect::Closed { lasted } => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(partition = partition.0, purpose = self.purpose, lasted_ms, "breaker closed");
                ("closed", self.purpose)
            }
        };
        metrics::counter!("comanda_kitchen_api_breaker_transitions_total", "purpose" => purpose, "to" => to)
            .increment(1);
        #[expect(clippy::cast_precision_loss, reason = "at most 65,535 partitions")]
        metrics::gauge!("comanda_kitchen_api_breakers_open", "purpose" => purpose)
            .set(self.open.load(Ordering::Relaxed) as f64);
    }

    /// The partitions of `authorised`, sorted, each once.
    pub fn partitions_of(&self, authorised: &AuthorisedMerchants) -> Vec<PartitionId> {
        let partition = |merchant| RoutingHash::of(merchant).partition(self.partitions);
        sorted(authorised.merchants().iter().map(|granted| partition(granted.merchant)).collect())
    }

    /// The part of `authorised` that lives in `partitions` (sorted).
    pub fn restrict(&self, authorised: &AuthorisedMerchants, partitions: &[PartitionId]) -> AuthorisedMerchants {
        authorised.restricted_to(|merchant| {
            partitions.binary_search(&RoutingHash::of(merchant).partition(self.partitions)).is_ok()
        })
    }

    /// The state of one partition's breaker.
    #[cfg(test)]
    pub fn state(&self, partition: PartitionId) -> BreakerState {
        *self.states[usize::from(partition.0)].lock()
    }
}

/// `partitions` in order, each once.
pub(super) fn sorted(mut partitions: Vec<PartitionId>) -> Vec<PartitionId> {
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}
