//! The fence of each partition, as a leader sees it: when it may serve and what it must do before.
//!
//! [`keeper::FenceKeeper`] decides and is pure; [`keep`] is the loop around it. The protocol (who raises a fence and why) is
//! described in the project's ARCHITECTURE; the leader's part is: serve only until FENCE after the start of the last
//! read that found the fence down; on a raised one stop, lower it, read the acknowledgments made without us, apply them, and
//! serve when the next read finds the fence as we left it. A new term begins like a raised fence.

mod keeper;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use order_model::PartitionId;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::connection_polling::{FencedAcknowledgmentsRequest, Fences, LowerFenceRequest, ReadFencesRequest};
use proto::transport::Transport;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::dependency::{self, Episode};
use crate::import;
use crate::service::Shared;
use keeper::{Action, Change, FenceKeeper, FenceState};
pub(crate) use serving::Serving;
use serving::clock_agrees;

type Client = ConnectionPollingClient<Transport>;

/// How taking a partition back in a term ended: the epoch for which everything is applied.
type TakenBack = (PartitionId, u64, Result<u64, Status>);

/// Reads the fences every second, and whenever a leadership is gained or a partition rebuilt, and acts on them, until
/// `shutdown`.
pub(crate) async fn keep(shared: Arc<Shared>, client: Client, shutdown: CancellationToken) {
    let mut keeper = FenceKeeper::new(shared.grid.partitions(), shared.config.fence);
    let mut leadership = shared.leadership.clone();
    let mut taking_back = JoinSet::<TakenBack>::new();
    let mut reading = Episode::default();
    let mut failing = Episode::default();
    loop {
        note_changes(&shared, &mut keeper, &mut leadership);
        match read(&shared, client.clone()).await {
            Ok((started, fences)) => {
                if reading.succeeds() {
                    tracing::info!("fences are readable again");
                }
                // A term that ended while the read was under way must not be acted for.
                note_changes(&shared, &mut keeper, &mut leadership);
                for action in keeper.observe(started, &fences, |partition| shared.is_rebuilt(partition)) {
                    act(&shared, &client, action, &mut taking_back);
                }
            }
            Err(status) => {
                if reading.fails() {
                    tracing::warn!(code = ?status.code(), "fences cannot be read; serving ends in {:?}", shared.config.fence);
                }
            }
        }
        shared.note_fence_epochs(keeper.epochs());
        let next_read_at = Instant::now() + shared.config.fence_read_interval;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next_read_at) => break,
                () = shared.rebuilt.notified() => break,
                Ok(()) = leadership.changed() => if note_changes(&shared, &mut keeper, &mut leadership) { break },
                // A partition taken back serves after the next read, so that comes at once; a failure waits its turn.
                Some(done) = taking_back.join_next() => if settle(&mut keeper, done, &mut failing) && taking_back.is_empty() { break },
            }
        }
    }
}

type Watched = tokio::sync::watch::Receiver<Arc<[replicated_grid::Leadership]>>;

/// Takes in who leads now; whether a leadership was gained. What was noted beside the state in another term is dropped.
fn note_changes(shared: &Shared, keeper: &mut FenceKeeper, leadership: &mut Watched) -> bool {
    let now = Arc::clone(&leadership.borrow_and_update());
    let mut has_gained = false;
    for change in keeper.lead(&now) {
        match change {
            Change::Gained { partition, term } => {
                shared.soft_of(partition).reset();
                tracing::info!(partition = partition.0, term, "leading the partition");
                has_gained = true;
            }
            Change::Lost { partition } => {
                shared.grid.stop_serving(partition.0);
                shared.soft_of(partition).reset();
                tracing::info!(partition = partition.0, "no longer leading the partition");
            }
        }
    }
    has_gained
}

/// Reads the fences once and answers when the read started, which is from when its answer counts.
async fn read(shared: &Shared, mut client: Client) -> Result<(Duration, Vec<FenceState>), Status> {
    let (started, before) = (shared.clock.monotonic(), shared.clock.now());
    let call = client.read_fences(ReadFencesRequest {});
    let fences = dependency::call("connection-polling", "read_fences", dependency::DEADLINE, call).await?;
    let trusted = clock_agrees(before, shared.clock.now(), fences.store_date_ms);
    if shared.serving.trust_clock(trusted) {
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

fn act(shared: &Arc<Shared>, client: &Client, action: Action, taking_back: &mut JoinSet<TakenBack>) {
    match action {
        Action::Serve { partition, term, until } => shared.grid.serve_until(partition.0, term, until),
        Action::TakeBack { partition, term, epoch, lower } => {
            shared.grid.stop_serving(partition.0);
            // Every new term takes its partitions back; worth a line is only one that somebody had fenced out.
            if lower {
                tracing::warn!(partition = partition.0, epoch, "the partition was fenced out; taking it back");
            }
            let (shared, client) = (Arc::clone(shared), client.clone());
            taking_back
                .spawn(async move { (partition, term, take_back(&shared, client, partition, epoch, lower).await) });
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
    while let Some(chunk) = import::next_chunk(&mut log).await? {
        import::apply_acknowledgments(shared, chunk.acknowledgments, |_| true).await?;
    }
    Ok(lowered_at)
}

/// Notes how taking a partition back ended; whether it succeeded.
fn settle(keeper: &mut FenceKeeper, done: Result<TakenBack, JoinError>, failing: &mut Episode) -> bool {
    match done {
        Ok((partition, term, Ok(epoch))) => {
            failing.succeeds();
            tracing::debug!(partition = partition.0, term, epoch, "partition taken back");
            keeper.taken_back(partition, term, Some(epoch));
            true
        }
        Ok((partition, term, Err(status))) => {
            if failing.fails() {
                tracing::warn!(partition = partition.0, code = ?status.code(), "partition not taken back; trying on");
            }
            keeper.taken_back(partition, term, None);
            false
        }
        // The task is never cancelled while the keeper lives; if it panicked, its partition stays out of service.
        Err(error) => {
            tracing::error!(%error, "taking a partition back failed");
            false
        }
    }
}
