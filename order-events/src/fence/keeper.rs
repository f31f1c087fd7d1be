//! What a leader must do about the fence of each partition it leads: a pure value.
//!
//! Told who leads ([`FenceKeeper::lead`]), what was read of the fences ([`FenceKeeper::observe`]) and how taking back ended,
//! it answers with [`Change`]s and [`Action`]s. What it knows of a partition holds for one term: with the next, whoever
//! leads then, it starts from nothing and the partition is taken back before it serves. Calls are in [`super`].

use std::time::Duration;

use order_model::PartitionId;
use replicated_grid::Leadership;

/// One fence as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FenceState {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: u64,
    pub(crate) raised: bool,
}

/// What became of the leadership of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// This node leads in a term that it knows nothing of.
    Gained { partition: PartitionId, term: u64 },
    /// This node leads no longer.
    Lost { partition: PartitionId },
}

/// What a leader has to do about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Serve until this instant of the monotonic clock, as long as the term lasts.
    Serve { partition: PartitionId, term: u64, until: Duration },
    /// Stop serving; when `lower`, lower the fence at this epoch; then read and apply what was acknowledged without us.
    TakeBack { partition: PartitionId, term: u64, epoch: u64, lower: bool },
}

/// What a node knows of all fences.
#[derive(Debug)]
pub(crate) struct FenceKeeper {
    fence: Duration,
    partitions: Vec<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    epoch: u64,
    led: Option<Led>,
}

/// What is known of one term of ours.
#[derive(Debug, Clone, Copy)]
struct Led {
    term: u64,
    /// The epoch at which the acknowledgments made without us were last read completely, in this term.
    log_applied_at: Option<u64>,
    taking_back: bool,
}

impl FenceKeeper {
    /// A keeper that leads nothing and has read nothing.
    pub(crate) fn new(partitions: u16, fence: Duration) -> Self {
        Self { fence, partitions: vec![Known::default(); usize::from(partitions)] }
    }

    /// Who leads what, by partition. A new term of ours is a new leadership, whoever led before.
    pub(crate) fn lead(&mut self, leadership: &[Leadership]) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((partition, known), now) in (0..).map(PartitionId).zip(&mut self.partitions).zip(leadership) {
            let term = now.is_ours.then_some(now.term);
            if known.led.map(|led| led.term) == term {
                continue;
            }
            known.led = term.map(|term| Led { term, log_applied_at: None, taking_back: false });
            changes.push(match term {
                Some(term) => Change::Gained { partition, term },
                None => Change::Lost { partition },
            });
        }
        changes
    }

    /// The fences were read by a call that started at `started`; a partition not among them was never fenced. Nothing is
    /// done about one that is not led here or not `rebuilt` yet.
    pub(crate) fn observe(
        &mut self,
        started: Duration,
        read: &[FenceState],
        rebuilt: impl Fn(PartitionId) -> bool,
    ) -> Vec<Action> {
        let mut actions = Vec::with_capacity(self.partitions.len());
        for (partition, known) in (0..).map(PartitionId).zip(&mut self.partitions) {
            let never_raised = FenceState { partition, epoch: 0, raised: false };
            let fence = read.iter().find(|fence| fence.partition == partition).copied().unwrap_or(never_raised);
            known.epoch = fence.epoch;
            let Some(led) = known.led.as_mut().filter(|_| rebuilt(partition)) else { continue };
            let Led { term, .. } = *led;
            if !fence.raised && led.log_applied_at == Some(fence.epoch) {
                actions.push(Action::Serve { partition, term, until: started + self.fence });
            } else if !led.taking_back {
                led.taking_back = true;
                actions.push(Action::TakeBack { partition, term, epoch: fence.epoch, lower: fence.raised });
            }
        }
        actions
    }

    /// Taking a partition back in `term` ended: at this epoch all acknowledgments made without us are applied, or it
    /// failed and the next read decides anew. Says nothing of another term.
    pub(crate) fn taken_back(&mut self, partition: PartitionId, term: u64, log_applied_at: Option<u64>) {
        let known = self.partitions.get_mut(usize::from(partition.0)).and_then(|known| known.led.as_mut());
        if let Some(led) = known.filter(|led| led.term == term) {
            led.taking_back = false;
            led.log_applied_at = log_applied_at.or(led.log_applied_at);
        }
    }

    /// The epochs last read, by partition.
    pub(crate) fn epochs(&self) -> impl Iterator<Item = u64> {
        self.partitions.iter().map(|known| known.epoch)
    }
}

#[cfg(test)]
mod tests {
    use replicated_grid::NodeId;

    use super::*;

    const FENCE: Duration = Duration::from_secs(3);
    const ONE: PartitionId = PartitionId(0);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fence(epoch: u64, raised: bool) -> [FenceState; 1] {
        [FenceState { partition: ONE, epoch, raised }]
    }

    fn ours(term: u64) -> [Leadership; 1] {
        [Leadership { leader: Some(NodeId(1)), term, is_ours: true }]
    }

    fn theirs(term: u64) -> [Leadership; 1] {
        [Leadership { leader: Some(NodeId(2)), term, is_ours: false }]
    }

    fn leading(term: u64) -> FenceKeeper {
        let mut keeper = FenceKeeper::new(1, FENCE);
        assert_eq!(keeper.lead(&ours(term)), [Change::Gained { partition: ONE, term }]);
        keeper
    }

    fn observe(keeper: &mut FenceKeeper, started: Duration, read: &[FenceState]) -> Vec<Action> {
        keeper.observe(started, read, |_| true)
    }

    fn take_back(term: u64, epoch: u64, lower: bool) -> Action {
        Action::TakeBack { partition: ONE, term, epoch, lower }
    }

    fn serve(term: u64, until: u64) -> Action {
        Action::Serve { partition: ONE, term, until: at(until) }
    }

    #[test]
    fn nothing_is_served_before_the_log_was_read_once() {
        let mut keeper = leading(1);
        assert_eq!(observe(&mut keeper, at(1), &[]), [take_back(1, 0, false)]);
        assert_eq!(observe(&mut keeper, at(2), &[]), [], "one at a time");
        keeper.taken_back(ONE, 1, None);
        assert_eq!(observe(&mut keeper, at(3), &[]), [take_back(1, 0, false)], "it failed");
        keeper.taken_back(ONE, 1, Some(0));
        assert_eq!(observe(&mut keeper, at(4), &[]), [serve(1, 7)]);
    }

    #[test]
    fn a_raised_fence_is_lowered_and_its_log_read_before_serving_again() {
        let mut keeper = leading(1);
        observe(&mut keeper, at(1), &fence(4, false));
        keeper.taken_back(ONE, 1, Some(4));
        assert_eq!(observe(&mut keeper, at(2), &fence(4, false)), [serve(1, 5)]);
        assert_eq!(observe(&mut keeper, at(3), &fence(5, true)), [take_back(1, 5, true)]);
        assert_eq!(observe(&mut keeper, at(4), &fence(5, false)), [], "lowered, but its log is still being read");
        keeper.taken_back(ONE, 1, Some(5));
        assert_eq!(observe(&mut keeper, at(5), &fence(5, false)), [serve(1, 8)]);
    }

    #[test]
    fn a_fence_that_somebody_else_lowered_still_costs_a_look_at_its_log() {
        let mut keeper = leading(1);
        observe(&mut keeper, at(1), &fence(1, false));
        keeper.taken_back(ONE, 1, Some(1));
        assert_eq!(observe(&mut keeper, at(2), &fence(3, false)), [take_back(1, 3, false)]);
    }

    #[test]
    fn only_partitions_led_here_are_kept() {
        let mut keeper = FenceKeeper::new(1, FENCE);
        assert_eq!(keeper.lead(&theirs(4)), []);
        assert_eq!(observe(&mut keeper, at(1), &fence(2, true)), []);
        assert_eq!(keeper.epochs().collect::<Vec<_>>(), [2], "what was read is shown all the same");
        assert_eq!(keeper.lead(&ours(5)), [Change::Gained { partition: ONE, term: 5 }]);
        assert_eq!(keeper.lead(&ours(5)), []);
        assert_eq!(observe(&mut keeper, at(2), &fence(2, true)), [take_back(5, 2, true)]);
    }

    #[test]
    fn what_was_known_in_one_term_says_nothing_of_the_next() {
        let mut keeper = leading(5);
        observe(&mut keeper, at(1), &fence(2, false));
        keeper.taken_back(ONE, 5, Some(2));
        assert_eq!(observe(&mut keeper, at(2), &fence(2, false)), [serve(5, 5)]);
        assert_eq!(keeper.lead(&theirs(6)), [Change::Lost { partition: ONE }]);
        assert_eq!(observe(&mut keeper, at(3), &fence(2, false)), []);
        keeper.lead(&ours(7));
        assert_eq!(observe(&mut keeper, at(4), &fence(2, false)), [take_back(7, 2, false)]);
        // Our own next term, without anybody between: the same.
        keeper.taken_back(ONE, 7, Some(2));
        assert_eq!(keeper.lead(&ours(8)), [Change::Gained { partition: ONE, term: 8 }]);
        assert_eq!(observe(&mut keeper, at(5), &fence(2, false)), [take_back(8, 2, false)]);
        keeper.taken_back(ONE, 7, Some(2));
        assert_eq!(observe(&mut keeper, at(6), &fence(2, false)), [], "the end of an older term's attempt");
        keeper.taken_back(ONE, 8, Some(2));
        assert_eq!(observe(&mut keeper, at(7), &fence(2, false)), [serve(8, 10)]);
    }

    #[test]
    fn a_partition_that_is_not_rebuilt_is_left_alone() {
        let mut keeper = leading(1);
        assert_eq!(keeper.observe(at(1), &fence(3, true), |_| false), [], "its fence stays up");
        assert_eq!(observe(&mut keeper, at(2), &fence(3, true)), [take_back(1, 3, true)]);
    }
}
