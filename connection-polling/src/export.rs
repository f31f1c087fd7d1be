//! The export that order-events rebuilds itself from: every unexpired event and remembered acknowledgment.
//!
//! A parallel scan, one page of a thousand items of each segment in memory at a time, pulled by the receiver: a slow one slows the scan.
//! Strongly consistent: whatever was answered before the export began is in it. What is written meanwhile may or may
//! not be; the receiver gets that on its own ways. Order is deliberately absent.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_feed::visibility;
use futures::stream::{self, BoxStream, StreamExt};
use order_model::{PartitionCount, PartitionId, RoutingHash, Timestamp};
use proto::connection_polling::{Acknowledgment, ExportChunk};
use proto::conversions::{event_to_wire, to_bytes};

use crate::keys::{self, Kind};
use crate::store::{self, IndexedEvent, Item, ItemPage, Segment, Store, StoreError};

/// Attempts at one page: an export that took minutes should not fail for one hiccup.
const PAGE_ATTEMPTS_MAX: u32 = 5;
/// Wait before the second attempt, doubled before each further one.
const PAGE_BACKOFF: Duration = Duration::from_millis(200);

/// Which partitions to export.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) partition_count: PartitionCount,
}

impl Selection {
    fn contains(&self, hash: RoutingHash) -> bool {
        self.partitions.contains(&hash.partition(self.partition_count))
    }
}

/// Everything of these partitions, page by page.
pub(crate) fn export(
    store: Store,
    selection: Selection,
    segments: NonZeroU8,
) -> BoxStream<'static, Result<ExportChunk, StoreError>> {
    let opening = async move {
        // Only for a progress bar: without it the receiver sees what is done, not how much there is.
        let total = store.item_count_estimate().await.unwrap_or(0);
        let progress = Arc::new(Progress { total, done: AtomicU64::new(0) });
        let selection = Arc::new(selection);
        let segment = |number| {
            let segment = Segment { number, of: segments };
            segment_stream(store.clone(), segment, Arc::clone(&selection), Arc::clone(&progress))
        };
        stream::select_all((0..segments.get()).map(segment))
    };
    stream::once(opening).flatten().boxed()
}

struct Progress {
    total: u64,
    done: AtomicU64,
}

/// Where a segment's scan stands.
enum Place {
    Start,
    At(Item),
    End,
}

fn segment_stream(
    store: Store,
    segment: Segment,
    selection: Arc<Selection>,
    progress: Arc<Progress>,
) -> BoxStream<'static, Result<ExportChunk, StoreError>> {
    let step = move |place: Place| {
        let (store, selection, progress) = (store.clone(), Arc::clone(&selection), Arc::clone(&progress));
        async move {
            let start = match place {
                Place::Start => None,
                Place::At(key) => Some(key),
                Place::End => return Ok(None),
            };
            let page = scan_page(&store, segment, start).await?;
            let chunk = chunk(&page.items, &selection, store.now(), &progress);
            Ok(Some((chunk, page.next.map_or(Place::End, Place::At))))
        }
    };
    stream::try_unfold(Place::Start, step).boxed()
}

async fn scan_page(store: &Store, segment: Segment, start: Option<Item>) -> Result<ItemPage, StoreError> {
    let mut attempt = 1;
    loop {
        match store.scan_page(segment, start.clone()).await {
            Err(error) if error.is_retryable() && attempt < PAGE_ATTEMPTS_MAX => {
                tokio::time::sleep(PAGE_BACKOFF * 2u32.pow(attempt - 1)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn chunk(items: &[Item], selection: &Selection, now: Timestamp, progress: &Progress) -> ExportChunk {
    let mut chunk = ExportChunk::default();
    for item in items {
        if add(item, selection, now, &mut chunk).is_err() {
            metrics::counter!("comanda_connection_polling_unreadable_items_total").increment(1);
        }
    }
    let done = progress.done.fetch_add(items.len() as u64, Ordering::Relaxed) + items.len() as u64;
    chunk.items_done = done;
    chunk.items_total_estimate = progress.total.max(done);
    chunk
}

fn add(item: &Item, selection: &Selection, now: Timestamp, chunk: &mut ExportChunk) -> Result<(), StoreError> {
    match keys::kind(store::partition_key(item)?) {
        Kind::Event(hash) if selection.contains(hash) => {
            let event = IndexedEvent::from_item(item)?.event;
            if !visibility::is_expired(event.expires_at, now) {
                chunk.events.push(event_to_wire(&event));
            }
        }
        Kind::Acknowledgments(application, hash) if selection.contains(hash) => {
            let ids = store::unexpired_ids(item, now)?;
            if !ids.is_empty() {
                let event_ids = ids.iter().map(|id| to_bytes(id.as_bytes())).collect();
                chunk.acknowledgments.push(Acknowledgment { application_id: application.to_string(), event_ids });
            }
        }
        Kind::Event(_) | Kind::Acknowledgments(..) | Kind::Other => {}
    }
    Ok(())
}
