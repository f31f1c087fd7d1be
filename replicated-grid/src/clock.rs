//! How a leader turns its clocks into replicated time, so that no clock fault becomes a fault of the state.
//!
//! A wall clock that jumps two days ahead would expire every event and cancel every order. So replicated time never
//! goes back and follows the wall clock only as far as the monotonic clock vouches for it; a larger step, in either
//! direction, is refused and counted, and time then passes at the pace of the monotonic clock. If it stood still while the
//! wall clock is an hour behind, it would stay behind for ever: the clock that is right again would be a step.
//!
//! Each partition's runner has one; a pure value.

use std::time::Duration;

use crate::state_machine::ReplicatedTime;

/// How much more or less than the monotonic clock the wall clock may have advanced between two commands: corrections by NTP
/// are far smaller, faults far larger.
pub const STEP_MAX: Duration = Duration::from_secs(1);

/// Both clocks of a node, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The wall clock, ms since 1970.
    pub unix_ms: i64,
    /// Time since the process started; never goes back.
    pub monotonic: Duration,
}

/// The source of a partition's replicated time.
#[derive(Debug, Clone)]
pub struct ReplicatedClock {
    time: ReplicatedTime,
    read_at: Duration,
    steps_refused: u64,
}

impl ReplicatedClock {
    /// A clock that starts from `time`, which a state carries, or from the wall clock where that is later. A restart
    /// is the one moment at which the wall clock is believed: nothing else is known.
    pub fn start(time: ReplicatedTime, reading: ClockReading) -> Self {
        let time = ReplicatedTime { unix_ms: time.unix_ms.max(reading.unix_ms) };
        Self { time, read_at: reading.monotonic, steps_refused: 0 }
    }

    /// The time of the next command.
    pub fn advance(&mut self, reading: ClockReading) -> ReplicatedTime {
        let (time, refused) = self.at(reading);
        self.steps_refused += u64::from(refused);
        self.time = time;
        self.read_at = self.read_at.max(reading.monotonic);
        time
    }

    /// What [`ReplicatedClock::advance`] would answer, without a command: the time at which reads look.
    pub fn peek(&self, reading: ClockReading) -> ReplicatedTime {
        self.at(reading).0
    }

    /// How often a step of the wall clock was refused.
    pub fn steps_refused(&self) -> u64 {
        self.steps_refused
    }

    fn at(&self, reading: ClockReading) -> (ReplicatedTime, bool) {
        let elapsed_ms = whole_ms(reading.monotonic.saturating_sub(self.read_at));
        let paced = self.time.unix_ms.saturating_add(elapsed_ms);
        let refused = reading.unix_ms.saturating_sub(paced).saturating_abs() > whole_ms(STEP_MAX);
        #[cfg(feature = "planted-bugs")]
        let refused = refused && !crate::planted_bugs::GridBug::TimeOfWallClock.is_planted();
        let unix_ms = if refused { paced } else { self.time.unix_ms.max(reading.unix_ms) };
        (ReplicatedTime { unix_ms }, refused)
    }
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(unix_ms: i64, monotonic_ms: u64) -> ClockReading {
        ClockReading { unix_ms, monotonic: Duration::from_millis(monotonic_ms) }
    }

    #[test]
    fn it_follows_the_wall_clock_and_never_goes_back() {
        let mut clock = ReplicatedClock::start(ReplicatedTime::default(), reading(10_000, 0));
        assert_eq!(clock.advance(reading(10_500, 500)).unix_ms, 10_500);
        assert_eq!(clock.advance(reading(10_000, 600)).unix_ms, 10_500, "the wall clock went back a little");
        assert_eq!(clock.advance(reading(11_800, 1_000)).unix_ms, 11_800, "a small step ahead");
        assert_eq!(clock.steps_refused(), 0);
    }

    #[test]
    fn a_jump_is_refused_for_ever_however_many_commands_follow() {
        let two_days = 2 * 24 * 60 * 60 * 1_000;
        let mut clock = ReplicatedClock::start(ReplicatedTime::default(), reading(10_000, 0));
        for command in 1..=10_000 {
            let time = clock.advance(reading(10_000 + two_days + command, u64::try_from(command).unwrap()));
            assert_eq!(time.unix_ms, 10_000 + command);
        }
        assert_eq!(clock.steps_refused(), 10_000);
        assert_eq!(clock.advance(reading(20_200, 10_200)).unix_ms, 20_200, "healed");
    }

    #[test]
    fn a_clock_that_was_an_hour_behind_leaves_nothing_behind() {
        let mut clock = ReplicatedClock::start(ReplicatedTime::default(), reading(10_000_000, 0));
        for passed in (0_i32..60_000).step_by(500) {
            let monotonic_ms = u64::try_from(passed).unwrap();
            let time = clock.advance(reading(10_000_000 + i64::from(passed) - 3_600_000, monotonic_ms));
            assert_eq!(time.unix_ms, 10_000_000 + i64::from(passed));
        }
        assert_eq!(clock.steps_refused(), 120);
        assert_eq!(clock.advance(reading(10_060_000, 60_000)).unix_ms, 10_060_000, "healed");
        assert_eq!(clock.steps_refused(), 120);
    }

    #[test]
    fn a_new_leader_starts_from_replicated_time() {
        let clock = ReplicatedClock::start(ReplicatedTime { unix_ms: 50 }, reading(10, 0));
        assert_eq!(clock.peek(reading(20, 10)).unix_ms, 50);
    }
}
