//! Finds what is still marked as unpublished in all shards, and publishes it: same ids, same content. What the topic
//! refuses is set aside in a shard of its own, visibly, and tried again every few minutes until it expires.
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
use super::publisher::{Published, Publisher};
use super::refusals::{Refusals, Verdict};
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
/// Between looks at what is set aside.
const ASIDE_INTERVAL: Duration = Duration::from_secs(30);
/// Events set aside that are looked at, the oldest: their keys fit into one answer of 1 MB.
const ASIDE_PAGE: usize = 5_000;
/// Of these, how many are tried at one look: what is refused must not hold up what is not.
const ASIDE_TRIED_MAX: usize = 200;

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
    /// The topic does not work.
    Blocked,
}

/// What is known from one pass to the next.
#[derive(Default)]
struct Memory {
    refusals: Refusals,
    /// When to look at what is set aside, on the monotonic clock.
    look_aside_at: Duration,
}

impl RelayReconciler {
    /// Repairs until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let mut memory = Memory::default();
        let mut pause = Duration::ZERO;
        let mut store_works = true;
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let ended = self.pass(&mut memory).await;
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

    async fn pass(&self, memory: &mut Memory) -> Result<PassEnd, StoreError> {
        let (marked, is_more) = self.marked().await?;
        let now = self.clock.now();
        metrics::gauge!("comanda_gateway_core_relay_lag_seconds").set(lag(&marked, now).as_secs_f64());
        let mut repairs = to_repair(marked, now);
        let monotonic = self.clock.monotonic();
        repairs.retain(|event| memory.refusals.is_due(event, monotonic));
        let is_more = is_more && !repairs.is_empty();
        let mut works = self.repair(repairs, memory).await?;
        if works && monotonic >= memory.look_aside_at {
            memory.look_aside_at = monotonic + ASIDE_INTERVAL;
            works = self.repair_aside(memory).await?;
        }
        Ok(match (works, is_more) {
            (false, _) => PassEnd::Blocked,
            (true, true) => PassEnd::More,
            (true, false) => PassEnd::Clean,
        })
    }

    /// Everything that is marked, or a page of each shard; whether there is more.
    async fn marked(&self) -> Result<(Vec<Unpublished>, bool), StoreError> {
        if let Some(all) = self.store.unpublished_if_few().await? {
            return Ok((all, false));
        }
        let pages: Vec<Vec<Unpublished>> = stream::iter(0..UNPUBLISHED_SHARDS)
            .map(|shard| self.store.unpublished(shard, SHARD_PAGE))
            .buffer_unordered(SHARD_CONCURRENCY)
            .try_collect()
            .await?;
        let is_more = pages.iter().any(|page| page.len() >= SHARD_PAGE);
        Ok((pages.concat(), is_more))
    }

    /// Offers again what is set aside and due; `false` when the topic does not work.
    async fn repair_aside(&self, memory: &mut Memory) -> Result<bool, StoreError> {
        let mut aside = self.store.set_aside(ASIDE_PAGE).await?;
        self.publisher.report_set_aside(aside.len());
        let now = self.clock.monotonic();
        aside.iter().for_each(|event| memory.refusals.know_aside(event));
        aside.retain(|event| memory.refusals.is_due(event, now));
        aside.truncate(ASIDE_TRIED_MAX);
        self.repair(aside, memory).await
    }

    /// Publishes `repairs`; `false` when the topic does not work.
    async fn repair(&self, repairs: Vec<Unpublished>, memory: &mut Memory) -> Result<bool, StoreError> {
        let mut lanes: [Vec<Unpublished>; REPAIR_LANES] = Default::default();
        for event in repairs {
            lanes[usize::from(spread(event.order)) % REPAIR_LANES].push(event);
        }
        let lanes = lanes.iter().map(|lane| self.repair_lane(lane));
        let ended: Vec<Published> = futures::future::try_join_all(lanes).await?;
        let works = ended.iter().all(|lane| lane.failed == 0);
        let refused: Vec<_> = ended.into_iter().flat_map(|lane| lane.refused).collect();
        self.judge(refused, memory).await?;
        Ok(works)
    }

    async fn judge(&self, refused: Vec<(FeedEvent, String)>, memory: &mut Memory) -> Result<(), StoreError> {
        for (event, reason) in refused {
            let FeedEvent { order, sequence, .. } = event;
            match memory.refusals.note(&event, self.clock.monotonic()) {
                Verdict::First => {
                    tracing::warn!(%order, sequence, reason, "the topic refuses an event; it is tried a few times more");
                }
                Verdict::Again => {}
                Verdict::Aside if self.store.move_aside(order, sequence).await? => {
                    metrics::counter!("comanda_gateway_core_relay_set_aside_total").increment(1);
                    tracing::error!(%order, sequence, reason, "the topic refuses an event; it is set aside");
                    memory.look_aside_at = Duration::ZERO;
                }
                Verdict::Aside => {}
            }
        }
        Ok(())
    }

    async fn repair_lane(&self, lane: &[Unpublished]) -> Result<Published, StoreError> {
        let mut ended = Published::default();
        for page in lane.chunks(LOAD_PAGE) {
            let events = self.store.load_unpublished(page).await?;
            metrics::counter!("comanda_gateway_core_relay_repaired_total").increment(events.len() as u64);
            for batch in batches(events) {
                let Published { taken, refused, failed } = self.publisher.publish(batch).await;
                self.publisher.clear(taken).await;
                ended.refused.extend(refused);
                ended.failed += failed;
                // A topic that is down is not asked again in this pass.
                if ended.failed > 0 && !self.publisher.topic_works() {
                    return Ok(ended);
                }
            }
        }
        Ok(ended)
    }
}
