//! Opening hours: what one shift may be, and which may stand together.
//!
//! Pure; called when a profile is checked. Minutes are those of the clock on the store's wall and the week is a circle, so
//! a shift may cross midnight and the end of Sunday. Whether a store is open now is deliberately absent.

use serde::{Deserialize, Serialize};

/// A day.
pub(super) const DAY_MINUTES: u32 = 24 * 60;
const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;

/// One weekly opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// 1 Monday to 7 Sunday.
    pub day_of_week: u32,
    /// Minutes after midnight, 0 to 1439.
    pub start_minute: u32,
    /// 1 to 1440; may cross midnight.
    pub duration_minutes: u32,
}

impl Shift {
    pub(super) fn fits(&self) -> bool {
        (1..=7).contains(&self.day_of_week)
            && self.start_minute < DAY_MINUTES
            && (1..=DAY_MINUTES).contains(&self.duration_minutes)
    }

    /// Minutes from the start of Monday; the end may lie in the next week.
    fn span(&self) -> (u32, u32) {
        let start = (self.day_of_week - 1) * DAY_MINUTES + self.start_minute;
        (start, start + self.duration_minutes)
    }
}

/// Whether two of `shifts`, each of which fits, have a minute in common. Shifts that only touch do not.
pub(super) fn overlap(shifts: &[Shift]) -> bool {
    let mut spans: Vec<(u32, u32)> = shifts.iter().map(Shift::span).collect();
    spans.sort_unstable();
    let within_the_week = spans.windows(2).any(|pair| pair[1].0 < pair[0].1);
    let around_its_end = match (spans.first(), spans.last()) {
        (Some(first), Some(last)) => first.0 + WEEK_MINUTES < last.1,
        _ => false,
    };
    within_the_week || around_its_end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shifts(all: &[(u32, u32, u32)]) -> Vec<Shift> {
        let shift =
            |&(day_of_week, start_minute, duration_minutes)| Shift { day_of_week, start_minute, duration_minutes };
        all.iter().map(shift).collect()
    }

    #[test]
    fn shifts_overlap_within_a_day_across_midnight_and_across_the_week() {
        assert!(!overlap(&[]));
        assert!(!overlap(&shifts(&[(1, 600, 60), (1, 660, 60)])), "they touch");
        assert!(overlap(&shifts(&[(1, 660, 60), (1, 600, 61)])));
        assert!(overlap(&shifts(&[(1, 1380, 121), (2, 60, 10)])));
        assert!(!overlap(&shifts(&[(7, 1380, 120), (1, 60, 10)])), "Sunday night touches Monday");
        assert!(overlap(&shifts(&[(7, 1380, 121), (1, 60, 10)])));
        let day_by_day: Vec<Shift> = (1..=7).flat_map(|day| shifts(&[(day, 1439, 1440)])).collect();
        assert!(!overlap(&day_by_day), "around the clock");
    }

    proptest! {
        /// The oracle counts who covers each minute of the week.
        #[test]
        fn overlap_is_a_minute_covered_twice(all in prop::collection::vec((1u32..=7, 0u32..1440, 1u32..=1440), 0..5)) {
            let shifts = shifts(&all);
            let mut covered = vec![0u8; WEEK_MINUTES as usize];
            for shift in &shifts {
                let (start, end) = shift.span();
                (start..end).for_each(|minute| covered[(minute % WEEK_MINUTES) as usize] += 1);
            }
            prop_assert_eq!(overlap(&shifts), covered.iter().any(|times| *times > 1));
        }
    }
}
