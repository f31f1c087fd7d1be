//! When polls were served: the gaps in it, and by how much they postpone a confirm deadline.
//!
//! kitchen-api reports once a second that it serves; [`crate::serving_report`] persists what [`ServingRecord::report`]
//! makes of it, and the deadline reconciler takes [`ServingRecord::gaps_at`] into account. Pure: instants are arguments.

use std::time::Duration;

use order_model::Timestamp;
use order_model::lifecycle::timing::Gap;

/// Silence up to this long is not a gap: reports come once a second and may be late.
pub(crate) const GAP_MIN: Duration = Duration::from_secs(4);
/// A gap is remembered this long after its end; no confirm deadline reaches further back.
pub(crate) const GAP_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most gaps kept. When there are more, the two oldest are merged, which postpones more and never less.
pub(crate) const GAPS_MAX: usize = 500;

/// What is persisted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServingRecord {
    /// Increases with every write.
    pub(crate) version: u64,
    /// The last report; `None` when there never was one: then polls have never been served.
    pub(crate) last_served: Option<Timestamp>,
    /// Oldest first, not overlapping.
    pub(crate) gaps: Vec<Gap>,
}

impl ServingRecord {
    /// The record after a report at `now`. A report that is older than the last one changes nothing but the version.
    pub(crate) fn report(&self, now: Timestamp) -> Self {
        let mut gaps = self.gaps.clone();
        let from = self.last_served.unwrap_or_default();
        if now.since(from) > GAP_MIN {
            gaps.push(Gap { from, until: now });
        }
        gaps.retain(|gap| gap.until > now.minus(GAP_MEMORY));
        while gaps.len() > GAPS_MAX {
            let oldest = gaps.remove(0);
            gaps[0].from = oldest.from;
        }
        Self { version: self.version + 1, last_served: Some(self.last_served.unwrap_or_default().max(now)), gaps }
    }

    /// Whether polls are being served at `now`, as far as is known.
    pub(crate) fn is_serving(&self, now: Timestamp) -> bool {
        self.last_served.is_some_and(|last| now.since(last) <= GAP_MIN)
    }

    /// Every gap as of `now`, the one that may be open included.
    pub(crate) fn gaps_at(&self, now: Timestamp) -> Vec<Gap> {
        let mut gaps = self.gaps.clone();
        if !self.is_serving(now) {
            gaps.push(Gap { from: self.last_served.unwrap_or_default(), until: now });
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use order_model::lifecycle::timing::served_between;
    use proptest::prelude::*;

    use super::*;

    fn unserved(record: &ServingRecord, from: Timestamp, now: Timestamp) -> Duration {
        now.since(from) - served_between(from, now, &record.gaps_at(now))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_795_000_000_000 + seconds * 1000)
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_any_report_nothing_was_ever_served() {
        let record = ServingRecord::default();
        assert!(!record.is_serving(at(0)));
        assert_eq!(unserved(&record, at(0), at(100)), secs(100));
    }

    #[test]
    fn only_gaps_postpone() {
        let mut record = ServingRecord::default().report(at(0));
        for second in (1..=10).chain(40..=50) {
            record = record.report(at(second));
        }
        assert_eq!(unserved(&record, at(1), at(50)), secs(30));
        assert_eq!(unserved(&record, at(20), at(50)), secs(20));
        assert_eq!(unserved(&record, at(45), at(50)), Duration::ZERO);
        assert_eq!(unserved(&record, at(45), at(60)), secs(10), "the open gap counts");
        assert_eq!(record.report(at(30)).last_served, Some(at(50)), "a late report takes nothing back");
    }

    #[test]
    fn the_list_stays_bounded_and_errs_towards_more() {
        let mut record = ServingRecord::default().report(at(0));
        for gap in 1..=(GAPS_MAX as i64 + 50) {
            record = record.report(at(gap * 10));
        }
        assert!(record.gaps.len() <= GAPS_MAX);
        assert_eq!(unserved(&record, at(0), at(10 * (GAPS_MAX as i64 + 50))), secs(10 * (GAPS_MAX as u64 + 50)));
    }

    proptest! {
        #[test]
        fn unserved_time_is_within_the_interval(reports in prop::collection::vec(0i64..5_000, 0..60), from in 0i64..5_000, length in 0i64..5_000) {
            let mut reports = reports;
            reports.sort_unstable();
            let mut record = ServingRecord::default();
            for second in reports {
                record = record.report(at(second));
            }
            prop_assert!(unserved(&record, at(from), at(from + length)) <= secs(length.unsigned_abs()));
        }
    }
}
