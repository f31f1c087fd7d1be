//! What this node leads, and how each partition stands: the questions that all parts of the service ask, and status.

use std::time::Duration;

use order_model::{PartitionId, Timestamp};
use replicated_grid::{Leadership, NodeId};

use crate::import::Wanted;
use crate::poll::RefusalReason;
use crate::service::{Handle, Shared};
use crate::state::FeedPartition;

/// How one partition stands, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Which.
    pub partition: PartitionId,
    /// Who leads it, as far as this node knows.
    pub leader: Option<NodeId>,
    /// The term in which it learnt that.
    pub term: u64,
    /// Why it is not served here; `None` when it is.
    pub why_not: Option<RefusalReason>,
    /// Whether its state is whole. Only the leader knows for certain.
    pub rebuilt: bool,
    /// Events stored here, expired ones that are still recognised included.
    pub events: u64,
    /// Acknowledgments that wait for their events.
    pub acknowledgments: u64,
    /// The epoch of its fence when it was last read.
    pub fence_epoch: u64,
}

/// How far the export is that some partitions led here wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilding {
    /// How many partitions led here are not rebuilt.
    pub partitions: usize,
    /// Items of the store looked at.
    pub items_done: u64,
    /// About how many there are.
    pub items_estimate: u64,
    /// Why the last attempt failed.
    pub last_failure: Option<String>,
}

impl Shared {
    /// Who leads `partition`, as far as this node knows.
    pub(crate) fn leadership_of(&self, partition: PartitionId) -> Leadership {
        self.leadership.borrow().get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    /// The partitions led here, in order, each with its term.
    pub(crate) fn led(&self) -> Vec<(PartitionId, u64)> {
        let leadership = self.leadership.borrow();
        let numbered = (0..).map(PartitionId).zip(leadership.iter());
        numbered.filter(|(_, of)| of.is_ours).map(|(partition, of)| (partition, of.term)).collect()
    }

    /// Takes out of `wanted` what is not led here any more in the same term.
    pub(crate) fn keep_led(&self, wanted: &mut Wanted) {
        wanted.retain(|partition, term| {
            let now = self.leadership_of(*partition);
            now.is_ours && now.term == *term
        });
    }

    /// Whether the state of `partition`, as it is here, is whole.
    pub(crate) fn is_rebuilt(&self, partition: PartitionId) -> bool {
        self.rebuilt_at(partition).is_some()
    }

    /// For how long it has been.
    pub(crate) fn rebuilt_for(&self, partition: PartitionId) -> Option<Duration> {
        let now = Timestamp::from_unix_ms(self.grid.time(partition.0).unix_ms);
        self.rebuilt_at(partition).map(|at| now.since(at))
    }

    fn rebuilt_at(&self, partition: PartitionId) -> Option<Timestamp> {
        self.grid.read_without_lease(partition.0, FeedPartition::rebuilt_at).ok().flatten()
    }

    /// Why `partition`, which was just not answered for, is not.
    pub(crate) fn refusal_reason(&self, partition: PartitionId) -> RefusalReason {
        let Leadership { leader, term, is_ours } = self.leadership_of(partition);
        let is_coming = leader == Some(self.node);
        if !is_ours && !is_coming {
            return RefusalReason::NotLeader { leader, term };
        }
        let unreadable = self.serving.fences_are_unreadable(self.clock.monotonic(), self.config.fence);
        if is_ours && unreadable && self.is_rebuilt(partition) {
            RefusalReason::FenceUnreadable
        } else {
            RefusalReason::NotServing
        }
    }
}

impl Handle {
    /// How every partition stands.
    pub fn status(&self) -> Vec<PartitionStatus> {
        let shared = &self.shared;
        let epochs = shared.fence_epochs();
        let status = |partition: PartitionId| {
            let counts = |state: &FeedPartition| {
                (state.event_count() as u64, state.tombstone_count() as u64, state.rebuilt_at().is_some())
            };
            let (events, acknowledgments, rebuilt) =
                shared.grid.read_without_lease(partition.0, counts).unwrap_or_default();
            let Leadership { leader, term, .. } = shared.leadership_of(partition);
            let is_serving = shared.grid.is_serving(partition.0);
            PartitionStatus {
                partition,
                leader,
                term,
                why_not: (!is_serving).then(|| shared.refusal_reason(partition)),
                rebuilt,
                events,
                acknowledgments,
                fence_epoch: epochs.get(usize::from(partition.0)).copied().unwrap_or(0),
            }
        };
        shared.config.partitions.iter().map(status).collect()
    }

    /// How far the rebuilding of partitions led here is; all zero when none waits for it.
    pub fn rebuilding(&self) -> Rebuilding {
        let progress = self.shared.progress.lock().clone();
        Rebuilding {
            partitions: progress.partitions,
            items_done: progress.items.done,
            items_estimate: progress.items.total_estimate,
            last_failure: progress.last_failure,
        }
    }

    /// Whether every partition led here serves and every other has a leader that this node knows.
    ///
    /// # Errors
    /// With the reason why not, in words.
    pub fn readiness(&self) -> Result<(), String> {
        let status = self.status();
        let led = status.iter().filter(|one| !matches!(one.why_not, Some(RefusalReason::NotLeader { .. })));
        let unrebuilt = led.clone().filter(|one| !one.rebuilt).count();
        if unrebuilt > 0 {
            let Rebuilding { items_done, items_estimate, last_failure, .. } = self.rebuilding();
            let failure = last_failure.map(|code| format!(", last failure {code}")).unwrap_or_default();
            return Err(format!(
                "rebuilding {unrebuilt} partitions from connection-polling: {items_done} of about {items_estimate} items{failure}"
            ));
        }
        let leaderless = status.iter().filter(|one| one.leader.is_none()).count();
        if leaderless > 0 {
            return Err(format!("no leader is known of {leaderless} partitions"));
        }
        let unreadable = led.clone().filter(|one| one.why_not == Some(RefusalReason::FenceUnreadable)).count();
        let out = led.filter(|one| one.why_not.is_some()).count();
        match (out, unreadable) {
            (0, _) => Ok(()),
            (_, 0) => Err(format!("{out} partitions are fenced out and are being taken back")),
            _ => Err(format!("the fences of {unreadable} partitions cannot be read from connection-polling")),
        }
    }
}
