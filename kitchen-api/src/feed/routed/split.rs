//! Splitting a poll by node and putting the parts' answers together, as plain values.
//!
//! Each part may hold its share of the page, by merchants: so the parts fit together without anything being cut that a
//! node has marked as delivered, and each keeps its own fifth for what was never delivered before.

use event_feed::AuthorisedMerchants;
use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use order_model::PartitionId;

use crate::feed::page;
use crate::feed::primary::{PollOutcome, PrimaryError, Refusal, Refused};

/// Whom to ask about which partitions.
#[derive(Debug)]
pub(super) struct Route<N> {
    /// Each node once, with its partitions, sorted.
    pub stops: Vec<(N, Vec<PartitionId>)>,
    /// Partitions of which nobody can be asked.
    pub unreachable: Vec<PartitionId>,
}

impl<N> Default for Route<N> {
    fn default() -> Self {
        Self { stops: Vec::new(), unreachable: Vec::new() }
    }
}

impl<N> Route<N> {
    /// Asks `node` about `partitions` too.
    pub fn add(&mut self, node: N, partitions: Vec<PartitionId>, is_same: impl Fn(&N, &N) -> bool) {
        match self.stops.iter_mut().find(|(known, _)| is_same(known, &node)) {
            Some((_, known)) => {
                known.extend(partitions);
                known.sort_unstable();
            }
            None => self.stops.push((node, partitions)),
        }
    }
}

/// How many of `limit` events a part may hold, by its merchants among all.
pub(super) fn share(limit: usize, part: &AuthorisedMerchants, all: &AuthorisedMerchants) -> usize {
    let (merchants, of) = (part.merchants().len(), all.merchants().len());
    if merchants >= of { limit } else { (limit * merchants / of).max(1) }
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    outcome: PollOutcome,
    answers: usize,
    failure: Option<PrimaryError>,
}

impl Gathering {
    /// Nobody can be asked about these.
    pub fn refuse(&mut self, partitions: &[PartitionId], refusal: Refusal) {
        self.outcome.refused.extend(partitions.iter().map(|&partition| Refused { partition, refusal }));
    }

    /// A node answered a part of at most `limit` events.
    pub fn answered(&mut self, part: PollOutcome, limit: usize) {
        self.answers += 1;
        let is_full = part.events.len() >= limit;
        self.take(part, is_full);
    }

    /// A node did not answer for `partitions`.
    pub fn failed(&mut self, partitions: &[PartitionId], error: PrimaryError) {
        self.refuse(partitions, Refusal::Unreachable);
        self.failure = Some(error);
    }

    /// Somebody else is asked about `partitions`: what was said of them does not count any more.
    pub fn ask_again(&mut self, partitions: &[PartitionId]) {
        self.outcome.refused.retain(|refused| partitions.binary_search(&refused.partition).is_err());
    }

    /// Takes in another gathering about other partitions.
    pub fn add(&mut self, other: Self) {
        let Self { outcome, answers, failure } = other;
        self.take(outcome, false);
        self.answers += answers;
        self.failure = self.failure.take().or(failure);
    }

    fn take(&mut self, part: PollOutcome, is_full: bool) {
        let PollOutcome { events, hidden, refused, is_cut, struck, strikes } = part;
        self.outcome.is_cut |= is_cut || is_full;
        let gathered = std::mem::take(&mut self.outcome.events);
        self.outcome.events = if gathered.is_empty() { events } else { page::merge(gathered, events) };
        self.outcome.hidden.extend(hidden);
        self.outcome.hidden.truncate(ACKNOWLEDGMENT_IDS_MAX);
        self.outcome.refused.extend(refused);
        self.outcome.struck.extend(struck);
        self.outcome.strikes = match (self.outcome.strikes, strikes) {
            (Some(before), Some(more)) => Some(before.saturating_add(more)),
            (known, None) | (None, known) => known,
        };
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When nobody answered anything.
    pub fn finish(self) -> Result<PollOutcome, PrimaryError> {
        match self.failure {
            Some(error) if self.answers == 0 => Err(error),
            Some(_) | None => Ok(self.outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use event_feed::GrantedMerchant;
    use order_model::{MerchantId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn authorised(merchants: usize) -> AuthorisedMerchants {
        let granted = |number: usize| GrantedMerchant {
            merchant: MerchantId::from_bytes((number as u128).to_be_bytes()),
            visible_from: Timestamp::default(),
        };
        AuthorisedMerchants::vouched_for_by_peer("app".parse().unwrap(), (0..merchants).map(granted).collect())
    }

    fn refused(partition: u16) -> Refused {
        Refused { partition: PartitionId(partition), refusal: Refusal::Unreachable }
    }

    proptest! {
        /// The parts fit into the page together, up to one event each that a part is never denied.
        #[test]
        fn shares_add_up_to_the_page(parts in prop::collection::vec(1usize..40, 1..8), limit in 1usize..1_000) {
            let all = authorised(parts.iter().sum());
            let shares: Vec<usize> = parts.iter().map(|merchants| share(limit, &authorised(*merchants), &all)).collect();
            prop_assert!(shares.iter().all(|share| (1..=limit).contains(share)));
            prop_assert!(shares.iter().sum::<usize>() <= limit + parts.len());
            prop_assert!(parts.len() > 1 || shares == [limit]);
        }
    }

    #[test]
    fn what_somebody_else_is_asked_about_is_no_longer_refused() {
        let mut gathering = Gathering::default();
        let part = PollOutcome { refused: vec![refused(1), refused(2)], ..PollOutcome::default() };
        gathering.answered(part, 10);
        gathering.ask_again(&[PartitionId(2)]);
        let mut followed = Gathering::default();
        followed.failed(&[PartitionId(2)], PrimaryError::Disconnected);
        gathering.add(followed);
        assert_eq!(gathering.finish().unwrap().refused, [refused(1), refused(2)]);
    }

    #[test]
    fn strikes_of_all_parts_are_kept() {
        let part = |number: u8, strikes| PollOutcome {
            struck: vec![order_model::EventId::from_bytes([number; 16])],
            strikes,
            ..PollOutcome::default()
        };
        let mut gathering = Gathering::default();
        gathering.answered(part(1, Some(2)), 10);
        gathering.answered(part(2, None), 10);
        gathering.answered(part(3, Some(5)), 10);
        let outcome = gathering.finish().unwrap();
        assert_eq!((outcome.struck.len(), outcome.strikes), (3, Some(7)));
    }

    #[test]
    fn it_fails_only_where_nobody_answered() {
        let mut gathering = Gathering::default();
        gathering.failed(&[PartitionId(1)], PrimaryError::Overloaded);
        assert!(gathering.finish().is_err());
        let mut gathering = Gathering::default();
        gathering.failed(&[PartitionId(1)], PrimaryError::Overloaded);
        gathering.answered(PollOutcome::default(), 10);
        assert_eq!(gathering.finish().unwrap().refused, [refused(1)]);
    }
}
