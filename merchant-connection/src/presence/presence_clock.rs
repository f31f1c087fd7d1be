//! The clock by which silence is judged: it runs only while we are able to hear.
//!
//! A merchant is OFFLINE when *it* has been silent, not when we were paused, restarted or cut off. So this clock takes
//! the monotonic time between two sweeps, at most twice the sweep interval of it, and nothing at all while no
//! kitchen-api has been heard from. A wall clock has no part in it: a jump of two days moves nobody.

use std::time::Duration;

/// Tenths of a second of hearing time.
pub type Tenths = u32;

/// A kitchen-api calls twice a second, with or without beats; after this long without a call we hear nobody. Under a
/// short offline period it is a quarter of that, so that deafness is noticed before anybody is judged, and at least 1 s.
const HEARING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Whether we hear anybody, when the latest call of any kitchen-api is this long ago.
pub fn is_hearing(since_last_call: Duration, offline_after: Duration) -> bool {
    since_last_call <= (offline_after / 4).clamp(HEARING.0, HEARING.1)
}

/// Hearing time, in ms, since this clock was made.
#[derive(Debug, Clone)]
pub struct PresenceClock {
    sweep_interval: Duration,
    last_tick: Duration,
    heard: Duration,
    #[cfg(feature = "planted-bugs")]
    last_ahead_ms: Option<i64>,
}

impl PresenceClock {
    /// A clock that starts at `monotonic` with `start` of hearing time behind it, so that "long ago" can be told from zero.
    pub fn new(sweep_interval: Duration, monotonic: Duration, start: Duration) -> Self {
        Self {
            sweep_interval,
            last_tick: monotonic,
            heard: start,
            #[cfg(feature = "planted-bugs")]
            last_ahead_ms: None,
        }
    }

    /// Lets hearing time jump forward with the wall clock, which is `ahead_ms` ahead of the monotonic one:
    /// [`crate::planted_bugs::PresenceBug::TimerOfWallClock`].
    #[cfg(feature = "planted-bugs")]
    pub fn follow_wall_clock(&mut self, ahead_ms: i64) {
        let jumped_ms = self.last_ahead_ms.map_or(0, |last_ms| ahead_ms.saturating_sub(last_ms));
        self.last_ahead_ms = Some(ahead_ms);
        self.heard += Duration::from_millis(u64::try_from(jumped_ms).unwrap_or(0));
    }

    /// Called once before each sweep. `hearing`: a kitchen-api has called since shortly before.
    pub fn tick(&mut self, monotonic: Duration, hearing: bool) {
        let elapsed = monotonic.saturating_sub(self.last_tick);
        self.last_tick = monotonic;
        if hearing {
            self.heard += elapsed.min(self.sweep_interval * 2);
        }
    }

    /// Hearing time at the last tick, in tenths of a second; wraps after 13 years.
    pub fn now(&self) -> Tenths {
        #[expect(clippy::cast_possible_truncation, reason = "wraps after 13 years of uptime")]
        let tenths = (self.heard.as_millis() / 100) as Tenths;
        tenths
    }

    /// Hearing time between the last tick and `monotonic`, as far as it would count.
    pub fn at(&self, monotonic: Duration) -> Tenths {
        let mut later = self.clone();
        later.tick(monotonic, true);
        later.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pause_and_deafness_do_not_count() {
        let mut clock = PresenceClock::new(5 * SECOND, Duration::ZERO, 100 * SECOND);
        clock.tick(5 * SECOND, true);
        assert_eq!(clock.now(), 1050);
        clock.tick(305 * SECOND, true);
        assert_eq!(clock.now(), 1150, "of a pause of 300 s at most two intervals count");
        clock.tick(310 * SECOND, false);
        assert_eq!(clock.now(), 1150, "nobody could have been heard");
        assert_eq!(clock.at(312 * SECOND), 1170);
    }
}
