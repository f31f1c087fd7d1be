//! Bugs that the simulation plants in what it puts around the product: one at a time, chosen at run time.
//!
//! Those inside the product are `replicated_grid::planted_bugs` and `merchant_connection::planted_bugs`, compiled in by the feature `planted-bugs` alone. Each exists to
//! prove that an invariant catches it.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
#[cfg(feature = "planted-bugs")]
use merchant_connection::planted_bugs::PresenceBug;
use replicated_grid::log::{Durable, GroupId, GroupLog, LogEntry, LogError, LogStore};
#[cfg(feature = "planted-bugs")]
use replicated_grid::planted_bugs::GridBug;

/// A bug outside the product's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulationBug {
    /// The log says that a step is durable as soon as it has it.
    AckBeforeSync,
    /// The state machine depends on the order in which a `HashMap` happens to iterate.
    HashMapIteration,
    /// A part of the state is not in its snapshot.
    NotInSnapshot,
    /// Whoever does not know what became of a proposal proposes it again, under no id that would tell.
    RetryWithoutId,
    /// A message of the feed queue is deleted as soon as it is received.
    DeleteBeforeCommit,
    /// The fallback shows what was acknowledged.
    FallbackIgnoresAcks,
    /// The fallback shows what belongs to others.
    FallbackDropsFilter,
}

thread_local! {
    // A run is one thread.
    static PLANTED: Cell<Option<SimulationBug>> = const { Cell::new(None) };
}

impl SimulationBug {
    /// Whether it is planted in the run of this thread.
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }
}

/// Any bug that can be planted, by the name the command line has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Around the product.
    Simulation(SimulationBug),
    /// In the grid.
    #[cfg(feature = "planted-bugs")]
    Grid(GridBug),
    /// In merchant-connection.
    #[cfg(feature = "planted-bugs")]
    Presence(PresenceBug),
}

/// Every bug and its name.
pub const ALL: &[(&str, Planted)] = &[
    ("ack-before-sync", Planted::Simulation(SimulationBug::AckBeforeSync)),
    ("hash-map-iteration", Planted::Simulation(SimulationBug::HashMapIteration)),
    ("retry-without-id", Planted::Simulation(SimulationBug::RetryWithoutId)),
    ("delete-before-commit", Planted::Simulation(SimulationBug::DeleteBeforeCommit)),
    ("fallback-ignores-acks", Planted::Simulation(SimulationBug::FallbackIgnoresAcks)),
    ("fallback-drops-filter", Planted::Simulation(SimulationBug::FallbackDropsFilter)),
    ("not-in-snapshot", Planted::Simulation(SimulationBug::NotInSnapshot)),
    #[cfg(feature = "planted-bugs")]
    ("stale-read", Planted::Grid(GridBug::StaleRead)),
    #[cfg(feature = "planted-bugs")]
    ("apply-before-commit", Planted::Grid(GridBug::ApplyBeforeCommit)),
    #[cfg(feature = "planted-bugs")]
    ("time-of-wall-clock", Planted::Grid(GridBug::TimeOfWallClock)),
    #[cfg(feature = "planted-bugs")]
    ("presence-of-wall-clock", Planted::Presence(PresenceBug::TimerOfWallClock)),
    #[cfg(feature = "planted-bugs")]
    ("beats-not-passed-on", Planted::Presence(PresenceBug::BeatsNotPassedOn)),
];

impl Planted {
    /// The bug called `name`.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, bug)| *bug)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Plants `bug` in what runs on this thread from now on, or takes out whatever was planted.
    pub fn plant(bug: Option<Self>) {
        let in_simulation = match bug {
            Some(Self::Simulation(bug)) => Some(bug),
            _ => None,
        };
        PLANTED.set(in_simulation);
        #[cfg(feature = "planted-bugs")]
        {
            GridBug::plant(match bug {
                Some(Self::Grid(bug)) => Some(bug),
                _ => None,
            });
            PresenceBug::plant(match bug {
                Some(Self::Presence(bug)) => Some(bug),
                _ => None,
            });
        }
    }
}

/// [`SimulationBug::AckBeforeSync`].
pub struct AckedBeforeSync(pub Arc<dyn LogStore>);

fn ignored() -> Durable {
    Box::new(|_| {})
}

impl LogStore for AckedBeforeSync {
    fn group(&self, group: GroupId) -> GroupLog {
        self.0.group(group)
    }

    fn append(&self, group: GroupId, entries: Vec<LogEntry>, durable: Durable) {
        self.0.append(group, entries, ignored());
        durable(Ok(()));
    }

    fn truncate(&self, group: GroupId, from: u64, durable: Durable) {
        self.0.truncate(group, from, durable);
    }

    fn purge(&self, group: GroupId, through: u64, marker: Bytes, durable: Durable) {
        self.0.purge(group, through, marker, durable);
    }

    fn save_vote(&self, group: GroupId, vote: Bytes, durable: Durable) {
        self.0.save_vote(group, vote, durable);
    }

    fn entries(&self, group: GroupId, range: Range<u64>, max: usize) -> BoxFuture<'_, Result<Vec<Bytes>, LogError>> {
        self.0.entries(group, range, max)
    }
}
