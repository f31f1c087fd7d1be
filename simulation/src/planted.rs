//! Bugs that the simulation plants in what it puts around the product: one at a time, chosen at run time.
//!
//! Those inside the product are `replicated_grid::planted_bugs`, compiled in by the feature `planted-bugs` alone. Each exists to
//! prove that an invariant catches it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use replicated_grid::log::{Durable, GroupId, GroupLog, LogEntry, LogError, LogStore};

/// A bug outside the product's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SimulationBug {
    /// The log says that a step is durable as soon as it has it.
    AckBeforeSync = 1,
    /// A workload takes a read of the local replica, whoever leads, for a read.
    StaleRead = 2,
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

impl SimulationBug {
    /// Plants it in every run of this process, or takes out whatever was planted.
    pub fn plant(bug: Option<Self>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::SeqCst);
    }

    /// Whether it is planted.
    pub fn is_planted(self) -> bool {
        PLANTED.load(Ordering::SeqCst) == self as u8
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
