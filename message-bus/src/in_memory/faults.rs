//! What is to go wrong, and the dice that decide when.
//!
//! Set on a queue or topic by tests and the simulation; read by both at every call.

use std::time::Duration;

/// What goes wrong. The default: nothing. Percentages are 0 to 100, of messages unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Every call fails as unavailable, without effect.
    pub unavailable: bool,
    /// How many entries of a batch fail as unavailable, without effect.
    pub failed_percent: u8,
    /// How many entries of a batch fail as unavailable although they took effect: the answer was lost. For a receive:
    /// how many calls; the messages stay hidden.
    pub answer_lost_percent: u8,
    /// How many messages arrive more than once.
    pub duplicated_percent: u8,
    /// How many additional copies of such a message arrive, e.g. 1.
    pub duplicates: u16,
    /// How many messages overtake those before them.
    pub reordered_percent: u8,
    /// How many messages are held back.
    pub delayed_percent: u8,
    /// For how long.
    pub delay: Duration,
}

/// A small generator of repeatable numbers (splitmix64).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// True in `percent` of all calls.
    pub(super) fn hits(&mut self, percent: u8) -> bool {
        // No number is drawn for what never happens, so that a fault that is off does not change a seed's run.
        percent > 0 && self.below(100) < u64::from(percent)
    }

    /// A number from 0 up to but not including `limit`, or 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(limit).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_percentages_are_met() {
        let roll = |seed| {
            let mut dice = Dice::new(seed);
            (0..10_000).filter(|_| dice.hits(20)).count()
        };
        assert_eq!(roll(1), roll(1));
        assert!((1_800..2_200).contains(&roll(1)));
        assert!(!Dice::new(1).hits(0));
        assert!(Dice::new(1).hits(100));
    }
}
