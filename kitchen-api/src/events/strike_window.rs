//! When strikes pause a caller's polling, as a plain decision: what it has against it, and until when it is paused.
//!
//! Pure: time is passed in, on the monotonic clock. Kept for each caller by `strikes`. A strike is an event that order-events
//! delivered often and that was never acknowledged (PARTNER_API, 1.3); which events those are is its knowledge.

use std::time::Duration;

use order_model::EventId;

/// So many strikes within [`WINDOW`] pause polling. No more are kept, 32 bytes each.
pub(crate) const STRIKES_MAX: usize = 100;

/// How long a strike counts.
pub(crate) const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How long polling is paused, unless what struck is acknowledged before.
pub(crate) const PAUSE: Duration = Duration::from_secs(5 * 60);

/// The strikes of one caller.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StrikeWindow {
    /// Each event once, the oldest strike first.
    struck: Vec<(EventId, Duration)>,
    /// Stands after its time as well, until somebody looks.
    paused_until: Option<Duration>,
}

impl StrikeWindow {
    /// Notes events that became strikes at `now`; `Some` with when the pause ends if they are too many.
    pub(super) fn strike(&mut self, events: &[EventId], now: Duration) -> Option<Duration> {
        if self.forget_what_is_over(now) {
            // A poll that began before the pause: it is paused already.
            return None;
        }
        for event in events {
            if self.struck.len() < STRIKES_MAX && !self.has(*event) {
                self.struck.push((*event, now));
            }
        }
        if self.struck.len() < STRIKES_MAX {
            return None;
        }
        self.paused_until = Some(now + PAUSE);
        self.paused_until
    }

    /// Forgets what was acknowledged; a pause ends with the last of the events that it is for.
    pub(super) fn acknowledge(&mut self, events: &[EventId]) {
        self.struck.retain(|(event, _)| !events.contains(event));
        if self.struck.is_empty() {
            self.paused_until = None;
        }
    }

    /// Whether the event is one of its strikes.
    pub(super) fn has(&self, event: EventId) -> bool {
        self.struck.iter().any(|(struck, _)| *struck == event)
    }

    /// How long polling is paused yet; `None` when it is not.
    pub(super) fn paused_for(&self, now: Duration) -> Option<Duration> {
        self.paused_until.map(|until| until.saturating_sub(now)).filter(|left| !left.is_zero())
    }

    /// How many strikes count at `now`.
    pub(super) fn strikes(&self, now: Duration) -> usize {
        if self.paused_until.is_some_and(|until| until <= now) {
            return 0;
        }
        if self.paused_until.is_some() {
            return self.struck.len();
        }
        self.struck.iter().filter(|(_, at)| counts(*at, now)).count()
    }

    /// Forgets strikes that count no longer, and all of them after a pause; answers whether polling is paused.
    fn forget_what_is_over(&mut self, now: Duration) -> bool {
        if self.paused_for(now).is_some() {
            return true;
        }
        if self.paused_until.take().is_some() {
            self.struck.clear();
        }
        self.struck.retain(|(_, at)| counts(*at, now));
        false
    }
}

fn counts(struck_at: Duration, now: Duration) -> bool {
    now.saturating_sub(struck_at) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn events(numbers: std::ops::Range<usize>) -> Vec<EventId> {
        numbers.map(|number| EventId::from_bytes((number as u128).to_be_bytes())).collect()
    }

    #[test]
    fn a_hundred_within_an_hour_pause_for_five_minutes_and_it_begins_anew() {
        let mut window = StrikeWindow::default();
        assert_eq!(window.strike(&events(0..99), SECOND), None);
        assert_eq!((window.strikes(SECOND), window.paused_for(SECOND)), (99, None));
        let last = WINDOW; // a second before the first of them no longer counts
        assert_eq!(window.strike(&events(99..100), last), Some(last + PAUSE));
        assert_eq!(window.paused_for(last + SECOND), Some(PAUSE - SECOND));
        assert_eq!(window.strikes(last + PAUSE - SECOND), STRIKES_MAX, "those it is for count as long as it lasts");
        assert_eq!((window.paused_for(last + PAUSE), window.strikes(last + PAUSE)), (None, 0));
        assert_eq!(window.strike(&events(200..299), last + PAUSE), None);
        assert_eq!(window.strikes(last + PAUSE), 99);
    }

    #[test]
    fn strikes_that_are_an_hour_old_do_not_count() {
        let mut window = StrikeWindow::default();
        window.strike(&events(0..99), SECOND);
        let later = SECOND + WINDOW;
        assert_eq!(window.strikes(later), 0);
        assert_eq!(window.strike(&events(99..198), later), None);
        assert_eq!(window.strikes(later), 99);
    }

    #[test]
    fn one_event_is_one_strike_and_no_more_are_kept_than_pause() {
        let mut window = StrikeWindow::default();
        assert_eq!(window.strike(&[events(0..60), events(0..60)].concat(), SECOND), None);
        assert_eq!(window.strikes(SECOND), 60);
        assert!(window.strike(&events(100..1_100), SECOND).is_some());
        assert_eq!(window.struck.len(), STRIKES_MAX);
        assert_eq!(window.strike(&events(2_000..2_001), 2 * SECOND), None, "a poll under way makes it no longer");
        assert_eq!(window.paused_for(2 * SECOND), Some(PAUSE - SECOND));
    }

    #[test]
    fn acknowledging_all_that_struck_ends_a_pause_and_less_does_not() {
        let mut window = StrikeWindow::default();
        window.strike(&events(0..100), SECOND);
        window.acknowledge(&events(1..200));
        assert_eq!((window.strikes(SECOND), window.has(events(0..1)[0])), (1, true));
        assert!(window.paused_for(SECOND).is_some());
        window.acknowledge(&events(0..1));
        assert_eq!(window, StrikeWindow::default());
    }
}
