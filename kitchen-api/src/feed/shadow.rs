//! Comparing the two feeds all the time: a small share of the polls that the primary answered is read from the
//! fallback as well, in the background.
//!
//! A difference counts only when it persists: both sides are read again [`CONFIRM_AFTER`] later, and what was
//! acknowledged, expired or still on its way in between is no difference any more. Polls chosen within [`GATHERED_FOR`]
//! are read together: one by one their requests would cost a tenth of what all polls cost. Mismatches are counted by
//! kind and logged without content. A poll is never delayed, nothing is ever acknowledged or counted as delivered from here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use event_feed::page::PAGE_EVENTS_MAX;
use event_feed::{AuthorisedMerchants, FeedEvent, Filter};
use futures::{StreamExt, stream};
use order_model::{EventId, SharedClock, Timestamp};
use parking_lot::Mutex;
use rand::{Rng, RngCore};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fallback::Fallback;
use super::poll::{FALLBACK_DEADLINE, LAST_RESORT_DEADLINE};
use super::primary::{PollOutcome, PollQuery, PrimaryFeed};
use super::shadow_batch::merge;

/// A source of random numbers, passed in.
pub type SharedRandom = Arc<Mutex<dyn RngCore + Send>>;

/// Events younger than this may have reached one side only.
pub const YOUNG: Duration = Duration::from_secs(2);

/// When a difference is looked at again: longer than events and acknowledgments take to reach both sides.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(2);

/// How long polls are gathered that are then read together. Well below [`CONFIRM_AFTER`], so that it adds few differences
/// that turn out to be none.
pub const GATHERED_FOR: Duration = Duration::from_millis(250);

/// Comparisons at a time: shadow reads must not become the fallback's main load.
const COMPARISONS_MAX: usize = 4;

/// Polls waiting to be compared; further ones are not, and are counted.
const WAITING_MAX: usize = 64;

/// How the two sides differ about one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// The primary shows it, the fallback does not: polls of the fallback would lose it.
    Missing,
    /// The fallback shows it, the primary does not: polls of one of them repeat or lose it.
    Extra,
    /// Both show it with different content.
    Content,
}

impl Mismatch {
    /// The metric label.
    fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Content => "content",
        }
    }
}

/// The differences between two answers to the same poll, read at about `now`. Events that are younger than [`YOUNG`] or
/// about to expire are ignored.
pub fn compare(primary: &[FeedEvent], fallback: &[FeedEvent], now: Timestamp) -> BTreeMap<EventId, Mismatch> {
    let settled = |event: &&FeedEvent| event.created_at.plus(YOUNG) <= now && event.expires_at > now.plus(YOUNG);
    let by_id = |events: &[FeedEvent]| -> BTreeMap<EventId, FeedEvent> {
        events.iter().filter(settled).map(|event| (event.id, event.clone())).collect()
    };
    let (primary, fallback) = (by_id(primary), by_id(fallback));
    let ids: BTreeSet<EventId> = primary.keys().chain(fallback.keys()).copied().collect();
    let mismatch = |id: EventId| match (primary.get(&id), fallback.get(&id)) {
        (Some(_), None) => Some((id, Mismatch::Missing)),
        (None, Some(_)) => Some((id, Mismatch::Extra)),
        (Some(one), Some(other)) => differ(one, other).then_some((id, Mismatch::Content)),
        (None, None) => None,
    };
    ids.into_iter().filter_map(mismatch).collect()
}

/// The trace is left out: it is no part of what a POS sees.
fn differ(one: &FeedEvent, other: &FeedEvent) -> bool {
    (one.order, one.merchant, one.code, one.category, one.sequence)
        != (other.order, other.merchant, other.code, other.category, other.sequence)
        || (one.created_at, one.expires_at) != (other.created_at, other.expires_at)
        || one.body != other.body
}

/// A poll that the primary answered in full, or several, to be read from the fallback as well.
pub(super) struct Comparison {
    pub authorised: AuthorisedMerchants,
    pub filter: Filter,
    pub primary: Vec<FeedEvent>,
    /// How many polls it stands for.
    pub polls: u64,
}

/// Chooses polls and compares them.
pub(super) struct ShadowReader {
    primary: Arc<dyn PrimaryFeed>,
    fallback: Arc<Fallback>,
    clock: SharedClock,
    sampler: Sampler,
    jobs: mpsc::Sender<Comparison>,
    waiting: Mutex<Option<mpsc::Receiver<Comparison>>>,
}

impl ShadowReader {
    /// Compares the share `ratio` (0 to 1) of the polls offered.
    pub fn new(
        primary: Arc<dyn PrimaryFeed>,
        fallback: Arc<Fallback>,
        clock: SharedClock,
        ratio: f64,
        random: SharedRandom,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let sampler = Sampler::new(ratio, random);
        Self { primary, fallback, clock, sampler, jobs, waiting: Mutex::new(Some(waiting)) }
    }

    /// Offers a poll that the primary has just answered in full.
    pub fn offer(&self, authorised: &AuthorisedMerchants, filter: &Filter, primary: &[FeedEvent]) {
        if !self.sampler.draw() || self.fallback.is_down() {
            return;
        }
        let comparison =
            Comparison { authorised: authorised.clone(), filter: filter.clone(), primary: primary.to_vec(), polls: 1 };
        if self.jobs.try_send(comparison).is_err() {
            count("dropped", 1);
        }
    }

    /// Compares until `shutdown`. Comparisons under way are abandoned then. A second call only waits.
    pub async fn run(&self, shutdown: CancellationToken) {
        let waiting = self.waiting.lock().take();
        let Some(waiting) = waiting else {
            return shutdown.cancelled().await;
        };
        let gathered = stream::unfold(waiting, |mut waiting| async move {
            let comparisons = gather(&mut waiting).await?;
            Some((stream::iter(merge(comparisons)), waiting))
        });
        let comparing = gathered.flatten().for_each_concurrent(COMPARISONS_MAX, |comparison| async move {
            count(self.compare_now(&comparison).await, comparison.polls);
        });
        tokio::select! {
            () = comparing => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Carries out one comparison and answers how it went, as a metric label.
    pub async fn compare_now(&self, comparison: &Comparison) -> &'static str {
        let Some(fallback) = self.read_fallback(comparison).await else {
            return "failed";
        };
        if is_cut(&comparison.primary) || is_cut(&fallback) {
            return "page_full";
        }
        let suspects = compare(&comparison.primary, &fallback, self.clock.now());
        if suspects.is_empty() {
            return "same";
        }
        tokio::time::sleep(CONFIRM_AFTER).await;
        let Some(primary) = self.read_primary(comparison).await else {
            return "unconfirmed";
        };
        let Some(fallback) = self.read_fallback(comparison).await else {
            return "unconfirmed";
        };
        let persisting = compare(&primary, &fallback, self.clock.now());
        let confirmed: Vec<Mismatch> = suspects
            .into_iter()
            .filter_map(|(id, kind)| (persisting.get(&id) == Some(&kind)).then_some(kind))
            .collect();
        if confirmed.is_empty() {
            return "same";
        }
        report(&confirmed);
        "mismatch"
    }

    async fn read_fallback(&self, comparison: &Comparison) -> Option<Vec<FeedEvent>> {
        complete(self.fallback.poll(comparison.query(), FALLBACK_DEADLINE).await.ok()?)
    }

    async fn read_primary(&self, comparison: &Comparison) -> Option<Vec<FeedEvent>> {
        let query = comparison.query();
        if let Some(outcome) = self.primary.poll_now(&query) {
            return complete(outcome);
        }
        let answer = tokio::time::timeout(LAST_RESORT_DEADLINE, self.primary.poll(query)).await;
        complete(answer.ok()?.ok()?)
    }
}

/// Waits for a poll to compare, and a moment for more.
async fn gather(waiting: &mut mpsc::Receiver<Comparison>) -> Option<Vec<Comparison>> {
    let mut comparisons = vec![waiting.recv().await?];
    tokio::time::sleep(GATHERED_FOR).await;
    while let Ok(comparison) = waiting.try_recv() {
        comparisons.push(comparison);
    }
    Some(comparisons)
}

impl Comparison {
    fn query(&self) -> PollQuery<'_> {
        PollQuery {
            authorised: &self.authorised,
            filter: &self.filter,
            limit: PAGE_EVENTS_MAX,
            fallback_unreachable: false,
            shadow: true,
            within: LAST_RESORT_DEADLINE,
        }
    }
}

/// The events of an answer that left nothing out that its number of events would not tell.
fn complete(outcome: PollOutcome) -> Option<Vec<FeedEvent>> {
    (outcome.refused.is_empty() && !outcome.is_cut).then_some(outcome.events)
}

/// Whether a page may have left events out: by number, or by bytes, of which a page of a quarter or more is suspect.
fn is_cut(page: &[FeedEvent]) -> bool {
    let bytes: usize = page.iter().map(|event| event.body.len()).sum();
    page.len() >= PAGE_EVENTS_MAX || bytes >= event_feed::page::PAGE_BYTES_MAX / 4
}

fn report(confirmed: &[Mismatch]) {
    for kind in [Mismatch::Missing, Mismatch::Extra, Mismatch::Content] {
        let events = confirmed.iter().filter(|mismatch| **mismatch == kind).count();
        if events > 0 {
            metrics::counter!("comanda_kitchen_api_shadow_mismatches_total", "kind" => kind.label())
                .increment(events as u64);
            tracing::warn!(kind = kind.label(), events, "the fallback differs from the primary feed");
        }
    }
}

fn count(outcome: &'static str, polls: u64) {
    metrics::counter!("comanda_kitchen_api_shadow_reads_total", "outcome" => outcome).increment(polls);
}

/// Draws a share of all calls at random for one atomic decrement each: what is drawn is the gap to the next one.
pub(super) struct Sampler {
    ratio: f64,
    until_next: AtomicU32,
    random: SharedRandom,
}

impl Sampler {
    pub fn new(ratio: f64, random: SharedRandom) -> Self {
        let sampler = Self { ratio, until_next: AtomicU32::new(0), random };
        sampler.until_next.store(sampler.gap(), Ordering::Relaxed);
        sampler
    }

    pub fn draw(&self) -> bool {
        if self.ratio <= 0.0 {
            return false;
        }
        if self.until_next.fetch_sub(1, Ordering::Relaxed) != 1 {
            return false;
        }
        self.until_next.store(self.gap(), Ordering::Relaxed);
        true
    }

    /// How many calls on the next one is drawn, at least 1 and `1 / ratio` on average: geometrically distributed.
    fn gap(&self) -> u32 {
        if self.ratio >= 1.0 {
            return 1;
        }
        let uniform: f64 = self.random.lock().random();
        let gap = (1.0 - uniform).ln() / (1.0 - self.ratio).ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; a float cast saturates")]
        let gap = gap.floor().clamp(0.0, 1e9) as u32;
        gap + 1
    }
}
