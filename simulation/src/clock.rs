//! Virtual time, and what one machine believes of it.
//!
//! [`VirtualTime`] is the run's own; a [`HostClock`] is handed to the services of one machine. Its wall clock jumps and
//! drifts, its monotonic clock drifts within what the grid allows for, and both stand still while the machine is frozen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use order_model::{Clock, Timestamp};
use parking_lot::Mutex;

/// What the wall clocks show when a run begins, ms since 1970.
pub const START_MS: i64 = 1_795_000_000_000;

/// The time of a run: turmoil's inside a host, the last step's outside.
#[derive(Debug, Default)]
pub struct VirtualTime {
    stepped_us: AtomicU64,
}

impl VirtualTime {
    /// Time since the run began.
    pub fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_else(|| Duration::from_micros(self.stepped_us.load(Ordering::SeqCst)))
    }

    /// The same in microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// The driver made a step and is at `elapsed`.
    pub fn step_to(&self, elapsed: Duration) {
        self.stepped_us.store(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

/// The clocks of one machine; they outlive its crashes.
#[derive(Debug)]
pub struct HostClock {
    time: Arc<VirtualTime>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wall_skew_ms: i64,
    /// Parts per million by which the wall clock is fast.
    wall_drift_ppm: i64,
    /// The same of the monotonic clock.
    monotonic_drift_ppm: i64,
    frozen_at: Option<Duration>,
    /// What the monotonic clock last showed: it never goes back.
    shown: Duration,
}

impl HostClock {
    /// A clock that shows `time` as it is.
    pub fn new(time: Arc<VirtualTime>) -> Arc<Self> {
        Arc::new(Self { time, state: Mutex::default() })
    }

    /// Lets the wall clock jump by `ms`, forwards or backwards.
    pub fn jump(&self, ms: i64) {
        self.state.lock().wall_skew_ms += ms;
    }

    /// Puts the wall clock right, as an operator would.
    pub fn set_right(&self) {
        let mut state = self.state.lock();
        (state.wall_skew_ms, state.wall_drift_ppm) = (0, 0);
    }

    /// Lets the clocks run fast (or slow) by so many parts per million from the start of the run.
    pub fn drift(&self, wall_ppm: i64, monotonic_ppm: i64) {
        let mut state = self.state.lock();
        (state.wall_drift_ppm, state.monotonic_drift_ppm) = (wall_ppm, monotonic_ppm);
    }

    /// The machine stands still.
    pub fn freeze(&self) {
        let now = self.time.now();
        self.state.lock().frozen_at.get_or_insert(now);
    }

    /// The machine goes on; its clocks have run on all the while.
    pub fn thaw(&self) {
        self.state.lock().frozen_at = None;
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.state.lock().frozen_at.is_some()
    }
}

fn drifted_ms(elapsed: Duration, ppm: i64) -> i64 {
    let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    elapsed_ms + elapsed_ms.saturating_mul(ppm) / 1_000_000
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        let state = self.state.lock();
        let elapsed = state.frozen_at.unwrap_or_else(|| self.time.now());
        Timestamp::from_unix_ms(START_MS + drifted_ms(elapsed, state.wall_drift_ppm) + state.wall_skew_ms)
    }

    fn monotonic(&self) -> Duration {
        let mut state = self.state.lock();
        let elapsed = state.frozen_at.unwrap_or_else(|| self.time.now());
        let elapsed_us = i128::try_from(elapsed.as_micros()).unwrap_or(i128::MAX);
        let drifted_us = elapsed_us + elapsed_us * i128::from(state.monotonic_drift_ppm) / 1_000_000;
        let shown = Duration::from_micros(u64::try_from(drifted_us).unwrap_or(0)).max(state.shown);
        state.shown = shown;
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &VirtualTime, ms: u64) {
        time.step_to(Duration::from_millis(ms));
    }

    #[test]
    fn a_jump_moves_the_wall_clock_alone() {
        let time = Arc::new(VirtualTime::default());
        let clock = HostClock::new(Arc::clone(&time));
        at(&time, 1_000);
        clock.jump(-3_600_000);
        assert_eq!((clock.now().unix_ms(), clock.monotonic()), (START_MS - 3_599_000, Duration::from_secs(1)));
        clock.set_right();
        assert_eq!(clock.now().unix_ms(), START_MS + 1_000);
    }

    #[test]
    fn a_frozen_machine_knows_nothing_of_the_time_that_passes() {
        let time = Arc::new(VirtualTime::default());
        let clock = HostClock::new(Arc::clone(&time));
        at(&time, 1_000);
        clock.freeze();
        at(&time, 9_000);
        assert_eq!(clock.monotonic(), Duration::from_secs(1));
        clock.thaw();
        assert_eq!(clock.monotonic(), Duration::from_secs(9));
    }

    #[test]
    fn a_drift_never_sends_the_monotonic_clock_back() {
        let time = Arc::new(VirtualTime::default());
        let clock = HostClock::new(Arc::clone(&time));
        clock.drift(0, 1_000);
        at(&time, 10_000);
        assert_eq!(clock.monotonic(), Duration::from_millis(10_010));
        clock.drift(0, 0);
        assert_eq!(clock.monotonic(), Duration::from_millis(10_010));
    }
}
