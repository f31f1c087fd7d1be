//! Takes acknowledgments through the fence protocol: calls and waits as [`super::fence`] decides.
//!
//! One board per process: raising and reading are done once for all acknowledgments that need them at a time, and what
//! one of them learns spares the others the wait. A future that is dropped leaves nothing to undo.

use std::sync::Arc;
use std::time::Duration;

use order_model::{PartitionCount, PartitionId, SharedClock};
use parking_lot::Mutex;

use super::fallback::{Fallback, FallbackError};
use super::fence::{self, FenceChange, FenceState, FenceStep, FencedWrite, Sighting};

/// Why a partition could not be fenced. Worth a retry always.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FenceError {
    /// A fence could not be raised.
    #[error("raising the fence failed")]
    Raise(#[source] FallbackError),
    /// The fences could not be read.
    #[error("reading the fences failed")]
    Read(#[source] FallbackError),
    /// The store did not show the fence of a partition, or did not keep it raised.
    #[error("the store did not show the fence that was raised")]
    NotShown,
}

/// What this process knows of every fence, and the calls that find out more.
pub(super) struct FenceBoard {
    fallback: Arc<Fallback>,
    clock: SharedClock,
    states: Mutex<Box<[FenceState]>>,
    /// Held while raising, so that a burst of acknowledgments raises once.
    raising: tokio::sync::Mutex<()>,
    /// Held while reading; guards the start of the last successful reading.
    reading: tokio::sync::Mutex<Option<Duration>>,
}

impl FenceBoard {
    pub fn new(fallback: Arc<Fallback>, clock: SharedClock, partitions: PartitionCount) -> Self {
        let states = partitions.iter().map(|_| FenceState::Unknown).collect();
        Self {
            fallback,
            clock,
            states: Mutex::new(states),
            raising: tokio::sync::Mutex::new(()),
            reading: tokio::sync::Mutex::new(None),
        }
    }

    /// Waits until the acknowledgments just written for `partitions` (sorted) hold without their leaders. `after_write`
    /// is what the write answered: the fences as read after it.
    pub async fn hold(&self, partitions: &[PartitionId], after_write: &[Sighting]) -> Result<(), FenceError> {
        self.learn(after_write);
        let mut writes = partitions
            .iter()
            .map(|partition| after_write.iter().find(|sighting| sighting.partition == *partition))
            .map(|sighting| sighting.map(FencedWrite::after_write).ok_or(FenceError::NotShown))
            .collect::<Result<Vec<_>, _>>()?;
        loop {
            self.inform(&mut writes);
            match fence::next_step(&mut writes, self.clock.monotonic()) {
                FenceStep::Raise(fences) => self.raise(&fences).await?,
                FenceStep::WaitUntil(instant) => self.wait_until(instant).await,
                FenceStep::Read { not_before } => self.read(not_before).await?,
                FenceStep::Granted => return Ok(()),
                FenceStep::GiveUp => return Err(FenceError::NotShown),
            }
        }
    }

    fn inform(&self, writes: &mut [FencedWrite]) {
        let states = self.states.lock();
        for write in writes {
            if let Some(state) = states.get(usize::from(write.partition.0)) {
                write.learn(state);
            }
        }
    }

    /// Raises the fences that nobody has raised above the given epoch since.
    async fn raise(&self, fences: &[(PartitionId, u64)]) -> Result<(), FenceError> {
        let _only_one = self.raising.lock().await;
        let partitions: Vec<PartitionId> = {
            let states = self.states.lock();
            let is_raised_above = |partition: PartitionId, above: u64| {
                matches!(states.get(usize::from(partition.0)),
                    Some(FenceState::Known { epoch, .. }) if *epoch > above)
            };
            let needed = fences.iter().filter(|(partition, above)| !is_raised_above(*partition, *above));
            needed.map(|(partition, _)| *partition).collect()
        };
        if partitions.is_empty() {
            return Ok(());
        }
        metrics::counter!("comanda_kitchen_api_fence_raises_total").increment(1);
        let sightings = self.fallback.raise_fences(&partitions).await.map_err(FenceError::Raise)?;
        self.learn(&sightings);
        Ok(())
    }

    /// Reads the fences, unless a reading that started at `not_before` or later was made while we waited our turn.
    async fn read(&self, not_before: Duration) -> Result<(), FenceError> {
        let mut last_read = self.reading.lock().await;
        if last_read.is_some_and(|started_at| started_at >= not_before) {
            return Ok(());
        }
        let started_at = self.clock.monotonic();
        let sightings = self.fallback.read_fences().await.map_err(FenceError::Read)?;
        self.learn(&sightings);
        *last_read = Some(started_at);
        Ok(())
    }

    /// Waits by the clock that the decisions go by; the runtime's timer may wake a little early by it.
    async fn wait_until(&self, instant: Duration) {
        loop {
            let left = instant.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    fn learn(&self, sightings: &[Sighting]) {
        let mut states = self.states.lock();
        for sighting in sightings {
            // A partition that the store invented has no state.
            let Some(state) = states.get_mut(usize::from(sighting.partition.0)) else {
                continue;
            };
            let (learnt, change) = state.learn(sighting);
            *state = learnt;
            let (partition, epoch) = (sighting.partition.0, sighting.epoch);
            match change {
                FenceChange::None => {}
                FenceChange::Raised => {
                    tracing::warn!(partition, epoch, "fence is raised: acknowledging without the leader")
                }
                FenceChange::Lowered => tracing::info!(partition, epoch, "fence was lowered: a leader took over"),
            }
        }
    }
}
