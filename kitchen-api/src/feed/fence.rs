//! When an acknowledgment that a leader did not apply is safe all the same: the fence protocol's decisions, pure.
//!
//! A leader serves a partition only while its last successful read of the fence started less than [`FENCE`] ago and
//! showed it lowered. So [`FENCE`] after a fence was raised nobody serves from before; and whoever lowers it reads, before
//! serving, every acknowledgment written until then. An acknowledgment therefore holds once, after it was written to the
//! fence log, the fence was seen raised and [`FENCE`] has passed since it was: whatever lowered it then has read our
//! entry. Used by [`super::fence_board`], which does the calls and the waiting. Instants are on the monotonic clock.

use std::time::Duration;

use order_model::PartitionId;

/// How long a leader may serve on its last reading of the fence.
pub const FENCE: Duration = Duration::from_secs(3);

/// What the store's clock may overstate: its `Date` counts whole seconds, once at each end of an interval.
pub const STORE_CLOCK_MARGIN: Duration = Duration::from_secs(2);

/// Attempts to see a fence raised, and readings after the wait, before an acknowledgment gives up (and is answered
/// 503). One of each is the rule; more are needed only when leaders lower it at that very moment.
const ATTEMPTS_MAX: u32 = 5;

/// A fence as a reply showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Whose fence it is.
    pub partition: PartitionId,
    /// Grows by one with every raise.
    pub epoch: u64,
    /// Whether it was raised.
    pub raised: bool,
    /// How long it had been, by the store's clock.
    pub raised_for: Duration,
    /// When the call that showed it was started.
    pub started_at: Duration,
    /// When its reply came.
    pub received_at: Duration,
}

impl Sighting {
    /// The latest instant at which this epoch was raised.
    pub fn raised_by(&self) -> Duration {
        let for_certain = if self.raised { self.raised_for.saturating_sub(STORE_CLOCK_MARGIN) } else { Duration::ZERO };
        self.received_at.saturating_sub(for_certain)
    }
}

/// What this process knows of one fence, put together from every sighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FenceState {
    /// No sighting yet.
    #[default]
    Unknown,
    /// The newest epoch seen.
    Known {
        /// The epoch.
        epoch: u64,
        /// Whether it is raised. Within one epoch a fence only goes from raised to lowered.
        raised: bool,
        /// The latest instant at which this epoch was raised.
        raised_by: Duration,
        /// The start of the latest reading that showed this epoch.
        read_from: Duration,
    },
}

/// What a sighting changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceChange {
    /// Nothing worth telling.
    None,
    /// It is seen raised for the first time in this epoch.
    Raised,
    /// A leader took the partition back.
    Lowered,
}

impl FenceState {
    /// Takes in a sighting. Replies overtake one another: an older epoch changes nothing.
    pub fn learn(self, sighting: &Sighting) -> (Self, FenceChange) {
        let seen = Self::Known {
            epoch: sighting.epoch,
            raised: sighting.raised,
            raised_by: sighting.raised_by(),
            read_from: sighting.started_at,
        };
        let fresh = if sighting.raised { FenceChange::Raised } else { FenceChange::None };
        match self {
            Self::Unknown => (seen, fresh),
            Self::Known { epoch, raised: was_raised, .. } if sighting.epoch > epoch => {
                let change = if was_raised && !sighting.raised { FenceChange::Lowered } else { fresh };
                (seen, change)
            }
            Self::Known { epoch, .. } if sighting.epoch < epoch => (self, FenceChange::None),
            Self::Known { epoch, raised: was_raised, raised_by, read_from } => {
                let raised = was_raised && sighting.raised;
                let merged = Self::Known {
                    epoch,
                    raised,
                    raised_by: raised_by.min(sighting.raised_by()),
                    read_from: read_from.max(sighting.started_at),
                };
                (merged, if was_raised && !raised { FenceChange::Lowered } else { FenceChange::None })
            }
        }
    }
}

/// One acknowledgment's ids of one partition, on their way without the leader. Made after the fence log has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencedWrite {
    /// The partition.
    pub partition: PartitionId,
    phase: Phase,
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// After the write the fence was seen lowered at `epoch`. A later epoch was raised after the write.
    SeenLowered { epoch: u64 },
    /// After the write the fence stood raised at `epoch`, or that epoch was raised after it.
    SeenRaised { epoch: u64, raised_by: Duration },
    /// The acknowledgment holds.
    Holds,
}

impl FencedWrite {
    /// From the sighting that the write itself answered: the fence was read after the write.
    pub fn after_write(sighting: &Sighting) -> Self {
        let phase = if sighting.raised {
            Phase::SeenRaised { epoch: sighting.epoch, raised_by: sighting.raised_by() }
        } else {
            Phase::SeenLowered { epoch: sighting.epoch }
        };
        let phase = match phase {
            Phase::SeenRaised { raised_by, .. } if sighting.received_at >= raised_by + FENCE => Phase::Holds,
            Phase::SeenRaised { .. } | Phase::SeenLowered { .. } | Phase::Holds => phase,
        };
        Self { partition: sighting.partition, phase, attempts: 0 }
    }

    /// Takes in what the process knows of the fence.
    pub fn learn(&mut self, known: &FenceState) {
        let FenceState::Known { epoch: known_epoch, raised_by: known_since, read_from, .. } = *known else {
            return;
        };
        match self.phase {
            Phase::Holds => {}
            // The epoch grew after we saw it lowered, so it was raised after our write, by whomever.
            Phase::SeenLowered { epoch } if known_epoch > epoch => {
                self.phase = Phase::SeenRaised { epoch: known_epoch, raised_by: known_since };
                self.attempts = 0;
            }
            Phase::SeenLowered { .. } => {}
            Phase::SeenRaised { epoch, raised_by } => {
                // Another's sighting of the same epoch may tell that it was raised earlier than our own told.
                let raised_by = if known_epoch == epoch { raised_by.min(known_since) } else { raised_by };
                self.phase = Phase::SeenRaised { epoch, raised_by };
                // A reading from after the wait: still raised, or lowered by a leader that has read our entry.
                if known_epoch >= epoch && read_from >= raised_by + FENCE {
                    self.phase = Phase::Holds;
                }
            }
        }
    }
}

/// What an acknowledgment does next, over all its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceStep {
    /// Raise these fences, each unless its epoch is already above the given one.
    Raise(Vec<(PartitionId, u64)>),
    /// Let time pass until this instant.
    WaitUntil(Duration),
    /// Read the fences, in a call started at this instant or later.
    Read {
        /// The earliest start that counts.
        not_before: Duration,
    },
    /// It holds in every partition: 202.
    Granted,
    /// The store does not show what it must: 503.
    GiveUp,
}

/// Decides the next step at `now` and counts the attempt in `writes`.
pub fn next_step(writes: &mut [FencedWrite], now: Duration) -> FenceStep {
    let lowered: Vec<(PartitionId, u64)> = writes
        .iter()
        .filter_map(|write| match write.phase {
            Phase::SeenLowered { epoch } => Some((write.partition, epoch)),
            Phase::SeenRaised { .. } | Phase::Holds => None,
        })
        .collect();
    let passed_at = writes.iter().filter_map(|write| match write.phase {
        Phase::SeenRaised { raised_by, .. } => Some(raised_by + FENCE),
        Phase::SeenLowered { .. } | Phase::Holds => None,
    });
    let step = match (lowered.is_empty(), passed_at.max()) {
        (false, _) => FenceStep::Raise(lowered),
        (true, None) => return FenceStep::Granted,
        (true, Some(passed_at)) if now < passed_at => return FenceStep::WaitUntil(passed_at),
        (true, Some(passed_at)) => FenceStep::Read { not_before: passed_at },
    };
    let mut attempts = 0;
    for write in writes.iter_mut().filter(|write| write.phase != Phase::Holds) {
        write.attempts += 1;
        attempts = attempts.max(write.attempts);
    }
    if attempts > ATTEMPTS_MAX { FenceStep::GiveUp } else { step }
}
