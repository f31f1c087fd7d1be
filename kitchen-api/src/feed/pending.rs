//! What the feed has for whoever asks for more than a poll: its news, and how much is pending.
//!
//! Used by `events`. Counting reads as a comparison does, so that it counts as no delivery; the primary first, and the
//! fallback for whatever that does not answer. Breakers are deliberately absent: counts are rare.

use std::time::Duration;

use event_feed::page::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use event_feed::{AuthorisedMerchants, CategoryFilter, Dialect, Filter};
use order_model::Timestamp;

use super::news::Listener;
use super::poll::{FALLBACK_DEADLINE, PRIMARY_DEADLINE};
use super::primary::{PollOutcome, PollQuery};
use super::router::{FeedRouter, FeedUnavailable};

/// The most events that are counted of one merchant: what one answer holds.
pub const COUNTED_MAX: usize = PAGE_EVENTS_MAX;

/// A page whose bodies come so close to its bound may have been cut there.
const CUT_FROM_BYTES: usize = PAGE_BYTES_MAX - 256 * 1024;

/// How much one merchant has pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCount {
    /// How many events, at most [`COUNTED_MAX`].
    pub events: usize,
    /// There may be more than were counted.
    pub is_at_least: bool,
    /// When the oldest was created.
    pub oldest: Option<Timestamp>,
    /// How many of them are strikes, as the leader knows it. `None`: it did not answer, or is of an older version.
    pub strikes: Option<u32>,
}

impl PendingCount {
    fn of(PollOutcome { events, strikes, .. }: &PollOutcome) -> Self {
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        let oldest = events.iter().map(|event| event.created_at).min();
        let is_at_least = events.len() >= COUNTED_MAX || bytes >= CUT_FROM_BYTES;
        Self { events: events.len(), is_at_least, oldest, strikes: *strikes }
    }
}

impl FeedRouter {
    /// Hears, from now on, of something new for `merchants`; `None` where as many are waited for as there is room for.
    pub fn listen(&self, merchants: &AuthorisedMerchants) -> Option<Listener> {
        self.parts.news.listen(merchants)
    }

    /// Whether listeners hear of everything new, as far as the primary brings it.
    pub fn tells_everything(&self) -> bool {
        self.parts.primary.brings_all_news()
    }

    /// Counts what `merchant`, which is to be one, has pending in every category, of what there is a word for in `dialect`.
    ///
    /// # Errors
    /// 503, when neither side can answer.
    pub async fn pending(
        &self,
        merchant: &AuthorisedMerchants,
        dialect: Dialect,
    ) -> Result<PendingCount, FeedUnavailable> {
        let filter = Filter { dialect, categories: CategoryFilter::All, ..Filter::default() };
        let query = |within: Duration| PollQuery {
            authorised: merchant,
            filter: &filter,
            limit: COUNTED_MAX,
            fallback_unreachable: false,
            shadow: true,
            within,
        };
        if let Some(outcome) = self.of_primary(query(PRIMARY_DEADLINE)).await {
            return Ok(PendingCount::of(&outcome));
        }
        match self.parts.fallback.poll(query(FALLBACK_DEADLINE), FALLBACK_DEADLINE).await {
            Ok(outcome) if outcome.refused.is_empty() => Ok(PendingCount::of(&outcome)),
            Ok(outcome) => Err(FeedUnavailable::Poll { partitions: outcome.refused.len(), fallback: None }),
            Err(error) => Err(FeedUnavailable::Poll { partitions: 1, fallback: Some(error) }),
        }
    }

    /// What the primary answers, if that is whole.
    async fn of_primary(&self, query: PollQuery<'_>) -> Option<PollOutcome> {
        let primary = &self.parts.primary;
        let outcome = match primary.poll_now(&query) {
            Some(outcome) => outcome,
            None => tokio::time::timeout(query.within, primary.poll(query)).await.ok()?.ok()?,
        };
        outcome.refused.is_empty().then_some(outcome)
    }
}
