//! Bringing the state back at start, out of connection-polling's export, and completing it afterwards.
//!
//! Nothing is served before one export was applied whole. Later exports repeat it at growing intervals: an event whose
//! feed message a former process had already deleted may still have been on its way into connection-polling's index when
//! the first export passed, and nobody else would bring it. Applying an export again changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventId};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::connection_polling::{Acknowledgment, ExportRequest};
use proto::conversions;
use proto::transport::Transport;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::dependency::{self, Episode};
use crate::ingest::Source;
use crate::service::Shared;

/// How long to wait before another try at the first export.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When exports are repeated, each counted from the one before. The last interval repeats while an export still finds
/// events that were not here.
const RECONCILE_AFTER: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
];

type Client = ConnectionPollingClient<Transport>;

/// How far the first export is, for readiness.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) items_done: u64,
    pub(crate) items_total_estimate: u64,
    pub(crate) last_failure: Option<String>,
}

/// Tries until one export was applied whole, or `shutdown`.
pub(crate) async fn run(shared: &Arc<Shared>, client: &Client, shutdown: &CancellationToken) {
    let mut episode = Episode::default();
    loop {
        let exporting = tokio::select! {
            () = shutdown.cancelled() => return,
            result = import(shared, client.clone()) => result,
        };
        match exporting {
            Ok(events) => {
                note_what_stands_above_gaps(shared);
                shared.serving.set_rebuilt();
                tracing::info!(events, "rebuilt from connection-polling's export");
                return;
            }
            Err(status) => {
                if episode.fails() {
                    tracing::warn!(code = ?status.code(), "cannot rebuild from connection-polling; trying on, not serving");
                }
                shared.progress.lock().last_failure = Some(format!("{:?}", status.code()));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}

/// Repeats the export as [`RECONCILE_AFTER`] says, until `shutdown`.
pub(crate) async fn reconcile(shared: Arc<Shared>, client: Client, shutdown: CancellationToken) {
    let mut pass = 0;
    while let Some(interval) = RECONCILE_AFTER.get(pass) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(*interval) => {}
        }
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = import(&shared, client.clone()) => result,
        };
        let found = match result {
            Ok(found) => found,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "reconciling export failed; it is tried again");
                continue;
            }
        };
        if found > 0 {
            note_what_stands_above_gaps(&shared);
            shared.telemetry.events_reconciled.increment(u64::try_from(found).unwrap_or(u64::MAX));
            tracing::info!(events = found, "events came late through connection-polling's export");
        }
        if found == 0 || pass + 1 < RECONCILE_AFTER.len() {
            pass += 1;
        }
    }
}

/// Applies one whole export; how many events were new.
async fn import(shared: &Shared, mut client: Client) -> Result<usize, Status> {
    let count = shared.grid.partitions();
    let partitions = (0..u32::from(count)).collect();
    let call = client.export(ExportRequest { partitions, partition_count: u32::from(count) });
    let deadline = dependency::CHUNK_DEADLINE;
    let mut export = dependency::call("connection-polling", "export", deadline, call).await?;
    let mut added = 0;
    while let Some(chunk) = next_chunk(&mut export).await? {
        let events: Result<Vec<FeedEvent>, Status> = chunk.events.iter().map(conversions::event_from_wire).collect();
        added += shared.append_from(Source::Export, events?).await.map_err(not_applied)?;
        apply_acknowledgments(shared, chunk.acknowledgments).await?;
        let mut progress = shared.progress.lock();
        progress.items_done = chunk.items_done;
        progress.items_total_estimate = chunk.items_total_estimate;
    }
    Ok(added)
}

/// The next message of a stream, within its deadline.
pub(crate) async fn next_chunk<T>(stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
    match tokio::time::timeout(dependency::CHUNK_DEADLINE, stream.message()).await {
        Ok(message) => message,
        Err(_) => Err(Status::deadline_exceeded("the stream stalled")),
    }
}

/// Applies acknowledgments off the wire, all of them or an error.
pub(crate) async fn apply_acknowledgments(shared: &Shared, read: Vec<Acknowledgment>) -> Result<(), Status> {
    let mut by_application: BTreeMap<ApplicationId, Vec<EventId>> = BTreeMap::new();
    for acknowledgment in read {
        let application = conversions::application_id(&acknowledgment.application_id)?;
        let ids: Result<Vec<EventId>, Status> =
            acknowledgment.event_ids.iter().map(|id| conversions::event_id(id)).collect();
        by_application.entry(application).or_default().extend(ids?);
    }
    for (application, ids) in by_application {
        if !shared.acknowledge(&application, &ids).await.is_empty() {
            return Err(Status::unavailable("a partition did not take its acknowledgments"));
        }
    }
    Ok(())
}

/// What an export left above a gap waits from now on, as if it had just arrived.
fn note_what_stands_above_gaps(shared: &Shared) {
    let now = shared.clock.monotonic();
    for partition in 0..shared.grid.partitions() {
        let soft = shared.soft_of(order_model::PartitionId(partition));
        let note = |state: &crate::state::FeedPartition| {
            state.events_above_gaps().for_each(|event| soft.note_arrival(event, now));
        };
        // Every partition below the count exists.
        let _ = shared.grid.read_without_lease(partition, note);
    }
}

fn not_applied(error: crate::ingest::ApplyError) -> Status {
    Status::internal(error.to_string())
}
