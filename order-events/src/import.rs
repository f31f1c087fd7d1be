//! Applying one of connection-polling's exports to partitions led here. Applying one again changes nothing.
//!
//! Used by [`crate::rebuild`] and [`crate::reconcile`]; the reading of acknowledgments off the wire also by the fence. An
//! export is one scan of the whole table whatever is asked for, so partitions that need one share it. A partition whose
//! leadership ends meanwhile drops out of it.

use std::collections::BTreeMap;

use event_feed::FeedEvent;
use futures::future::{join_all, try_join_all};
use order_model::{ApplicationId, EventId, PartitionId};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::connection_polling::{Acknowledgment, ExportChunk, ExportRequest};
use proto::conversions;
use proto::transport::Transport;
use tonic::{Status, Streaming};

use crate::dependency;
use crate::ingest::{APPLY_DEADLINE, ApplyError, Source};
use crate::service::Shared;

/// A client of connection-polling.
pub(crate) type Client = ConnectionPollingClient<Transport>;

/// Partitions to import, each with the term in which it is led here.
pub(crate) type Wanted = BTreeMap<PartitionId, u64>;

/// How far an export is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Items {
    pub(crate) done: u64,
    pub(crate) total_estimate: u64,
}

/// Applies one whole export of `wanted` and answers how many events were new in each partition that is still led here
/// in the same term. `progress` is told after each chunk.
pub(crate) async fn import(
    shared: &Shared,
    mut client: Client,
    mut wanted: Wanted,
    progress: impl Fn(Items),
) -> Result<BTreeMap<PartitionId, usize>, Status> {
    let partitions = wanted.keys().map(|partition| u32::from(partition.0)).collect();
    let call = client.export(ExportRequest { partitions, partition_count: u32::from(shared.grid.partitions()) });
    let deadline = dependency::CHUNK_DEADLINE;
    let mut export = dependency::call("connection-polling", "export", deadline, call).await?;
    let mut added: BTreeMap<PartitionId, usize> = wanted.keys().map(|partition| (*partition, 0)).collect();
    while let Some(chunk) = next_chunk(&mut export).await? {
        let items = Items { done: chunk.items_done, total_estimate: chunk.items_total_estimate };
        apply(shared, chunk, &wanted, &mut added).await?;
        progress(items);
        shared.keep_led(&mut wanted);
        added.retain(|partition, _| wanted.contains_key(partition));
        if wanted.is_empty() {
            break;
        }
    }
    Ok(added)
}

async fn apply(
    shared: &Shared,
    chunk: ExportChunk,
    wanted: &Wanted,
    added: &mut BTreeMap<PartitionId, usize>,
) -> Result<(), Status> {
    let events: Result<Vec<FeedEvent>, Status> = chunk.events.iter().map(conversions::event_from_wire).collect();
    let mut by_partition = shared.ours_by_partition(events?);
    by_partition.retain(|partition, _| wanted.contains_key(partition));
    let appending = by_partition.into_iter().map(|(partition, events)| async move {
        let new = shared.append_to(Source::Export, partition, &events).await.map_err(not_applied)?;
        Ok::<_, Status>((partition, new))
    });
    for (partition, new) in try_join_all(appending).await? {
        *added.entry(partition).or_default() += new;
    }
    apply_acknowledgments(shared, chunk.acknowledgments, |partition| wanted.contains_key(&partition)).await
}

/// The next message of a stream, within its deadline.
pub(crate) async fn next_chunk<T>(stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
    match tokio::time::timeout(dependency::CHUNK_DEADLINE, stream.message()).await {
        Ok(message) => message,
        Err(_) => Err(Status::deadline_exceeded("the stream stalled")),
    }
}

/// Applies acknowledgments off the wire that belong to `wanted` partitions, all of them or an error.
pub(crate) async fn apply_acknowledgments(
    shared: &Shared,
    read: Vec<Acknowledgment>,
    wanted: impl Fn(PartitionId) -> bool,
) -> Result<(), Status> {
    let mut by_application: BTreeMap<ApplicationId, Vec<EventId>> = BTreeMap::new();
    for acknowledgment in read {
        let application = conversions::application_id(&acknowledgment.application_id)?;
        let ids: Result<Vec<EventId>, Status> =
            acknowledgment.event_ids.iter().map(|id| conversions::event_id(id)).collect();
        let is_wanted = |id: &EventId| wanted(shared.partition_of(id.routing_hash()));
        by_application.entry(application).or_default().extend(ids?.into_iter().filter(is_wanted));
    }
    let applying = by_application.iter().map(|(application, ids)| shared.acknowledge(application, ids, APPLY_DEADLINE));
    if join_all(applying).await.iter().all(Vec::is_empty) {
        Ok(())
    } else {
        Err(Status::unavailable("a partition did not take its acknowledgments"))
    }
}

fn not_applied(error: ApplyError) -> Status {
    Status::internal(error.to_string())
}
