//! Pauses the polling of whoever acknowledges nothing, where that is switched on (PARTNER_API, 1.3).
//!
//! Asked by every poll once its beat was noted, told by every answer that says which events became strikes, and by every
//! acknowledgment. `strike_window` decides. Off there is none of it; on, a poll costs one atomic read while nobody is paused,
//! and no allocation at any time. Deliberately absent: a count over several instances of kitchen-api. Each counts what its own
//! polls struck, pauses by itself, and hears of the acknowledgments that it takes itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use order_model::{EventId, SharedClock};
use parking_lot::RwLock;

use super::strike_window::StrikeWindow;
use crate::errors::{ApiError, Throttle};
use crate::oauth::Authorised;
use crate::operations::POLL;
use crate::rate_limits::{Caller, caller, seconds};

/// The most callers of whom strikes are kept, some 4 KB each at most. Strikes of further ones do not count.
const CALLERS_MAX: usize = 10_000;

/// What to do about a pause.
const HINT: &str =
    "100 events were delivered 50 times each and not acknowledged. Acknowledge them, and polling goes on at once.";

/// The strikes that this process has seen.
pub(crate) struct Strikes {
    callers: RwLock<HashMap<Caller, StrikeWindow>>,
    /// When the last pause of anybody ends, in ms of the monotonic clock; 0 while there is none.
    paused_until_ms: AtomicU64,
    clock: SharedClock,
}

/// What one caller has against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) strikes: usize,
    pub(super) paused_for: Option<Duration>,
}

impl Strikes {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { callers: RwLock::default(), paused_until_ms: AtomicU64::new(0), clock }
    }

    /// Whether this caller may poll.
    ///
    /// # Errors
    /// 429 while it is paused, with for how long yet.
    pub(crate) fn check(&self, authorised: &Authorised) -> Result<(), ApiError> {
        let until_ms = self.paused_until_ms.load(Ordering::Relaxed);
        if until_ms == 0 {
            return Ok(());
        }
        let now = self.clock.monotonic();
        if until_ms <= whole_ms(now) {
            // Whoever was paused meanwhile has written a later instant, which stays.
            let _ = self.paused_until_ms.compare_exchange(until_ms, 0, Ordering::Relaxed, Ordering::Relaxed);
            return Ok(());
        }
        let callers = self.callers.read();
        let Some(left) = callers.get(&caller(authorised)).and_then(|window| window.paused_for(now)) else {
            return Ok(());
        };
        // How often it may poll again once the pause is over.
        let limit = POLL.rate().map_or(0, |rate| rate.requests.get());
        Err(ApiError::too_many_requests(Throttle { limit, retry_after_s: seconds(left) }).with_hint(HINT))
    }

    /// Notes the events that became strikes with an answer to this caller.
    pub(crate) fn struck(&self, authorised: &Authorised, events: &[EventId]) {
        if !events.is_empty() {
            self.note(caller(authorised), events);
        }
    }

    fn note(&self, caller: Caller, events: &[EventId]) {
        let now = self.clock.monotonic();
        let mut callers = self.callers.write();
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&caller) {
            callers.retain(|_, window| window.strikes(now) > 0);
            if callers.len() >= CALLERS_MAX {
                metrics::counter!("comanda_kitchen_api_strikes_uncounted_total").increment(events.len() as u64);
                return;
            }
        }
        let application = caller.0.clone();
        let Some(until) = callers.entry(caller).or_default().strike(events, now) else { return };
        self.paused_until_ms.fetch_max(whole_ms(until).saturating_add(1), Ordering::Relaxed);
        metrics::counter!("comanda_kitchen_api_strike_pauses_total").increment(1);
        tracing::warn!(application_id = %application, "polling is paused: events are not acknowledged");
    }

    /// Those of `ids` that are strikes of this caller: what to pass to [`Strikes::acknowledged`] once they are. Nearly always
    /// none, which costs no allocation.
    pub(super) fn among(&self, authorised: &Authorised, ids: &[EventId]) -> Vec<EventId> {
        self.struck_among(&caller(authorised), ids)
    }

    fn struck_among(&self, caller: &Caller, ids: &[EventId]) -> Vec<EventId> {
        let callers = self.callers.read();
        let Some(window) = callers.get(caller) else { return Vec::new() };
        ids.iter().copied().filter(|id| window.has(*id)).collect()
    }

    /// Forgets strikes that were acknowledged.
    pub(super) fn acknowledged(&self, authorised: &Authorised, struck: &[EventId]) {
        if !struck.is_empty() {
            self.forget(&caller(authorised), struck);
        }
    }

    fn forget(&self, caller: &Caller, struck: &[EventId]) {
        let mut callers = self.callers.write();
        let Some(window) = callers.get_mut(caller) else { return };
        window.acknowledge(struck);
        if *window == StrikeWindow::default() {
            callers.remove(caller);
        }
    }

    /// What this caller has against it.
    pub(super) fn standing(&self, authorised: &Authorised) -> Standing {
        self.standing_of(&caller(authorised))
    }

    fn standing_of(&self, caller: &Caller) -> Standing {
        let now = self.clock.monotonic();
        let callers = self.callers.read();
        callers.get(caller).map_or(Standing { strikes: 0, paused_for: None }, |window| Standing {
            strikes: window.strikes(now),
            paused_for: window.paused_for(now),
        })
    }
}

fn whole_ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use order_model::{Clock, MerchantId, Timestamp};

    use super::*;
    use crate::events::strike_window::{PAUSE, STRIKES_MAX, WINDOW};

    /// Shows what it is told.
    #[derive(Default)]
    struct Shown(AtomicU64);

    impl Clock for Shown {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    fn caller(number: usize) -> Caller {
        (format!("app-{number}").parse().unwrap(), None)
    }

    fn events(count: usize) -> Vec<EventId> {
        (0..count).map(|number| EventId::from_bytes((number as u128).to_be_bytes())).collect()
    }

    #[test]
    fn a_caller_is_paused_by_itself_and_acknowledging_ends_it() {
        let strikes = Strikes::new(Arc::new(Shown::default()));
        let (one, restaurant) = (caller(1), (caller(1).0, Some(MerchantId::from_bytes([1; 16]))));
        strikes.note(one.clone(), &events(STRIKES_MAX));
        assert_eq!(strikes.standing_of(&one), Standing { strikes: STRIKES_MAX, paused_for: Some(PAUSE) });
        assert_ne!(strikes.paused_until_ms.load(Ordering::Relaxed), 0);
        for other in [caller(2), restaurant] {
            assert_eq!(strikes.standing_of(&other), Standing { strikes: 0, paused_for: None });
            assert!(strikes.struck_among(&other, &events(STRIKES_MAX)).is_empty());
        }
        let struck = strikes.struck_among(&one, &events(STRIKES_MAX + 50));
        assert_eq!(struck, events(STRIKES_MAX));
        strikes.forget(&one, &struck);
        assert!(strikes.callers.read().is_empty(), "nothing is kept of it");
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_over_makes_room() {
        let clock = Arc::new(Shown::default());
        let strikes = Strikes::new(clock.clone());
        for number in 0..=CALLERS_MAX {
            strikes.note(caller(number), &events(1));
        }
        assert_eq!(strikes.callers.read().len(), CALLERS_MAX);
        assert_eq!(strikes.standing_of(&caller(CALLERS_MAX)).strikes, 0, "not counted");
        clock.0.store(WINDOW.as_secs(), Ordering::Relaxed);
        strikes.note(caller(CALLERS_MAX), &events(1));
        assert_eq!((strikes.callers.read().len(), strikes.standing_of(&caller(CALLERS_MAX)).strikes), (1, 1));
    }
}
