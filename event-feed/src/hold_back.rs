//! Holding an event back while a lower sequence of its order is missing.
//!
//! Queues reorder; a POS that sees CONFIRMED before PLACED is confused. So an event waits for the ones before it, at
//! most [`HOLD_BACK`] since it arrived; then it is shown, the gap is counted and fetched from the core. Both feeds keep
//! a [`SequenceTrack`] per order or an equivalent of it. Who fetches and how is deliberately absent.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest an event waits for its predecessors.
pub const HOLD_BACK: Duration = Duration::from_secs(2);

/// The most sequences remembered above a gap. An order has some dozens of events; this bounds a broken producer.
pub const BEYOND_GAP_MAX: usize = 1_000;

/// The most gaps reported at once for one order.
pub const GAPS_MAX: usize = 16;

/// Whether an event is held back: a lower sequence of its order is missing and it has waited less than [`HOLD_BACK`].
/// `waited` is measured on a monotonic clock where there is one.
pub fn is_held(lower_sequence_missing: bool, waited: Duration) -> bool {
    lower_sequence_missing && waited < HOLD_BACK
}

/// Which sequences of one order have been seen, expired ones included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceTrack {
    complete_through: u32,
    beyond: Vec<u32>,
}

impl SequenceTrack {
    /// A track from its parts, as stored: everything up to `complete_through`, and the given sequences above it.
    pub fn from_parts(complete_through: u32, beyond: impl IntoIterator<Item = u32>) -> Self {
        let mut track = Self { complete_through, beyond: Vec::new() };
        for sequence in beyond {
            track.record(sequence);
        }
        track
    }

    /// Every sequence from 1 to this one has been seen.
    pub fn complete_through(&self) -> u32 {
        self.complete_through
    }

    /// The sequences seen above the first gap, ascending.
    pub fn beyond(&self) -> &[u32] {
        &self.beyond
    }

    /// Records that `sequence` was seen. Beyond [`BEYOND_GAP_MAX`] the lowest gap is given up.
    pub fn record(&mut self, sequence: u32) {
        if sequence <= self.complete_through {
            return;
        }
        if let Err(place) = self.beyond.binary_search(&sequence) {
            self.beyond.insert(place, sequence);
        }
        if self.beyond.len() > BEYOND_GAP_MAX {
            self.complete_through = self.beyond[0] - 1;
        }
        self.absorb();
    }

    /// Whether a sequence lower than `sequence` is missing.
    pub fn lower_is_missing(&self, sequence: u32) -> bool {
        if sequence <= self.complete_through.saturating_add(1) {
            return false;
        }
        let missing_from = self.complete_through + 1;
        let seen_below = self.beyond.partition_point(|&seen| seen < sequence);
        u64::from(sequence - missing_from) > seen_below as u64
    }

    /// The sequences missing below the highest one seen, lowest first, at most [`GAPS_MAX`] ranges.
    pub fn gaps(&self) -> Vec<RangeInclusive<u32>> {
        let mut gaps = Vec::new();
        let mut expected = self.complete_through.saturating_add(1);
        for &seen in &self.beyond {
            if seen > expected {
                gaps.push(expected..=seen - 1);
                if gaps.len() == GAPS_MAX {
                    break;
                }
            }
            expected = seen.saturating_add(1);
        }
        gaps
    }

    fn absorb(&mut self) {
        let mut absorbed = 0;
        while self.beyond.get(absorbed).is_some_and(|&seen| seen == self.complete_through.saturating_add(1)) {
            self.complete_through = self.beyond[absorbed];
            absorbed += 1;
        }
        self.beyond.drain(..absorbed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_reported_until_it_is_filled() {
        let mut track = SequenceTrack::default();
        for sequence in [1, 5, 3, 6] {
            track.record(sequence);
        }
        assert_eq!(track.gaps(), [2..=2, 4..=4]);
        assert!(!track.lower_is_missing(1) && !track.lower_is_missing(2) && track.lower_is_missing(3));
        track.record(2);
        assert_eq!((track.complete_through(), track.beyond()), (3, &[5, 6][..]));
        assert!(!track.lower_is_missing(3) && !track.lower_is_missing(4) && track.lower_is_missing(5));
        track.record(4);
        assert_eq!(track, SequenceTrack::from_parts(6, []));
    }

    #[test]
    fn a_broken_producer_cannot_grow_it() {
        let mut track = SequenceTrack::default();
        (1..=3_000).for_each(|number| track.record(number * 2));
        assert!(track.beyond().len() <= BEYOND_GAP_MAX);
        track.record(u32::MAX);
        track.record(0);
        assert!(track.gaps().len() <= GAPS_MAX);
    }

    #[test]
    fn nothing_is_held_longer_than_the_bound() {
        assert!(is_held(true, HOLD_BACK - Duration::from_millis(1)));
        assert!(!is_held(true, HOLD_BACK) && !is_held(false, Duration::ZERO));
    }
}
