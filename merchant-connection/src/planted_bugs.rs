//! The bugs that the crate `simulation` plants in this one, to prove that its invariant of presence would catch them.
//!
//! Compiled in by the feature `planted-bugs` alone, which nothing turns on by itself and which does not build without debug
//! assertions. Planted in what runs on the thread that planted it.

use std::cell::Cell;

#[cfg(not(debug_assertions))]
compile_error!("planted bugs are for the simulation; they must never be in a release");

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceBug {
    /// Silence is measured by the wall clock of the leader, however far it jumps.
    TimerOfWallClock,
    /// Nobody passes on beats of a kitchen-api that does not reach a leader.
    BeatsNotPassedOn,
}

thread_local! {
    static PLANTED: Cell<Option<PresenceBug>> = const { Cell::new(None) };
}

impl PresenceBug {
    /// Plants `bug`, or takes out whatever was planted.
    pub fn plant(bug: Option<Self>) {
        PLANTED.set(bug);
    }

    /// Whether it is planted on this thread.
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }
}
