//! Until when a term counts: the lease of a leader, and the serving lease of whoever leads. Read without a lock.
//!
//! Times are those of the monotonic clock, in whole microseconds rounded down. A lease of one term says nothing of
//! another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// See the module. Term 0 is no term.
#[derive(Debug, Default)]
pub(super) struct TermLease {
    term: AtomicU64,
    until_us: AtomicU64,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    /// Every term through this one is over.
    revoked: u64,
}

impl TermLease {
    /// The term whose lease holds at `now`.
    pub(super) fn term_at(&self, now: Duration) -> Option<u64> {
        let term = self.term.load(Ordering::SeqCst);
        let until = self.until_us.load(Ordering::SeqCst);
        // A new term ends the old lease before it names itself: an unchanged term is the one `until` was read for.
        let unchanged = self.term.load(Ordering::SeqCst) == term;
        (unchanged && term > 0 && whole_us(now) < until).then_some(term)
    }

    /// Lets `term` count until the clock shows `until`. Does not shorten, and does nothing for a term that is over.
    pub(super) fn extend(&self, term: u64, until: Duration) {
        let writer = self.writer.lock();
        let current = self.term.load(Ordering::SeqCst);
        if term <= writer.revoked || term < current {
            return;
        }
        if term > current {
            self.until_us.store(0, Ordering::SeqCst);
            self.term.store(term, Ordering::SeqCst);
        }
        self.until_us.fetch_max(whole_us(until), Ordering::SeqCst);
    }

    /// Ends the lease for now.
    pub(super) fn end(&self) {
        let _writer = self.writer.lock();
        self.until_us.store(0, Ordering::SeqCst);
    }

    /// Ends the lease of `term`, and of every one before, for good.
    pub(super) fn revoke(&self, term: u64) {
        let mut writer = self.writer.lock();
        writer.revoked = writer.revoked.max(term);
        if self.term.load(Ordering::SeqCst) <= term {
            self.until_us.store(0, Ordering::SeqCst);
        }
    }

    /// Whether `term` can still have a lease.
    pub(super) fn may_hold(&self, term: u64) -> bool {
        term > self.writer.lock().revoked
    }
}

fn whole_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lease_ends_by_itself_and_is_never_shortened() {
        let lease = TermLease::default();
        assert_eq!(lease.term_at(ms(0)), None);
        lease.extend(3, ms(100));
        lease.extend(3, ms(50));
        assert_eq!((lease.term_at(ms(99)), lease.term_at(ms(100))), (Some(3), None));
    }

    #[test]
    fn a_new_term_does_not_inherit() {
        let lease = TermLease::default();
        lease.extend(3, ms(100));
        lease.extend(4, ms(10));
        assert_eq!((lease.term_at(ms(9)), lease.term_at(ms(10))), (Some(4), None));
        lease.extend(3, ms(500));
        assert_eq!(lease.term_at(ms(20)), None, "an earlier term comes too late");
    }

    #[test]
    fn a_revoked_term_stays_revoked() {
        let lease = TermLease::default();
        lease.extend(3, ms(100));
        lease.revoke(3);
        lease.extend(3, ms(200));
        assert_eq!(lease.term_at(ms(1)), None);
        lease.extend(4, ms(200));
        assert_eq!(lease.term_at(ms(1)), Some(4));
        lease.end();
        assert_eq!(lease.term_at(ms(1)), None);
    }
}
