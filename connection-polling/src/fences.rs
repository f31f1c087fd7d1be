//! Reading, raising and lowering fences: the shell around `fence`, whose effects it writes conditionally.
//!
//! Called by `rpc`. How long a fence has been raised is never overstated, because a leader is only known to have
//! stopped once it has been raised for long enough.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use order_model::{PartitionCount, PartitionId, Timestamp};
use parking_lot::Mutex;
use proto::connection_polling as wire;

use crate::fence::{self, FenceCommand, FenceEffect, FenceState};
use crate::store::{Store, StoreError};

/// Attempts at a conditional write that others keep overtaking; each of theirs is progress, so a few suffice.
const ATTEMPTS_MAX: u32 = 8;

/// The fences of all partitions.
#[derive(Clone)]
pub(crate) struct Fences {
    store: Store,
    partition_count: PartitionCount,
    clock_tolerance: Duration,
    /// When this process first saw a fence raised at an epoch, on its monotonic clock.
    seen_raised: Arc<Mutex<HashMap<PartitionId, (u64, Duration)>>>,
}

impl Fences {
    pub(crate) fn new(store: Store, partition_count: PartitionCount, clock_tolerance: Duration) -> Self {
        Self { store, partition_count, clock_tolerance, seen_raised: Arc::default() }
    }

    /// Every fence, strongly consistent.
    pub(crate) async fn read_all(&self) -> Result<wire::Fences, StoreError> {
        let partitions: Vec<PartitionId> = self.partition_count.iter().collect();
        self.read(&partitions).await
    }

    /// These fences, strongly consistent.
    pub(crate) async fn read(&self, partitions: &[PartitionId]) -> Result<wire::Fences, StoreError> {
        let states = self.store.read_fences(partitions).await?;
        let state = |partition: &PartitionId| states.get(partition).copied().unwrap_or_default();
        let fences = partitions.iter().map(|partition| self.to_wire(*partition, state(partition))).collect();
        Ok(self.with_date(fences))
    }

    /// Raises these fences; one that is raised stays as it is.
    pub(crate) async fn raise(&self, partitions: &[PartitionId]) -> Result<wire::Fences, StoreError> {
        let raise = |partition: &PartitionId| {
            let partition = *partition;
            async move { self.apply(partition, |at| FenceCommand::Raise { at }).await }
        };
        let fences = futures::future::try_join_all(partitions.iter().map(raise)).await?;
        Ok(self.with_date(fences))
    }

    /// Lowers the fence that was raised at `epoch`; answers how it stands then.
    pub(crate) async fn lower(&self, partition: PartitionId, epoch: u64) -> Result<wire::Fence, StoreError> {
        self.apply(partition, |_| FenceCommand::Lower { epoch }).await
    }

    async fn apply(
        &self,
        partition: PartitionId,
        command: impl Fn(Timestamp) -> FenceCommand,
    ) -> Result<wire::Fence, StoreError> {
        let mut last = StoreError::ConditionFailed { operation: "PutItem" };
        for _ in 0..ATTEMPTS_MAX {
            let sent = self.store.clock().monotonic();
            let before = self.store.read_fences(&[partition]).await?.get(&partition).copied().unwrap_or_default();
            let command = command(self.no_earlier_than_now(sent));
            let FenceEffect::Write(after) = fence::apply(before, command) else {
                return Ok(self.to_wire(partition, before));
            };
            match self.store.write_fence(partition, before, after).await {
                Ok(()) => {
                    let what = if after.raised { "raised" } else { "lowered" };
                    tracing::warn!(partition = partition.0, epoch = after.epoch, what, "fence");
                    metrics::counter!("comanda_connection_polling_fence_changes_total", "what" => what).increment(1);
                    return Ok(self.to_wire(partition, after));
                }
                Err(error @ StoreError::ConditionFailed { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// An instant that the store's clock has not passed yet, given a request sent at `sent` and answered since.
    fn no_earlier_than_now(&self, sent: Duration) -> Timestamp {
        let clock = self.store.clock();
        let at_most = self.store.time().at_most(sent, clock.monotonic());
        at_most.unwrap_or_else(|| clock.now().plus(self.clock_tolerance))
    }

    fn to_wire(&self, partition: PartitionId, state: FenceState) -> wire::Fence {
        let raised_for = if state.raised { self.raised_for(partition, state) } else { Duration::ZERO };
        wire::Fence {
            partition: u32::from(partition.0),
            epoch: state.epoch,
            raised: state.raised,
            raised_for_ms: i64::try_from(raised_for.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The better of two lower bounds: by the store's clock, and since this process first saw it raised.
    fn raised_for(&self, partition: PartitionId, state: FenceState) -> Duration {
        let clock = self.store.clock();
        let monotonic = clock.monotonic();
        let mut seen_raised = self.seen_raised.lock();
        let seen = seen_raised.entry(partition).or_insert((state.epoch, monotonic));
        if seen.0 < state.epoch {
            *seen = (state.epoch, monotonic);
        }
        let here = if seen.0 == state.epoch { monotonic.saturating_sub(seen.1) } else { Duration::ZERO };
        let store_now = self.store.time().at_least(monotonic);
        let store_now = store_now.unwrap_or_else(|| clock.now().minus(self.clock_tolerance));
        here.max(store_now.since(state.raised_at))
    }

    fn with_date(&self, fences: Vec<wire::Fence>) -> wire::Fences {
        let date = self.store.time().date();
        wire::Fences { fences, store_date_ms: date.map_or(0, Timestamp::unix_ms) }
    }
}
