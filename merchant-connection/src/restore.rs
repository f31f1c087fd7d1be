//! Restoring what the store knows into a state that knows nothing: that of a new cluster, or of one that lost everything.
//!
//! The replicated state says by itself whether it is whole, so this runs once in a cluster's life: the leaders of partitions
//! that are not read the table once, together where they are one node, have each row replicated, and then the mark. Nothing
//! is judged before; beats are kept all the while. An item that cannot be read costs its own merchant's past, never a start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::led::{Led, tenths};
use crate::presence::command::RESTORED_MAX;
use crate::presence::presence_clock::Tenths;
use crate::presence::{Decision, RestoredMerchant, Transition};
use crate::replicate::{Episode, NotApplied};
use crate::service::Shared;
use crate::store::{Segment, StoreError, StoredPresence};

/// Pause before the store is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The most transitions of one merchant that are looked for: as many as are written before they are marked.
const UNPUBLISHED_MAX: u64 = 256;

/// How often progress is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// A restore failed; it is tried again.
#[derive(Debug, thiserror::Error)]
enum RestoreFailed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("having it replicated failed")]
    Grid(#[from] NotApplied),
}

/// Restores whatever is led here and not whole, until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let restoring = async {
        let mut episode = Episode::default();
        loop {
            let wanted: Vec<Arc<Led>> =
                shared.all_led().into_iter().filter(|led| !shared.is_restored(led.partition)).collect();
            if wanted.is_empty() {
                shared.restore_wanted.notified().await;
                continue;
            }
            match restore(&shared, &wanted).await {
                Ok(progress) => {
                    episode.succeeds();
                    progress.log(&shared, "presence restored");
                }
                Err(error) => {
                    if episode.fails() {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "presence cannot be restored yet; trying again");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    let _: Option<()> = shutdown.run_until_cancelled(restoring).await;
}

#[derive(Default)]
struct Progress {
    merchants: AtomicU64,
    malformed: AtomicU64,
    logged_at: Mutex<Option<Instant>>,
}

impl Progress {
    fn read(&self, shared: &Shared, items: u64) {
        let all = shared.restored_items.fetch_add(items, Ordering::Relaxed) + items;
        #[expect(clippy::cast_precision_loss, reason = "a progress bar")]
        metrics::gauge!("comanda_merchant_connection_restore_items").set(all as f64);
        let mut logged_at = self.logged_at.lock();
        if logged_at.get_or_insert_with(Instant::now).elapsed() >= LOG_EVERY {
            *logged_at = Some(Instant::now());
            drop(logged_at);
            self.log(shared, "presence is being restored");
        }
    }

    fn skip(&self, count: usize, error: Option<&StoreError>) {
        if count == 0 {
            return;
        }
        metrics::counter!("comanda_merchant_connection_restore_malformed_total").increment(count as u64);
        if self.malformed.fetch_add(count as u64, Ordering::Relaxed) == 0 {
            let error = error.map(ToString::to_string).unwrap_or_default();
            tracing::error!(error, "presence items that cannot be read are skipped; their number follows");
        }
    }

    fn log(&self, shared: &Shared, what: &'static str) {
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (items, merchants) = (load(&shared.restored_items), load(&self.merchants));
        tracing::info!(items, merchants, malformed = load(&self.malformed), "{what}");
    }
}

/// Reads the table once, for all of `wanted`.
async fn restore(shared: &Shared, wanted: &[Arc<Led>]) -> Result<Progress, RestoreFailed> {
    let progress = Progress::default();
    shared.restored_items.store(0, Ordering::Relaxed);
    let of = shared.config.restore_segments;
    let segments = (0..of.get()).map(|number| Segment { number, of });
    try_join_all(segments.map(|segment| restore_segment(shared, wanted, segment, &progress))).await?;
    for led in wanted {
        replicate(shared, led, Decision::RestoreEnded).await?;
        // One by one: what the others wait for must not depend on the one that fails.
        shared.restores.send_modify(|count| *count += 1);
    }
    Ok(progress)
}

async fn restore_segment(
    shared: &Shared,
    wanted: &[Arc<Led>],
    segment: Segment,
    progress: &Progress,
) -> Result<(), RestoreFailed> {
    let mut from = None;
    loop {
        let page = shared.store.presence_page(segment, from).await?;
        progress.skip(page.malformed, page.first_malformed.as_ref());
        let mut by_partition: BTreeMap<u16, Vec<StoredPresence>> = BTreeMap::new();
        for stored in page.found {
            by_partition.entry(shared.partition_of(stored.last.merchant)).or_default().push(stored);
        }
        for led in wanted {
            let stored = by_partition.remove(&led.partition).unwrap_or_default();
            for part in stored.chunks(RESTORED_MAX) {
                let rows = rows(shared, led, part, progress).await?;
                replicate(shared, led, Decision::Restored(rows)).await?;
            }
            progress.merchants.fetch_add(stored.len() as u64, Ordering::Relaxed);
        }
        progress.read(shared, page.items);
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

async fn rows(
    shared: &Shared,
    led: &Led,
    stored: &[StoredPresence],
    progress: &Progress,
) -> Result<Vec<RestoredMerchant>, StoreError> {
    let now_ms = shared.grid.time(led.partition).unix_ms;
    let mut rows = Vec::with_capacity(stored.len());
    for presence in stored {
        let last = presence.last;
        let unpublished = unpublished(shared, presence, progress).await?;
        rows.push(RestoredMerchant { last, age: age(shared, &last, now_ms), unpublished });
    }
    Ok(rows)
}

/// How long ago a merchant beat. A restore counts as a beat for whoever was ONLINE; whoever was OFFLINE has been silent.
fn age(shared: &Shared, last: &Transition, now_ms: i64) -> Tenths {
    if last.online {
        return 0;
    }
    let silent_ms = now_ms.saturating_sub(last.last_heartbeat_at_ms).max(0);
    let silent = u32::try_from(silent_ms / 100).unwrap_or(u32::MAX);
    silent.max(tenths(shared.config.offline_after).saturating_add(1))
}

async fn unpublished(
    shared: &Shared,
    presence: &StoredPresence,
    progress: &Progress,
) -> Result<Vec<Transition>, StoreError> {
    let mut found = Vec::new();
    let last = presence.last.sequence;
    let first = presence.published_sequence.saturating_add(1).max(last.saturating_sub(UNPUBLISHED_MAX));
    for sequence in first..=last {
        match shared.store.transition(presence.last.merchant, sequence).await {
            Ok(transition) => found.extend(transition),
            Err(error @ StoreError::Malformed { .. }) => progress.skip(1, Some(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A partition that somebody else leads by now is his to restore.
async fn replicate(shared: &Shared, led: &Led, decision: Decision) -> Result<(), NotApplied> {
    let hearing = led.hearing_time(shared.clock.monotonic());
    match shared.replicate(led, hearing, decision).await {
        Err(NotApplied::Superseded) => Ok(()),
        outcome => outcome,
    }
}
