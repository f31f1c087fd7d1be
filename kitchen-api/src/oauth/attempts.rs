//! How often somebody may try: a pure count of attempts and failures per client and address.
//!
//! Used by the token endpoint, the user codes' and the activation page. Keyed by both, so that nobody can lock a client out
//! from elsewhere, and per address for failures, so that trying many clients from one place is bounded too. Windows of a
//! minute; the count is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use order_model::ApplicationId;

use crate::errors::Throttle;

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(60);
/// Failed secrets per client and address and window, whatever the configured rate; the next is refused unseen.
const FAILURES_MAX: u32 = 10;
/// Failed secrets per address and window: a chain of hundreds of stores behind one NAT may have some wrong ones.
const ADDRESS_FAILURES_MAX: u32 = 200;
/// Keys remembered; about 100 bytes each. When full, windows that ended go first and then everything: for an attacker
/// with 50,000 addresses the count would not help anyway, and secrets have 256 bits.
const KEYS_MAX: usize = 50_000;

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Attempts per client and address and minute; `None` for any number.
    pub(crate) attempts_per_minute: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    ClientAt(String, IpAddr),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at: Duration,
    attempts: u32,
    failures: u32,
}

/// The counts. Time is monotonic and passed in.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: Limits,
    windows: HashMap<Key, Window>,
}

impl Attempts {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, windows: HashMap::new() }
    }

    /// Counts an attempt. `Err`: it is one too many; of what there were too many, and when the next may be made.
    pub(crate) fn attempt(&mut self, client: &str, address: IpAddr, now: Duration) -> Result<(), Throttle> {
        self.make_room(now);
        let by_address = *self.window(Key::Address(address), now);
        if by_address.failures >= ADDRESS_FAILURES_MAX {
            return Err(until(by_address.ends_at, now, ADDRESS_FAILURES_MAX));
        }
        let max = self.limits.attempts_per_minute.unwrap_or(u32::MAX);
        let window = self.window(client_at(client, address), now);
        if window.failures >= FAILURES_MAX {
            return Err(until(window.ends_at, now, FAILURES_MAX));
        }
        if window.attempts >= max {
            return Err(until(window.ends_at, now, max));
        }
        window.attempts += 1;
        Ok(())
    }

    /// Counts a failed secret, or an unknown client: the two must not be told apart.
    pub(crate) fn failed(&mut self, client: &str, address: IpAddr, now: Duration) {
        self.window(client_at(client, address), now).failures += 1;
        self.window(Key::Address(address), now).failures += 1;
    }

    /// Counts a failure of who has proven to be that client: a code or a refresh token that does not count. Not against the
    /// address: a vendor's server refreshes for thousands of restaurants, some of which have taken their permission back.
    pub(crate) fn refused(&mut self, subject: &str, address: IpAddr, now: Duration) {
        self.window(client_at(subject, address), now).failures += 1;
    }

    /// Takes back what [`Self::refused`] counted at `now`.
    pub(crate) fn forgive_refused(&mut self, subject: &str, address: IpAddr, now: Duration) {
        let window = self.window(client_at(subject, address), now);
        window.failures = window.failures.saturating_sub(1);
    }

    /// Takes back what [`Self::failed`] counted at `now`.
    pub(crate) fn forgive(&mut self, client: &str, address: IpAddr, now: Duration) {
        for key in [client_at(client, address), Key::Address(address)] {
            let window = self.window(key, now);
            window.failures = window.failures.saturating_sub(1);
        }
    }

    fn window(&mut self, key: Key, now: Duration) -> &mut Window {
        let fresh = Window { ends_at: now + WINDOW, attempts: 0, failures: 0 };
        let window = self.windows.entry(key).or_insert(fresh);
        if window.ends_at <= now {
            *window = fresh;
        }
        window
    }

    fn make_room(&mut self, now: Duration) {
        if self.windows.len() < KEYS_MAX {
            return;
        }
        self.windows.retain(|_, window| now < window.ends_at);
        if self.windows.len() >= KEYS_MAX {
            self.windows.clear();
        }
    }
}

/// What cannot be a client id is cut: the count must not be a place to store long texts in.
fn client_at(client: &str, address: IpAddr) -> Key {
    Key::ClientAt(client.chars().take(ApplicationId::LENGTH_MAX).collect(), address)
}

/// `limit` is reached until the window's end.
fn until(ends_at: Duration, now: Duration, limit: u32) -> Throttle {
    let left_s = ends_at.saturating_sub(now).as_millis().div_ceil(1000);
    Throttle { limit, retry_after_s: u32::try_from(left_s).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn refused(limit: u32, retry_after_s: u32) -> Result<(), Throttle> {
        Err(Throttle { limit, retry_after_s })
    }

    #[test]
    fn twenty_a_minute_per_client_and_address() {
        let mut attempts = Attempts::new(Limits { attempts_per_minute: Some(20) });
        for _ in 0..20 {
            assert_eq!(attempts.attempt("app", HERE, Duration::ZERO), Ok(()));
        }
        assert_eq!(attempts.attempt("app", HERE, Duration::from_millis(500)), refused(20, 60));
        assert_eq!(attempts.attempt("app", THERE, Duration::ZERO), Ok(()));
        assert_eq!(attempts.attempt("other", HERE, Duration::ZERO), Ok(()));
        assert_eq!(attempts.attempt("app", HERE, Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn failures_lock_out_even_without_a_rate() {
        let mut attempts = Attempts::new(Limits { attempts_per_minute: None });
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempts.attempt("app", HERE, Duration::ZERO), Ok(()));
            attempts.failed("app", HERE, Duration::ZERO);
            attempts.failed("app", HERE, Duration::ZERO);
            attempts.forgive("app", HERE, Duration::ZERO);
        }
        assert_eq!(attempts.attempt("app", HERE, Duration::from_secs(59)), refused(FAILURES_MAX, 1));
        assert_eq!(attempts.attempt("app", THERE, Duration::ZERO), Ok(()), "nobody is locked out from elsewhere");
        for client in 0..ADDRESS_FAILURES_MAX {
            attempts.failed(&client.to_string(), THERE, Duration::ZERO);
        }
        assert_eq!(attempts.attempt("fresh", THERE, Duration::ZERO), refused(ADDRESS_FAILURES_MAX, 60));
    }

    #[test]
    fn the_count_is_bounded() {
        let mut attempts = Attempts::new(Limits { attempts_per_minute: Some(1) });
        for client in 0..120_000 {
            let _ = attempts.attempt(&client.to_string(), HERE, Duration::ZERO);
        }
        assert!(attempts.windows.len() <= KEYS_MAX + 1);
    }
}
