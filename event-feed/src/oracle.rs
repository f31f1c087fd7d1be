//! The specification of a feed, written as simply as it can be: remembers everything, finds by looking at all of it.
//!
//! For tests only: order-events and connection-polling are compared with it. It forgets nothing, so it also shows what
//! a feed must still know. Speed, storage and choosing a page are deliberately absent; [`Oracle::judge`] checks a page
//! that was chosen elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use order_model::{ApplicationId, EventId, MerchantId, Timestamp};

use crate::event::FeedEvent;
use crate::filter::{Filter, Verdict};
use crate::hold_back;
use crate::scope::AuthorisedMerchants;
use crate::visibility;

/// A feed that was told everything.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    arrived: BTreeMap<EventId, (FeedEvent, Duration)>,
    acknowledged: BTreeSet<(ApplicationId, EventId)>,
}

/// Everything a poll without limit would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The events shown: merchant by merchant as asked for, oldest first.
    pub shown: Vec<FeedEvent>,
    /// The ids that a sent filter hides and that count as acknowledged once the poll is answered with 2xx.
    pub hidden: Vec<EventId>,
}

impl Oracle {
    /// An event arrives, at `elapsed` on a monotonic clock. A repetition changes nothing.
    pub fn append(&mut self, event: FeedEvent, elapsed: Duration) {
        self.arrived.entry(event.id).or_insert((event, elapsed));
    }

    /// `application` acknowledges `ids`, known or not.
    pub fn acknowledge(&mut self, application: &ApplicationId, ids: impl IntoIterator<Item = EventId>) {
        self.acknowledged.extend(ids.into_iter().map(|id| (application.clone(), id)));
    }

    /// Whether `application` acknowledged `id`.
    pub fn is_acknowledged(&self, application: &ApplicationId, id: EventId) -> bool {
        self.acknowledged.contains(&(application.clone(), id))
    }

    /// What `authorised` sees through `filter` at `now`, which is `elapsed` on the monotonic clock.
    pub fn answer(
        &self,
        authorised: &AuthorisedMerchants,
        filter: &Filter,
        now: Timestamp,
        elapsed: Duration,
    ) -> Answer {
        let mut answer = Answer::default();
        for granted in authorised.merchants() {
            for (event, arrived) in self.of_merchant(granted.merchant) {
                let pending = visibility::is_visible(event, granted.visible_from, now)
                    && !self.is_acknowledged(authorised.application(), event.id)
                    && !hold_back::is_held(self.lower_is_missing(event), elapsed.saturating_sub(arrived));
                match filter.verdict(event) {
                    Verdict::Show if pending => answer.shown.push(event.clone()),
                    Verdict::HideAndAcknowledge if pending => answer.hidden.push(event.id),
                    Verdict::Show | Verdict::Hide | Verdict::HideAndAcknowledge => {}
                }
            }
        }
        answer
    }

    /// Whether `page` and `hidden` may be what a feed answers, with at most `limit` events, where `answer` is all there
    /// is. A page is lawful when it repeats nothing, holds nothing but what is shown, keeps its order within a
    /// merchant, and is full unless everything fits. A page short of its limit because of its bytes is not judged here.
    ///
    /// # Errors
    /// With what is wrong, for the test's message.
    pub fn judge(answer: &Answer, page: &[FeedEvent], hidden: &[EventId], limit: usize) -> Result<(), String> {
        let expected = answer.shown.len().min(limit);
        if page.len() != expected {
            return Err(format!("{} events of {}, expected {expected}", page.len(), answer.shown.len()));
        }
        let shown: BTreeSet<EventId> = answer.shown.iter().map(|event| event.id).collect();
        let mut seen = BTreeSet::new();
        let mut latest: BTreeMap<MerchantId, (Timestamp, EventId)> = BTreeMap::new();
        for event in page {
            if !shown.contains(&event.id) {
                return Err(format!("{} must not be shown", event.id));
            }
            if !seen.insert(event.id) {
                return Err(format!("{} is shown twice", event.id));
            }
            let place = (event.created_at, event.id);
            if latest.insert(event.merchant, place).is_some_and(|before| before > place) {
                return Err(format!("{} is out of order", event.id));
            }
        }
        let may_hide: BTreeSet<EventId> = answer.hidden.iter().copied().collect();
        match hidden.iter().find(|id| !may_hide.contains(id)) {
            Some(id) => Err(format!("{id} must not be acknowledged by the filter")),
            None => Ok(()),
        }
    }

    fn of_merchant(&self, merchant: MerchantId) -> Vec<(&FeedEvent, Duration)> {
        let mut events: Vec<(&FeedEvent, Duration)> = self
            .arrived
            .values()
            .filter(|(event, _)| event.merchant == merchant)
            .map(|(event, arrived)| (event, *arrived))
            .collect();
        events.sort_by_key(|(event, _)| (event.created_at, event.id));
        events
    }

    fn lower_is_missing(&self, event: &FeedEvent) -> bool {
        let of_order = self.arrived.values().filter(|(other, _)| other.order == event.order);
        let lower = of_order.filter(|(other, _)| other.sequence < event.sequence).count();
        lower < usize::try_from(event.sequence).unwrap_or(usize::MAX).saturating_sub(1)
    }
}
