//! Whether the agent receives, and how long it has not.
//!
//! Closed by whoever finds that the core does not answer, opened by the probe. Also counts the core's answers, which
//! tell a failing message from a failing core.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use order_model::SharedClock;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The gate before the queue.
pub(crate) struct Gate {
    clock: SharedClock,
    paused: watch::Sender<bool>,
    pauses: Mutex<Pauses>,
    answers: AtomicU64,
}

#[derive(Default)]
struct Pauses {
    since: Option<Duration>,
    total: Duration,
}

impl Gate {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, paused: watch::Sender::new(false), pauses: Mutex::default(), answers: AtomicU64::new(0) }
    }

    /// Stops receiving; whether this call did.
    pub(crate) fn close(&self) -> bool {
        let mut pauses = self.pauses.lock();
        if pauses.since.is_some() {
            return false;
        }
        pauses.since = Some(self.clock.monotonic());
        self.paused.send_replace(true);
        true
    }

    /// Resumes receiving; how long it was closed.
    pub(crate) fn open(&self) -> Duration {
        let mut pauses = self.pauses.lock();
        let paused_for =
            pauses.since.take().map(|since| self.clock.monotonic().saturating_sub(since)).unwrap_or_default();
        pauses.total += paused_for;
        self.paused.send_replace(false);
        paused_for
    }

    /// How long it has been closed; `None` when it is open.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        self.pauses.lock().since.map(|since| self.clock.monotonic().saturating_sub(since))
    }

    /// Monotonic time without the pauses.
    pub(crate) fn answering_time(&self) -> Duration {
        let pauses = self.pauses.lock();
        pauses.since.unwrap_or_else(|| self.clock.monotonic()).saturating_sub(pauses.total)
    }

    /// The core answered somebody.
    pub(crate) fn count_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the core answered.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until it is open, or closed.
    pub(crate) async fn wait(&self, closed: bool) {
        // The sender lives in self, so this cannot fail.
        let _ = self.paused.subscribe().wait_for(|paused| *paused == closed).await;
    }
}

#[cfg(test)]
mod tests {
    use order_model::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn a_pause_does_not_use_up_answering_time() {
        let clock = ManualClock::new(Timestamp::from_unix_ms(0));
        let gate = Gate::new(clock.clone());
        clock.advance(Duration::from_secs(5));
        assert!(gate.close() && !gate.close());
        clock.advance(Duration::from_secs(1800));
        assert_eq!(gate.answering_time(), Duration::from_secs(5));
        assert_eq!(gate.open(), Duration::from_secs(1800));
        clock.advance(Duration::from_secs(1));
        assert_eq!((gate.answering_time(), gate.closed_for()), (Duration::from_secs(6), None));
    }
}
