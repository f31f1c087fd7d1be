//! What the store's own clock says, from the `Date` of its answers, and whether ours agrees with it.
//!
//! A pure value; `store/` feeds it, expiry and fences read it. The header counts whole seconds and arrives a little
//! late, so that it bounds the store's time from below: the store is at most one second ahead of it at that moment.

use std::time::Duration;

use order_model::Timestamp;

/// The resolution of an HTTP `Date`.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// How much older than a request a `Date` that was seen after it may be: answers overtake each other.
const OVERTAKING: Duration = Duration::from_secs(1);

/// The newest `Date` seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoreTime {
    seen: Option<(Timestamp, Duration)>,
}

impl StoreTime {
    /// Takes note of a `Date` received at `monotonic`.
    pub(crate) fn observe(&mut self, date: Timestamp, monotonic: Duration) {
        match self.seen {
            // The first answer of a second is the best bound: later ones of the same second only arrive later.
            Some((seen, _)) if seen == date => {}
            _ => self.seen = Some((date, monotonic)),
        }
    }

    /// The last `Date` as it came.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        self.seen.map(|(date, _)| date)
    }

    /// The store's time now is at least this; `None` while it has sent no date.
    pub(crate) fn at_least(&self, monotonic: Duration) -> Option<Timestamp> {
        self.seen.map(|(date, received)| date.plus(monotonic.saturating_sub(received)))
    }

    /// The store's time now is at most this, when a request sent at `sent` has been answered since.
    pub(crate) fn at_most(&self, sent: Duration, monotonic: Duration) -> Option<Timestamp> {
        let slack = DATE_RESOLUTION + OVERTAKING;
        let by_date = self.seen.map(|(date, _)| date.plus(slack + monotonic.saturating_sub(sent)));
        // Two clocks that run at different rates could contradict each other; the later instant is the safe one.
        by_date.max(self.at_least(monotonic))
    }

    /// The time to judge expiry by. The wall clock, unless the store's disagrees by more than `tolerance`: then the
    /// earlier of both, so that neither clock jumping ahead on its own expires anything.
    pub(crate) fn judge(&self, wall: Timestamp, monotonic: Duration, tolerance: Duration) -> Timestamp {
        match self.at_least(monotonic) {
            Some(at_least) if wall > at_least.plus(DATE_RESOLUTION).plus(tolerance) => at_least,
            _ => wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(2);

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn the_first_answer_of_a_second_bounds_best() {
        let mut time = StoreTime::default();
        assert_eq!(time.at_least(Duration::ZERO), None);
        time.observe(at(5_000), Duration::from_millis(100));
        time.observe(at(5_000), Duration::from_millis(900));
        assert_eq!(time.at_least(Duration::from_millis(1_100)), Some(at(6_000)));
        assert_eq!(time.at_most(Duration::from_millis(100), Duration::from_millis(200)), Some(at(7_100)));
    }

    #[test]
    fn a_jump_of_either_clock_expires_nothing() {
        let mut time = StoreTime::default();
        assert_eq!(time.judge(at(7), Duration::ZERO, TOLERANCE), at(7), "no date: the wall clock is all there is");
        time.observe(at(1_000_000), Duration::ZERO);
        let two_days = 2 * 24 * 60 * 60 * 1000;
        assert_eq!(time.judge(at(1_000_400), Duration::ZERO, TOLERANCE), at(1_000_400));
        assert_eq!(time.judge(at(1_000_000 + two_days), Duration::ZERO, TOLERANCE), at(1_000_000));
        time.observe(at(1_000_000 + two_days), Duration::ZERO);
        assert_eq!(time.judge(at(1_000_400), Duration::ZERO, TOLERANCE), at(1_000_400));
    }
}
