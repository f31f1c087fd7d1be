//! Finds what is still marked as unpublished in all shards, and publishes it: same ids, same content.
//!
//! Looks at the marks and never at the hint that woke it. Several cores may repair the same event at once; whoever
//! consumes sees it twice under one id.

use std::sync::Arc;
use std::time::Duration;

use event_feed::FeedEvent;
use futures::stream::{self, StreamExt, TryStreamExt};
use order_model::SharedClock;
use tokio_util::sync::CancellationToken;

use super::batch::{Unpublished, batches, lag, to_repair};
use super::publisher::Publisher;
use crate::store::{Store, StoreError, UNPUBLISHED_SHARDS, spread};

/// Events read of one shard in one pass.
const SHARD_PAGE: usize = 100;
/// Shards read at the same time: 64 reads take a few round trips without flooding the client's connections.
const SHARD_CONCURRENCY: usize = 8;
/// Events loaded at once: 25 of the largest bodies stay far below the 16 MiB of one batch read.
const LOAD_PAGE: usize = 25;
/// Streams of publications side by side; the events of one order share one.
const REPAIR_LANES: usize = 4;
/// Between passes that found nothing left over.
const PASS_INTERVAL: Duration = Duration::from_millis(500);
/// Between passes while topic or table do not work: grows from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));

pub(crate) struct RelayReconciler {
    pub(crate) store: Arc<Store>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) clock: SharedClock,
}

/// What is left after a pass.
#[derive(Debug, PartialEq, Eq)]
enum PassEnd {
    /// Nothing that could be repaired now.
    Clean,
    /// A page was full: there is more.
    More,
    /// The topic did not take everything.
    Blocked,
}

impl RelayReconciler {
    /// Repairs until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let mut pause = Duration::ZERO;
        let mut store_works = true;
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let ended = self.pass().await;
            let works = ended.is_ok();
            if let Err(error) = &ended
                && store_works
            {
                tracing::warn!(error = error as &dyn std::error::Error, "unpublished events cannot be read");
            } else if works && !store_works {
                tracing::info!("unpublished events can be read again");
            }
            store_works = works;
            pause = match ended {
                Ok(PassEnd::Clean) => PASS_INTERVAL,
                Ok(PassEnd::More) => Duration::ZERO,
                Ok(PassEnd::Blocked) | Err(_) => (pause * 2).clamp(BACKOFF.0, BACKOFF.1),
            };
        }
    }

    async fn pass(&self) -> Result<PassEnd, StoreError> {
        let pages: Vec<Vec<Unpublished>> = stream::iter(0..UNPUBLISHED_SHARDS)
            .map(|shard| self.store.unpublished(shard, SHARD_PAGE))
            .buffer_unordered(SHARD_CONCURRENCY)
            .try_collect()
            .await?;
        let is_more = pages.iter().any(|page| page.len() >= SHARD_PAGE);
        let marked = pages.concat();
        let now = self.clock.now();
        metrics::gauge!("comanda_gateway_core_relay_lag_seconds").set(lag(&marked, now).as_secs_f64());
        let repairs = to_repair(marked, now);
        let is_more = is_more && !repairs.is_empty();
        if self.repair(repairs).await? {
            Ok(if is_more { PassEnd::More } else { PassEnd::Clean })
        } else {
            Ok(PassEnd::Blocked)
        }
    }

    /// Publishes `repairs`; `false` when the topic did not take everything.
    async fn repair(&self, repairs: Vec<Unpublished>) -> Result<bool, StoreError> {
        let mut lanes: [Vec<Unpublished>; REPAIR_LANES] = Default::default();
        for event in repairs {
            lanes[usize::from(spread(event.order)) % REPAIR_LANES].push(event);
        }
        let lanes = lanes.iter().map(|lane| self.repair_lane(lane));
        let taken: Vec<bool> = futures::future::try_join_all(lanes).await?;
        Ok(taken.into_iter().all(|taken| taken))
    }

    async fn repair_lane(&self, lane: &[Unpublished]) -> Result<bool, StoreError> {
        let mut all_taken = true;
        for page in lane.chunks(LOAD_PAGE) {
            let events = self.store.load_unpublished(page).await?;
            metrics::counter!("comanda_gateway_core_relay_repaired_total").increment(events.len() as u64);
            all_taken &= self.publish_all(events).await;
            if !all_taken && !self.publisher.topic_works() {
                break;
            }
        }
        Ok(all_taken)
    }

    async fn publish_all(&self, events: Vec<FeedEvent>) -> bool {
        let mut all_taken = true;
        for batch in batches(events) {
            let published = self.publisher.publish(batch).await;
            self.publisher.clear(published.taken).await;
            all_taken &= published.failed == 0;
            // A topic that is down is not asked again in this pass; an event it refuses does not hold up the others.
            if !all_taken && !self.publisher.topic_works() {
                break;
            }
        }
        all_taken
    }
}
