//! Choosing the events of one answer when more are pending than fit.
//!
//! Both feeds call [`fill`]. Rules: at most [`PAGE_EVENTS_MAX`] events and about [`PAGE_BYTES_MAX`] of bodies; fair over
//! merchants (one each in turn); oldest first within a merchant; and a fifth of the places goes first to events never
//! delivered before, so that a client that acknowledges nothing still sees every new event: otherwise its oldest
//! thousand would come back for ever and hide all others. Remembering what was delivered is the caller's.

use order_model::Timestamp;

/// The most events of one answer.
pub const PAGE_EVENTS_MAX: usize = 1_000;

/// About the most bytes of bodies in one answer: it must fit an internal message of 8 MiB with its headers. One event
/// is always taken, however large.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One place in this many is kept for events never delivered before.
const FRESH_SHARE: usize = 5;

/// An event that could be in the answer.
#[derive(Debug, Clone)]
pub struct Candidate<T> {
    /// When the event was created.
    pub created_at: Timestamp,
    /// Whether an earlier answer held it.
    pub delivered_before: bool,
    /// The size of its body.
    pub bytes: usize,
    /// The event, or whatever names it.
    pub item: T,
}

/// How many of `limit` places go first to events never delivered before, rounded up.
pub fn reserved_for_fresh(limit: usize) -> usize {
    limit.div_ceil(FRESH_SHARE)
}

/// Chooses at most `limit` (clamped to 1..=[`PAGE_EVENTS_MAX`]) of `merchants`' candidates. Each inner list is one merchant's, oldest
/// first. The answer keeps that order within a merchant and lists merchants one after the other. `first` names the
/// merchant that chooses first, modulo their number: a caller that lets it wander treats them alike even when there
/// are more merchants than places.
pub fn fill<T>(merchants: Vec<Vec<Candidate<T>>>, limit: usize, first: usize) -> Vec<T> {
    let limit = limit.clamp(1, PAGE_EVENTS_MAX);
    let total: usize = merchants.iter().map(Vec::len).sum();
    let bytes: usize = merchants.iter().flatten().map(|candidate| candidate.bytes).sum();
    if total <= limit && bytes <= PAGE_BYTES_MAX {
        return merchants.into_iter().flatten().map(|candidate| candidate.item).collect();
    }
    let mut choice = Choice::new(&merchants, first);
    choice.round_robin(&merchants, reserved_for_fresh(limit), |candidate| !candidate.delivered_before);
    choice.round_robin(&merchants, limit, |_| true);
    let chosen = choice.chosen;
    merchants
        .into_iter()
        .zip(chosen)
        .flat_map(|(candidates, chosen)| candidates.into_iter().zip(chosen))
        .filter_map(|(candidate, is_chosen)| is_chosen.then_some(candidate.item))
        .collect()
}

/// What has been chosen so far.
struct Choice {
    /// The merchant whose turn it is; the second round goes on where the first stopped.
    first: usize,
    chosen: Vec<Vec<bool>>,
    taken: usize,
    bytes: usize,
}

impl Choice {
    fn new<T>(merchants: &[Vec<Candidate<T>>], first: usize) -> Self {
        let chosen = merchants.iter().map(|candidates| vec![false; candidates.len()]).collect();
        Self { first: first.checked_rem(merchants.len()).unwrap_or(0), chosen, taken: 0, bytes: 0 }
    }

    /// Lets the merchants take their oldest eligible candidate in turn until `limit` places are taken.
    fn round_robin<T>(
        &mut self,
        merchants: &[Vec<Candidate<T>>],
        limit: usize,
        eligible: impl Fn(&Candidate<T>) -> bool,
    ) {
        let mut next = vec![0; merchants.len()];
        let mut active: Vec<usize> = (0..merchants.len()).collect();
        active.rotate_left(self.first);
        while !active.is_empty() {
            let mut still_active = Vec::with_capacity(active.len());
            for merchant in active {
                let candidates = &merchants[merchant];
                let chosen = &self.chosen[merchant];
                let found = (next[merchant]..candidates.len()).find(|&at| !chosen[at] && eligible(&candidates[at]));
                let Some(place) = found else { continue };
                if self.taken >= limit || !self.fits(candidates[place].bytes) {
                    return;
                }
                self.chosen[merchant][place] = true;
                self.taken += 1;
                self.first = (merchant + 1) % merchants.len();
                self.bytes += candidates[place].bytes;
                next[merchant] = place + 1;
                still_active.push(merchant);
            }
            active = still_active;
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.taken == 0 || self.bytes + bytes <= PAGE_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merchant(name: u32, fresh_from: u32, count: u32) -> Vec<Candidate<(u32, u32)>> {
        let candidate = |number: u32| Candidate {
            created_at: Timestamp::from_unix_ms(i64::from(number)),
            delivered_before: number < fresh_from,
            bytes: 100,
            item: (name, number),
        };
        (0..count).map(candidate).collect()
    }

    #[test]
    fn merchants_share_a_page_and_each_shows_its_oldest() {
        let page = fill(vec![merchant(1, 0, 50), merchant(2, 0, 2), merchant(3, 0, 50)], 10, 0);
        let of = |name| page.iter().filter(|item| item.0 == name).map(|item| item.1).collect::<Vec<_>>();
        assert_eq!((of(1), of(2), of(3)), (vec![0, 1, 2, 3], vec![0, 1], vec![0, 1, 2, 3]));
    }

    #[test]
    fn a_fifth_is_left_for_events_never_delivered() {
        let page = fill(vec![merchant(1, 40, 50)], 10, 0);
        assert_eq!(page.iter().map(|item| item.1).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 40, 41]);
    }

    #[test]
    fn a_page_is_bounded_in_bytes_but_never_empty() {
        let huge = |number| Candidate {
            created_at: Timestamp::default(),
            delivered_before: false,
            bytes: PAGE_BYTES_MAX + 1,
            item: number,
        };
        assert_eq!(fill(vec![vec![huge(1), huge(2)]], 10, 0), [1]);
        assert_eq!(fill(Vec::<Vec<Candidate<u8>>>::new(), 10, 3), Vec::<u8>::new());
    }

    #[test]
    fn whoever_goes_first_wanders() {
        let page = |first| fill((0..5).map(|name| merchant(name, 0, 1)).collect(), 2, first);
        assert_eq!((page(0), page(3), page(9)), (vec![(0, 0), (1, 0)], vec![(3, 0), (4, 0)], vec![(0, 0), (4, 0)]));
    }
}
