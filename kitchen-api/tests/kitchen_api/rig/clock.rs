//! A clock that jumps, stops and is moved on where a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use order_model::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// In the future of whoever runs these tests: the local DynamoDB expires items by the system's clock.
const START_MS: i64 = 1_995_000_000_000;

/// The runtime's time from a fixed instant on. The wall clock can be made to jump; all of it can be stopped, and moved on.
pub struct TestClock {
    start: Instant,
    jumped_ms: AtomicI64,
    stopped_at: Mutex<Option<Duration>>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), jumped_ms: AtomicI64::new(0), stopped_at: Mutex::default() })
    }

    /// From now on time passes only by [`TestClock::pass`]: what is counted within a time is counted exactly.
    pub fn stop(&self) {
        let now = self.monotonic();
        *self.stopped_at.lock() = Some(now);
    }

    /// Lets so much time pass on a clock that was stopped.
    pub fn pass(&self, time: Duration) {
        let mut stopped_at = self.stopped_at.lock();
        let then = stopped_at.unwrap();
        *stopped_at = Some(then + time);
    }

    pub fn jump(&self, by: Duration) {
        self.jumped_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let jumped_ms = self.jumped_ms.load(Ordering::SeqCst);
        Timestamp::from_unix_ms(START_MS + jumped_ms).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        let stopped_at = *self.stopped_at.lock();
        stopped_at.unwrap_or_else(|| Duration::from_secs(1) + self.start.elapsed())
    }
}
