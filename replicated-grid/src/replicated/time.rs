//! The replicated time of a group on one node, whoever leads it.
//!
//! The leader has a [`ReplicatedClock`]. Everyone else remembers what leaders said the time was, and lets the monotonic
//! clock carry it on: a new leader starts from there, so that its wall clock is believed only where the old leader's was,
//! and an idle hour before a failover is not lost. Only a node that has heard of no leader since it started, as after a
//! restart of everything, believes its wall clock: as it was at that start, carried on like anything else it has heard.

use std::time::Duration;

use order_model::Clock;
use parking_lot::Mutex;

use crate::clock::{ClockReading, ReplicatedClock};
use crate::state_machine::ReplicatedTime;

/// See the module.
#[derive(Debug)]
pub(super) struct GroupTime(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// What the wall clock said when the node was started; it may have jumped since, also before the group was opened.
    started: Heard,
    leading: Option<ReplicatedClock>,
    heard: Option<Heard>,
    /// Steps refused by clocks of earlier leaderships.
    refused_before: u64,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    time: ReplicatedTime,
    at: Duration,
}

impl Heard {
    fn carried_to(self, monotonic: Duration) -> ReplicatedTime {
        let elapsed = i64::try_from(monotonic.saturating_sub(self.at).as_millis()).unwrap_or(i64::MAX);
        ReplicatedTime { unix_ms: self.time.unix_ms.saturating_add(elapsed) }
    }
}

impl GroupTime {
    /// For a group of a node whose clocks said this when it was started.
    pub(super) fn new(started: ClockReading) -> Self {
        let started = Heard { time: ReplicatedTime { unix_ms: started.unix_ms }, at: started.monotonic };
        Self(Mutex::new(Inner { started, leading: None, heard: None, refused_before: 0 }))
    }

    /// Learns what the leader's time is. Never goes back.
    pub(super) fn hear(&self, time: ReplicatedTime, monotonic: Duration) {
        let mut inner = self.0.lock();
        if inner.heard.is_none_or(|heard| heard.carried_to(monotonic) < time) {
            inner.heard = Some(Heard { time, at: monotonic });
        }
    }

    /// Starts a leadership; `applied` is the time of the last command.
    pub(super) fn lead(&self, applied: ReplicatedTime, now: ClockReading) {
        let mut inner = self.0.lock();
        if inner.leading.is_some() {
            return;
        }
        let time = inner.heard.unwrap_or(inner.started).carried_to(now.monotonic).max(applied);
        inner.leading = Some(ReplicatedClock::start(time, ClockReading { unix_ms: time.unix_ms, ..now }));
    }

    /// Ends a leadership; its time is carried on like another leader's.
    pub(super) fn follow(&self, now: ClockReading) {
        let mut inner = self.0.lock();
        if let Some(clock) = inner.leading.take() {
            inner.refused_before += clock.steps_refused();
            inner.heard = Some(Heard { time: clock.peek(now), at: now.monotonic });
        }
    }

    /// The time of the next command, while this node leads; and how many steps have been refused so far.
    pub(super) fn advance(&self, now: ClockReading) -> Option<(ReplicatedTime, u64)> {
        let mut inner = self.0.lock();
        let before = inner.refused_before;
        inner.leading.as_mut().map(|clock| (clock.advance(now), before + clock.steps_refused()))
    }

    /// The time by what is known here.
    pub(super) fn peek(&self, now: ClockReading) -> Option<ReplicatedTime> {
        let inner = self.0.lock();
        match &inner.leading {
            Some(clock) => Some(clock.peek(now)),
            None => inner.heard.map(|heard| heard.carried_to(now.monotonic)),
        }
    }

    /// How often a step of the wall clock was refused here.
    pub(super) fn steps_refused(&self) -> u64 {
        let inner = self.0.lock();
        inner.refused_before + inner.leading.as_ref().map_or(0, ReplicatedClock::steps_refused)
    }
}

/// Both clocks, now.
pub(super) fn reading(clock: &dyn Clock) -> ClockReading {
    ClockReading { unix_ms: clock.now().unix_ms(), monotonic: clock.monotonic() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(unix_ms: i64, monotonic_ms: u64) -> ClockReading {
        ClockReading { unix_ms, monotonic: Duration::from_millis(monotonic_ms) }
    }

    const fn time(unix_ms: i64) -> ReplicatedTime {
        ReplicatedTime { unix_ms }
    }

    #[test]
    fn a_new_leader_goes_on_from_what_the_old_one_said() {
        let group = GroupTime::new(at(0, 0));
        group.hear(time(1_000_000), Duration::from_millis(500));
        // An idle minute later it leads; its wall clock is two days ahead.
        group.lead(time(900_000), at(1_000_000 + 172_800_000, 60_500));
        let (now, refused) = group.advance(at(1_000_000 + 172_800_010, 60_510)).unwrap();
        assert_eq!((now, refused), (time(1_060_010), 1));
    }

    #[test]
    fn after_a_restart_of_everything_the_wall_clock_is_believed() {
        let group = GroupTime::new(at(2_000_000, 10));
        group.lead(time(900_000), at(2_000_500, 510));
        assert_eq!(group.advance(at(2_000_505, 515)).unwrap().0, time(2_000_505));
    }

    #[test]
    fn a_clock_that_jumped_after_the_restart_is_not_believed() {
        let group = GroupTime::new(at(2_000_000, 10));
        group.lead(time(900_000), at(2_000_500 + 172_800_000, 510));
        assert_eq!(group.advance(at(2_000_505 + 172_800_000, 515)), Some((time(2_000_505), 1)));
    }

    #[test]
    fn what_is_heard_never_goes_back() {
        let group = GroupTime::new(at(0, 0));
        group.hear(time(5_000), Duration::from_millis(0));
        group.hear(time(5_500), Duration::from_millis(1_000));
        assert_eq!(group.peek(at(0, 1_000)), Some(time(6_000)));
        group.lead(time(0), at(6_000, 1_000));
        group.follow(at(6_700, 1_500));
        assert_eq!(group.peek(at(0, 2_500)), Some(time(7_700)), "our own leadership is remembered as well");
        assert_eq!(group.advance(at(0, 3_000)), None);
    }
}
