//! A poll out of the index: heads and cursors, then only the merchants that moved, then one page.
//!
//! Called by `rpc`. The order of reads is what makes cursors true: heads first, then acknowledgments, then events. An
//! event indexed after the events were read moves the head beyond the one remembered, so the next poll finds it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_feed::{AuthorisedMerchants, Candidate, FeedEvent, Filter, GrantedMerchant, page};
use futures::stream::{self, StreamExt, TryStreamExt};
use order_model::{ApplicationId, EventId, MerchantId, Timestamp};
use parking_lot::Mutex;

use crate::gaps::GapFiller;
use crate::pending::{MerchantAnswer, Pending};
use crate::plan::{self, Cursor, HashRead};
use crate::recent::Recent;
use crate::store::{Store, StoreError};

/// Routing hashes one poll reads at once, two queries each: a poll of a chain must not take every connection.
const READS_IN_FLIGHT_MAX: usize = 16;
/// Deliveries remembered, so that a page leaves room for events never delivered. About 30 MiB at most.
const DELIVERIES_REMEMBERED: usize = 200_000;

/// Answers polls.
#[derive(Clone)]
pub(crate) struct Poller {
    store: Store,
    gaps: GapFiller,
    delivered: Arc<Mutex<Recent<(ApplicationId, EventId)>>>,
    /// Which merchant chooses first: wanders, so that none is always last.
    turn: Arc<AtomicUsize>,
}

/// One poll.
pub(crate) struct Poll {
    pub(crate) authorised: AuthorisedMerchants,
    pub(crate) filter: Filter,
    /// 1 to [`event_feed::PAGE_EVENTS_MAX`].
    pub(crate) limit: usize,
    /// A comparison read: counts as no delivery.
    pub(crate) shadow: bool,
}

/// What it is answered with.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) events: Vec<FeedEvent>,
    pub(crate) hidden: Vec<EventId>,
}

impl Poller {
    pub(crate) fn new(store: Store, gaps: GapFiller) -> Self {
        let delivered = Arc::new(Mutex::new(Recent::new(DELIVERIES_REMEMBERED)));
        Self { store, gaps, delivered, turn: Arc::default() }
    }

    /// Answers a poll.
    pub(crate) async fn poll(&self, poll: &Poll) -> Result<Answer, StoreError> {
        if poll.filter.asks_for_nothing() || poll.authorised.merchants().is_empty() {
            return Ok(Answer::default());
        }
        let application = poll.authorised.application();
        let granted = without_repetition(poll.authorised.merchants());
        let (heads, cursors) = self.store.heads_and_cursors(application, &granted).await?;
        let now = self.store.now();
        let reads = plan::plan(&granted, &heads, &cursors);
        let answers = self.read_all(application, &reads, &poll.filter, now).await?;
        let answers = self.fill_gaps(application, &reads, poll, now, answers).await?;
        self.remember(application, &answers, now).await;
        Ok(self.choose(poll, &granted, answers))
    }

    async fn read_all(
        &self,
        application: &ApplicationId,
        reads: &[HashRead],
        filter: &Filter,
        now: Timestamp,
    ) -> Result<Vec<MerchantAnswer>, StoreError> {
        let answers: Vec<Vec<MerchantAnswer>> = stream::iter(reads.to_vec())
            .map(|read| self.read(application, read, filter, now))
            .buffer_unordered(READS_IN_FLIGHT_MAX)
            .try_collect()
            .await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn read(
        &self,
        application: &ApplicationId,
        read: HashRead,
        filter: &Filter,
        now: Timestamp,
    ) -> Result<Vec<MerchantAnswer>, StoreError> {
        let acknowledged = self.store.read_acknowledged(application, read.hash, read.from).await?;
        let mut pending = Pending::new(&read, acknowledged, filter, now);
        self.store.read_events(read.hash, read.from, |event| pending.take(event)).await?;
        Ok(pending.into_answers())
    }

    /// Fetches what was waited for in vain; where that brought something, those merchants are read again, from the
    /// beginning: what was missing may be older than what a cursor declared done.
    async fn fill_gaps(
        &self,
        application: &ApplicationId,
        reads: &[HashRead],
        poll: &Poll,
        now: Timestamp,
        answers: Vec<MerchantAnswer>,
    ) -> Result<Vec<MerchantAnswer>, StoreError> {
        let (gapless, with_gaps): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.gaps.is_empty());
        if with_gaps.is_empty() || !self.gaps.fill(with_gaps.iter().flat_map(|answer| &answer.gaps)).await {
            return Ok(gapless.into_iter().chain(with_gaps).collect());
        }
        let again: HashSet<MerchantId> = with_gaps.iter().map(|answer| answer.read.granted.merchant).collect();
        let reads: Vec<HashRead> = reads.iter().filter_map(|read| from_the_beginning(read, &again)).collect();
        let reread = self.read_all(application, &reads, &poll.filter, now).await?;
        Ok(gapless.into_iter().chain(reread).collect())
    }

    /// Writes what was learned. A failure costs the next poll some reads, so it is not this poll's failure.
    async fn remember(&self, application: &ApplicationId, answers: &[MerchantAnswer], now: Timestamp) {
        let learn = |answer: &MerchantAnswer| {
            let cursor = plan::learned(&answer.read, answer.oldest_needed, now)?;
            Some((answer.read.granted.merchant, cursor))
        };
        let cursors: Vec<(MerchantId, Cursor)> = answers.iter().filter_map(learn).collect();
        if !cursors.is_empty() && self.store.write_cursors(application, &cursors, now).await.is_err() {
            metrics::counter!("comanda_connection_polling_cursors_lost_total").increment(cursors.len() as u64);
        }
    }

    fn choose(&self, poll: &Poll, granted: &[GrantedMerchant], answers: Vec<MerchantAnswer>) -> Answer {
        let application = poll.authorised.application();
        let mut by_merchant: HashMap<MerchantId, MerchantAnswer> =
            answers.into_iter().map(|answer| (answer.read.granted.merchant, answer)).collect();
        let mut hidden = Vec::new();
        let mut candidates = Vec::new();
        let mut delivered = self.delivered.lock();
        for answer in granted.iter().filter_map(|granted| by_merchant.remove(&granted.merchant)) {
            hidden.extend(answer.hidden);
            let candidate = |event: FeedEvent| Candidate {
                created_at: event.created_at,
                delivered_before: delivered.contains(&(application.clone(), event.id)),
                bytes: event.body.len(),
                item: event,
            };
            candidates.push(answer.shown.into_iter().map(candidate).collect::<Vec<_>>());
        }
        hidden.truncate(event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX);
        let events = page::fill(candidates, poll.limit, self.turn.fetch_add(1, Ordering::Relaxed));
        if !poll.shadow {
            for event in &events {
                if delivered.insert((application.clone(), event.id)) {
                    tracing::info!(trace_id = %event.trace, event_id = %event.id, "served by the fallback");
                }
            }
        }
        Answer { events, hidden }
    }
}

fn without_repetition(granted: &[GrantedMerchant]) -> Vec<GrantedMerchant> {
    let mut seen = HashSet::with_capacity(granted.len());
    granted.iter().copied().filter(|granted| seen.insert(granted.merchant)).collect()
}

/// The part of `read` that concerns these merchants, without its cursors.
fn from_the_beginning(read: &HashRead, merchants: &HashSet<MerchantId>) -> Option<HashRead> {
    let mut read = read.clone();
    read.merchants.retain(|read| merchants.contains(&read.granted.merchant));
    read.merchants.iter_mut().for_each(|read| read.cursor = None);
    read.from = read.merchants.iter().map(|read| read.granted.visible_from).min()?;
    Some(read)
}
