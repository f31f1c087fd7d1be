//! The fence of each partition, as a leader sees it: when it may serve and what it must do before.
//!
//! [`FenceKeeper`] decides and is pure: it is told what was read and answers with [`Action`]s. [`keep`] is the loop around
//! it. The protocol (who raises a fence and why) is described in the project's ARCHITECTURE; the leader's part is:
//! serve only until FENCE after the start of the last read that found the fence down; on a raised one stop, lower it, read
//! the acknowledgments made without us, apply them, and serve when the next read finds the fence as we left it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use order_model::{PartitionId, Timestamp};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::connection_polling::{FencedAcknowledgmentsRequest, Fences, LowerFenceRequest, ReadFencesRequest};
use proto::transport::Transport;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::dependency::{self, Episode};
use crate::poll::RefusalReason;
use crate::rebuild;
use crate::service::Shared;

/// The wall clock may differ by this much from the store's before it stops being believed.
const CLOCK_DISAGREEMENT_MAX_MS: i64 = 2_000;

/// A `Date` header shows whole seconds, cut off.
const DATE_RESOLUTION_MS: i64 = 999;

/// What the polls look at: written by the loop below, read without a lock.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    rebuilt: AtomicBool,
    /// When the last successful read of the fences started, monotonic ms plus one; 0: never.
    fences_read_at: AtomicU64,
    clock_trusted: AtomicBool,
}

impl Serving {
    /// Everything exported was applied: from now on the fence alone decides.
    pub(crate) fn set_rebuilt(&self) {
        self.rebuilt.store(true, Ordering::SeqCst);
    }

    /// Whether the first rebuild is complete.
    pub(crate) fn is_rebuilt(&self) -> bool {
        self.rebuilt.load(Ordering::SeqCst)
    }

    /// Whether the wall clock agreed with the store's date when it was last compared.
    pub(crate) fn clock_is_trusted(&self) -> bool {
        self.clock_trusted.load(Ordering::SeqCst)
    }

    /// Why a partition whose lease has ended does not answer.
    pub(crate) fn refusal_reason(&self, now: Duration, fence: Duration) -> RefusalReason {
        let read_at = self.fences_read_at.load(Ordering::SeqCst);
        let unreadable = read_at == 0 || now >= Duration::from_millis(read_at - 1) + fence;
        if self.is_rebuilt() && unreadable { RefusalReason::FenceUnreadable } else { RefusalReason::NotServing }
    }

    fn fences_were_read(&self, started: Duration) {
        let started_ms = u64::try_from(started.as_millis()).unwrap_or(u64::MAX - 1);
        self.fences_read_at.store(started_ms + 1, Ordering::SeqCst);
    }
}

/// One fence as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FenceState {
    pub(crate) partition: PartitionId,
    pub(crate) epoch: u64,
    pub(crate) raised: bool,
}

/// What a leader has to do about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Serve until this instant of the monotonic clock.
    Serve(PartitionId, Duration),
    /// Stop serving; when `lower`, lower the fence at this epoch; then read and apply what was acknowledged without us.
    TakeBack { partition: PartitionId, epoch: u64, lower: bool },
}

/// What a leader knows of all fences.
#[derive(Debug)]
pub(crate) struct FenceKeeper {
    fence: Duration,
    partitions: Vec<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    epoch: u64,
    /// The epoch at which the acknowledgments made without us were last read completely.
    log_applied_at: Option<u64>,
    taking_back: bool,
}

impl FenceKeeper {
    /// A keeper that has read nothing: every partition is to be taken back first.
    pub(crate) fn new(partitions: u16, fence: Duration) -> Self {
        Self { fence, partitions: vec![Known::default(); usize::from(partitions)] }
    }

    /// The fences were read by a call that started at `started`; a partition not among them was never fenced.
    pub(crate) fn observe(&mut self, started: Duration, read: &[FenceState]) -> Vec<Action> {
        let mut actions = Vec::with_capacity(self.partitions.len());
        for (partition, known) in (0..).map(PartitionId).zip(&mut self.partitions) {
            let never_raised = FenceState { partition, epoch: 0, raised: false };
            let fence = read.iter().find(|fence| fence.partition == partition).copied().unwrap_or(never_raised);
            known.epoch = fence.epoch;
            if !fence.raised && known.log_applied_at == Some(fence.epoch) {
                actions.push(Action::Serve(partition, started + self.fence));
            } else if !known.taking_back {
                known.taking_back = true;
                actions.push(Action::TakeBack { partition, epoch: fence.epoch, lower: fence.raised });
            }
        }
        actions
    }

    /// Taking a partition back ended: at this epoch all acknowledgments made without us are applied, or it failed and
    /// the next read decides anew.
    pub(crate) fn taken_back(&mut self, partition: PartitionId, log_applied_at: Option<u64>) {
        if let Some(known) = self.partitions.get_mut(usize::from(partition.0)) {
            known.taking_back = false;
            known.log_applied_at = log_applied_at.or(known.log_applied_at);
        }
    }
}

/// Whether the wall clock, read `before` and `after` a call, agrees with the store's date in its answer. A store that
/// sends none cannot disagree.
pub(crate) fn clock_agrees(before: Timestamp, after: Timestamp, store_date_ms: i64) -> bool {
    store_date_ms == 0
        || (before.unix_ms() - (store_date_ms + DATE_RESOLUTION_MS) <= CLOCK_DISAGREEMENT_MAX_MS
            && store_date_ms - after.unix_ms() <= CLOCK_DISAGREEMENT_MAX_MS)
}

type Client = ConnectionPollingClient<Transport>;
type TakingBack = JoinSet<(PartitionId, Result<u64, Status>)>;

/// Reads the fences every second and acts on them, until `shutdown`. Starts after the rebuild.
pub(crate) async fn keep(shared: Arc<Shared>, client: Client, shutdown: CancellationToken) {
    let mut keeper = FenceKeeper::new(shared.grid.partitions(), shared.config.fence);
    let mut taking_back = TakingBack::new();
    let mut reading = Episode::default();
    let mut failing = Episode::default();
    loop {
        match read(&shared, client.clone()).await {
            Ok((started, fences)) => {
                if reading.succeeds() {
                    tracing::info!("fences are readable again");
                }
                for action in keeper.observe(started, &fences) {
                    act(&shared, &client, action, &mut taking_back);
                }
            }
            Err(status) => {
                if reading.fails() {
                    tracing::warn!(code = ?status.code(), "fences cannot be read; serving ends in {:?}", shared.config.fence);
                }
            }
        }
        shared.note_fence_epochs(keeper.partitions.iter().map(|known| known.epoch));
        let next_read_at = Instant::now() + shared.config.fence_read_interval;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next_read_at) => break,
                // A partition taken back serves after the next read, so that comes at once; a failure waits its turn.
                Some(done) = taking_back.join_next() => if settle(&mut keeper, done, &mut failing) && taking_back.is_empty() { break },
            }
        }
    }
}

/// Reads the fences once and answers when the read started, which is from when its answer counts.
async fn read(shared: &Shared, mut client: Client) -> Result<(Duration, Vec<FenceState>), Status> {
    let (started, before) = (shared.clock.monotonic(), shared.clock.now());
    let call = client.read_fences(ReadFencesRequest {});
    let fences = dependency::call("connection-polling", "read_fences", dependency::DEADLINE, call).await?;
    let trusted = clock_agrees(before, shared.clock.now(), fences.store_date_ms);
    if shared.serving.clock_trusted.swap(trusted, Ordering::SeqCst) != trusted {
        tracing::info!(trusted, "the wall clock was compared with the store's");
    }
    shared.telemetry.clock_untrusted.set(if trusted { 0.0 } else { 1.0 });
    shared.serving.fences_were_read(started);
    Ok((started, states(&fences)))
}

fn states(fences: &Fences) -> Vec<FenceState> {
    let state = |fence: &proto::connection_polling::Fence| {
        let partition = PartitionId(u16::try_from(fence.partition).ok()?);
        Some(FenceState { partition, epoch: fence.epoch, raised: fence.raised })
    };
    fences.fences.iter().filter_map(state).collect()
}

fn act(shared: &Arc<Shared>, client: &Client, action: Action, taking_back: &mut TakingBack) {
    match action {
        Action::Serve(partition, until) => shared.grid.serve_until(partition.0, 1, until),
        Action::TakeBack { partition, epoch, lower } => {
            shared.grid.stop_serving(partition.0);
            // A start takes every partition back; worth a line is only one that somebody had fenced out.
            if lower {
                tracing::warn!(partition = partition.0, epoch, "the partition was fenced out; taking it back");
            }
            let (shared, client) = (Arc::clone(shared), client.clone());
            taking_back.spawn(async move { (partition, take_back(&shared, client, partition, epoch, lower).await) });
        }
    }
}

/// Lowers the fence if it is up, then applies everything acknowledged without us; the epoch for which that holds.
async fn take_back(
    shared: &Shared,
    mut client: Client,
    partition: PartitionId,
    epoch: u64,
    lower: bool,
) -> Result<u64, Status> {
    let mut lowered_at = epoch;
    if lower {
        let call = client.lower_fence(LowerFenceRequest { partition: u32::from(partition.0), epoch });
        let fence = dependency::call("connection-polling", "lower_fence", dependency::DEADLINE, call).await?;
        if fence.raised {
            return Err(Status::aborted("the fence was raised again"));
        }
        lowered_at = fence.epoch;
    }
    let call = client.fenced_acknowledgments(FencedAcknowledgmentsRequest { partition: u32::from(partition.0) });
    let deadline = dependency::CHUNK_DEADLINE;
    let mut log = dependency::call("connection-polling", "fenced_acknowledgments", deadline, call).await?;
    while let Some(chunk) = rebuild::next_chunk(&mut log).await? {
        rebuild::apply_acknowledgments(shared, chunk.acknowledgments).await?;
    }
    Ok(lowered_at)
}

/// Notes how taking a partition back ended; whether it succeeded.
fn settle(
    keeper: &mut FenceKeeper,
    done: Result<(PartitionId, Result<u64, Status>), JoinError>,
    failing: &mut Episode,
) -> bool {
    match done {
        Ok((partition, Ok(epoch))) => {
            failing.succeeds();
            tracing::debug!(partition = partition.0, epoch, "partition taken back");
            keeper.taken_back(partition, Some(epoch));
            true
        }
        Ok((partition, Err(status))) => {
            if failing.fails() {
                tracing::warn!(partition = partition.0, code = ?status.code(), "partition not taken back; trying on");
            }
            keeper.taken_back(partition, None);
            false
        }
        // The task is never cancelled while the keeper lives; if it panicked, its partition stays out of service.
        Err(error) => {
            tracing::error!(%error, "taking a partition back failed");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: Duration = Duration::from_secs(3);
    const ONE: PartitionId = PartitionId(0);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fence(epoch: u64, raised: bool) -> [FenceState; 1] {
        [FenceState { partition: ONE, epoch, raised }]
    }

    #[test]
    fn nothing_is_served_before_the_log_was_read_once() {
        let mut keeper = FenceKeeper::new(1, FENCE);
        let take_back = Action::TakeBack { partition: ONE, epoch: 0, lower: false };
        assert_eq!(keeper.observe(at(1), &[]), [take_back]);
        assert_eq!(keeper.observe(at(2), &[]), [], "one at a time");
        keeper.taken_back(ONE, None);
        assert_eq!(keeper.observe(at(3), &[]), [take_back], "it failed");
        keeper.taken_back(ONE, Some(0));
        assert_eq!(keeper.observe(at(4), &[]), [Action::Serve(ONE, at(7))]);
    }

    #[test]
    fn a_raised_fence_is_lowered_and_its_log_read_before_serving_again() {
        let mut keeper = FenceKeeper::new(1, FENCE);
        keeper.observe(at(1), &fence(4, false));
        keeper.taken_back(ONE, Some(4));
        assert_eq!(keeper.observe(at(2), &fence(4, false)), [Action::Serve(ONE, at(5))]);
        let lower = Action::TakeBack { partition: ONE, epoch: 5, lower: true };
        assert_eq!(keeper.observe(at(3), &fence(5, true)), [lower]);
        assert_eq!(keeper.observe(at(4), &fence(5, false)), [], "lowered, but its log is still being read");
        keeper.taken_back(ONE, Some(5));
        assert_eq!(keeper.observe(at(5), &fence(5, false)), [Action::Serve(ONE, at(8))]);
    }

    #[test]
    fn a_fence_that_somebody_else_lowered_still_costs_a_look_at_its_log() {
        let mut keeper = FenceKeeper::new(1, FENCE);
        keeper.observe(at(1), &fence(1, false));
        keeper.taken_back(ONE, Some(1));
        let look = Action::TakeBack { partition: ONE, epoch: 3, lower: false };
        assert_eq!(keeper.observe(at(2), &fence(3, false)), [look]);
    }

    #[test]
    fn the_reason_of_a_refusal_follows_from_what_is_known() {
        let serving = Serving::default();
        assert_eq!(serving.refusal_reason(at(100), FENCE), RefusalReason::NotServing, "not rebuilt");
        serving.set_rebuilt();
        assert_eq!(serving.refusal_reason(at(100), FENCE), RefusalReason::FenceUnreadable, "never read");
        serving.fences_were_read(at(98));
        assert_eq!(serving.refusal_reason(at(100), FENCE), RefusalReason::NotServing, "read, and raised");
        assert_eq!(serving.refusal_reason(at(101), FENCE), RefusalReason::FenceUnreadable);
    }

    #[test]
    fn a_clock_is_believed_within_two_seconds_of_the_stores() {
        let at = |ms: i64| Timestamp::from_unix_ms(1_795_000_000_000 + ms);
        let date = 1_795_000_000_000;
        assert!(clock_agrees(at(0), at(50), 0), "no date, no judgment");
        assert!(clock_agrees(at(2_999), at(3_000), date) && !clock_agrees(at(3_000), at(3_000), date));
        assert!(clock_agrees(at(-2_500), at(-2_000), date) && !clock_agrees(at(-2_500), at(-2_001), date));
    }
}
