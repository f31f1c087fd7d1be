//! The seam through which time enters: every crate below the binary takes a [`Clock`] and never reads one itself.
//!
//! The binary passes the system's clock; tests and the simulation pass a [`ManualClock`]. Decisions take a
//! [`Timestamp`] and not even this.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::timestamp::Timestamp;

/// Where wall-clock and monotonic time come from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since some fixed start of this process. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// A clock that stands still until it is told to move. For tests.
#[derive(Debug)]
pub struct ManualClock {
    start_ms: i64,
    elapsed_ms: AtomicI64,
    skew_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { start_ms: start.unix_ms(), elapsed_ms: AtomicI64::new(0), skew_ms: AtomicI64::new(0) })
    }

    /// Lets `by` pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        self.elapsed_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Makes the wall clock alone jump by `by_ms`, forwards or backwards.
    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(
            self.start_ms + self.elapsed_ms.load(Ordering::SeqCst) + self.skew_ms.load(Ordering::SeqCst),
        )
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}
