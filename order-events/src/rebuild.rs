//! Bringing partitions back whose state is not whole: those of a new cluster, or of one that lost everything.
//!
//! The replicated state says by itself whether it was rebuilt. Whoever leads a partition that was not exports it from
//! connection-polling and then marks it, and nothing of it is served before; whoever leads it later finds the mark. The
//! feed queue and acknowledgments are taken all the while. Exports that follow are [`crate::reconcile`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use order_model::PartitionId;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::dependency::Episode;
use crate::import::{Client, Items, Wanted, import};
use crate::service::Shared;
use crate::state::{Command, Reply};

/// How long to wait before another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How far the rebuilding of partitions led here is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// How many partitions led here are not rebuilt.
    pub(crate) partitions: usize,
    pub(crate) items: Items,
    pub(crate) last_failure: Option<String>,
}

/// Rebuilds whatever is led here and not whole, until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, client: Client, shutdown: CancellationToken) {
    let mut leadership = shared.leadership.clone();
    let mut episode = Episode::default();
    loop {
        leadership.borrow_and_update();
        let wanted: Wanted = shared.led().into_iter().filter(|(partition, _)| !shared.is_rebuilt(*partition)).collect();
        note(&shared, |progress| progress.partitions = wanted.len());
        if wanted.is_empty() {
            note(&shared, |progress| *progress = Progress::default());
            // A state that is whole stays so: only another leadership brings something to do.
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return shutdown.cancelled().await },
            }
            continue;
        }
        let rebuilding = tokio::select! {
            () = shutdown.cancelled() => return,
            result = rebuild(&shared, client.clone(), wanted) => result,
        };
        match rebuilding {
            Ok(events) => {
                episode.succeeds();
                tracing::info!(events, "rebuilt from connection-polling's export");
            }
            Err(status) => {
                if episode.fails() {
                    tracing::warn!(code = ?status.code(), "cannot rebuild from connection-polling; trying on, not serving");
                }
                note(&shared, |progress| progress.last_failure = Some(format!("{:?}", status.code())));
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                }
            }
        }
    }
}

/// Applies one export of `wanted` and marks the partitions; how many events were new.
async fn rebuild(shared: &Shared, client: Client, wanted: Wanted) -> Result<usize, Status> {
    let added = import(shared, client, wanted, |items| note(shared, |progress| progress.items = items)).await?;
    mark(shared, &added).await?;
    shared.rebuilt.notify_one();
    Ok(added.values().sum())
}

async fn mark(shared: &Shared, imported: &BTreeMap<PartitionId, usize>) -> Result<(), Status> {
    let marking = imported.keys().map(|partition| async move {
        let replies = shared.grid.propose(partition.0, vec![Bytes::from(Command::Rebuilt.encode())]).await;
        let reply = replies.ok().and_then(|replies| Reply::decode(replies.first()?).ok());
        reply == Some(Reply::Rebuilt)
    });
    if join_all(marking).await.into_iter().all(|marked| marked) {
        Ok(())
    } else {
        Err(Status::unavailable("a partition did not take the mark of its rebuilding"))
    }
}

fn note(shared: &Shared, change: impl FnOnce(&mut Progress)) {
    let mut progress = shared.progress.lock();
    change(&mut progress);
    let telemetry = &shared.telemetry;
    #[expect(clippy::cast_precision_loss, reason = "a progress bar")]
    let gauges = [
        (&telemetry.rebuild_partitions, progress.partitions as f64),
        (&telemetry.rebuild_items_done, progress.items.done as f64),
        (&telemetry.rebuild_items_estimate, progress.items.total_estimate as f64),
    ];
    gauges.into_iter().for_each(|(gauge, value)| gauge.set(value));
}
