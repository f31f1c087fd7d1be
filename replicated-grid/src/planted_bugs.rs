//! Bugs that the crate `simulation` plants in this one, to prove that its invariants would catch them.
//!
//! Compiled in by the feature `planted-bugs` alone, which nothing turns on by itself and which does not build without debug
//! assertions. At most one is planted at a time, in what runs on the thread that planted it.

use std::cell::Cell;

#[cfg(not(debug_assertions))]
compile_error!("planted bugs are for the simulation; they must never be in a release");

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridBug {
    /// Whoever believes to lead answers reads, whatever its leases say.
    StaleRead,
    /// A follower that does not answer counts as one that has the entries: without a quorum, they are applied.
    ApplyBeforeCommit,
    /// Replicated time follows the wall clock of the leader, however far it jumps.
    TimeOfWallClock,
}

thread_local! {
    static PLANTED: Cell<Option<GridBug>> = const { Cell::new(None) };
}

impl GridBug {
    /// Plants `bug`, or takes out whatever was planted.
    pub fn plant(bug: Option<Self>) {
        PLANTED.set(bug);
    }

    /// Whether it is planted on this thread.
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }
}
