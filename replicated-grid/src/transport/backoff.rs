//! How long a link rests after a failure. A pure value; randomness is passed in.

use std::time::Duration;

use super::limits::{BACKOFF_FIRST, BACKOFF_LONGEST};

/// Failures since the link last worked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure: doubled each time up to the longest, of which `jitter` (0 to 1) decides the
    /// upper half, so that nodes do not all come back at the same moment.
    pub(super) fn failed(&mut self, jitter: f64) -> Duration {
        let whole = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_LONGEST);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }

    /// The link works.
    pub(super) fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_starts_again() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..7).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 250, 250, 250]);
        backoff.worked();
        assert_eq!(backoff.failed(0.0), Duration::from_millis(10), "no jitter is half of it");
    }

    #[test]
    fn however_long_it_has_failed_it_stays_in_bounds() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.failed(7.0), BACKOFF_LONGEST);
        assert_eq!(backoff.failed(f64::MIN), BACKOFF_LONGEST / 2);
    }
}
