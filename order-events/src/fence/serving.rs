//! What the polls look at beside the grid: whether the fences are readable and the clock is to be believed.
//!
//! Written by the fence's loop, read without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use order_model::Timestamp;

/// The wall clock may differ by this much from the store's before it stops being believed.
const CLOCK_DISAGREEMENT_MAX_MS: i64 = 2_000;

/// A `Date` header shows whole seconds, cut off.
const DATE_RESOLUTION_MS: i64 = 999;

/// The latest evidence.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// When the last successful read of the fences started, monotonic ms plus one; 0: never.
    fences_read_at: AtomicU64,
    clock_trusted: AtomicBool,
}

impl Serving {
    /// Whether the wall clock agreed with the store's date when it was last compared.
    pub(crate) fn clock_is_trusted(&self) -> bool {
        self.clock_trusted.load(Ordering::SeqCst)
    }

    /// Notes the latest comparison; whether it differs from the one before.
    pub(super) fn trust_clock(&self, trusted: bool) -> bool {
        self.clock_trusted.swap(trusted, Ordering::SeqCst) != trusted
    }

    /// Whether no read of the fences counts any more at `now`.
    pub(crate) fn fences_are_unreadable(&self, now: Duration, fence: Duration) -> bool {
        let read_at = self.fences_read_at.load(Ordering::SeqCst);
        read_at == 0 || now >= Duration::from_millis(read_at - 1) + fence
    }

    pub(super) fn fences_were_read(&self, started: Duration) {
        let started_ms = u64::try_from(started.as_millis()).unwrap_or(u64::MAX - 1);
        self.fences_read_at.store(started_ms + 1, Ordering::SeqCst);
    }
}

/// Whether the wall clock, read `before` and `after` a call, agrees with the store's date in its answer. A store that
/// sends none cannot disagree. The date is a peer's: it may be any number.
pub(super) fn clock_agrees(before: Timestamp, after: Timestamp, store_date_ms: i64) -> bool {
    let latest_ms = store_date_ms.saturating_add(DATE_RESOLUTION_MS);
    store_date_ms == 0
        || (before.unix_ms().saturating_sub(latest_ms) <= CLOCK_DISAGREEMENT_MAX_MS
            && store_date_ms.saturating_sub(after.unix_ms()) <= CLOCK_DISAGREEMENT_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: Duration = Duration::from_secs(3);

    #[test]
    fn a_read_counts_for_the_length_of_the_fence() {
        let at = Duration::from_secs;
        let serving = Serving::default();
        assert!(serving.fences_are_unreadable(at(0), FENCE), "never read");
        serving.fences_were_read(at(98));
        assert!(!serving.fences_are_unreadable(at(100), FENCE));
        assert!(serving.fences_are_unreadable(at(101), FENCE));
    }

    #[test]
    fn a_clock_is_believed_within_two_seconds_of_the_stores() {
        let at = |ms: i64| Timestamp::from_unix_ms(1_795_000_000_000 + ms);
        let date = 1_795_000_000_000;
        assert!(clock_agrees(at(0), at(50), 0), "no date, no judgment");
        assert!(clock_agrees(at(2_999), at(3_000), date) && !clock_agrees(at(3_000), at(3_000), date));
        assert!(clock_agrees(at(-2_500), at(-2_000), date) && !clock_agrees(at(-2_500), at(-2_001), date));
    }

    #[test]
    fn a_date_at_the_end_of_its_range_is_only_wrong() {
        let at = Timestamp::from_unix_ms(1_795_000_000_000);
        for date in [i64::MIN, -1, 1, i64::MAX - 1, i64::MAX] {
            assert!(!clock_agrees(at, at, date), "{date}");
        }
    }
}
