//! Whether polls are being served, as the core is told once a second: time without counts for no confirm deadline.
//!
//! Evidence is every poll and, while nobody polls, a probe of both sides. In doubt the answer is no: an order cancelled a
//! little late harms less than one cancelled while its merchant could not see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One poll that could not be answered in full makes the whole service "not serving" for this long.
const INCOMPLETE_COUNTS_FOR: Duration = Duration::from_secs(2);

/// A poll served in full, or a probe that found both or either side able, counts for this long.
const SERVED_COUNTS_FOR: Duration = Duration::from_secs(5);

/// The latest evidence of each kind, in ms of the monotonic clock; 0 for none.
#[derive(Debug, Default)]
pub(super) struct ServingEvidence {
    served_at_ms: AtomicU64,
    incomplete_at_ms: AtomicU64,
}

impl ServingEvidence {
    /// A poll was answered for all its merchants, or a probe found that it could be.
    pub fn served(&self, at: Duration) {
        let at_ms = instant_ms(at);
        // Most polls find the millisecond noted: looking is cheaper than writing what every thread reads.
        if self.served_at_ms.load(Ordering::Relaxed) < at_ms {
            self.served_at_ms.fetch_max(at_ms, Ordering::Relaxed);
        }
    }

    /// Some merchants of a poll were not answered for.
    pub fn incomplete(&self, at: Duration) {
        self.incomplete_at_ms.fetch_max(instant_ms(at), Ordering::Relaxed);
    }

    /// Whether polls are served, as far as is known at `now`.
    pub fn is_serving(&self, now: Duration) -> bool {
        let within = |instant_ms: &AtomicU64, window: Duration| match instant_ms.load(Ordering::Relaxed) {
            0 => false,
            at => now.saturating_sub(Duration::from_millis(at)) < window,
        };
        within(&self.served_at_ms, SERVED_COUNTS_FOR) && !within(&self.incomplete_at_ms, INCOMPLETE_COUNTS_FOR)
    }
}

/// At least 1: 0 stands for "never".
fn instant_ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(1)
}
