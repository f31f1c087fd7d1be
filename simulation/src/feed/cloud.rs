//! A model of DynamoDB, and of what the feed has in it: the core's committed events, the fallback's index and
//! acknowledgments, the fences.
//!
//! Every call takes a moment, has its effect at one instant within it, and is answered or not; in an outage it fails, and one
//! that was under way may have had its effect all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventId, OrderId, Timestamp};
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use tonic::Status;

use crate::clock::{START_MS, VirtualTime};
use crate::machine::Machine;
use crate::schedule::Fault;

/// How long a call takes at the longest, ms, while nothing is slow.
const CALL_MAX_MS: u64 = 12;

/// How long a call that cannot reach DynamoDB takes to find that out, ms.
const OUTAGE_FOUND_MS: u64 = 400;

/// The fence of a partition.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fence {
    /// How often it was raised.
    pub epoch: u64,
    /// Since when it is, if it is.
    pub raised_at: Option<Duration>,
}

/// What is stored for the feed.
#[derive(Debug, Default)]
pub struct Tables {
    /// The core's: every event of each order.
    pub committed: BTreeMap<OrderId, Vec<FeedEvent>>,
    /// The fallback's index, with when each event was indexed.
    pub indexed: BTreeMap<EventId, (FeedEvent, Duration)>,
    /// What was acknowledged.
    pub acknowledged: BTreeSet<(ApplicationId, EventId)>,
    /// The fences.
    pub fences: BTreeMap<u32, Fence>,
    /// What was acknowledged without a leader, by partition.
    pub fence_log: BTreeMap<u32, BTreeSet<(ApplicationId, EventId)>>,
}

#[derive(Debug, Default)]
struct Outage {
    /// The machines that cannot reach it; all of them when empty.
    down_for: Option<Vec<u64>>,
    slow_ms: u64,
}

/// DynamoDB with tables `T`.
pub struct Cloud<T = Tables> {
    time: Arc<VirtualTime>,
    tables: Mutex<T>,
    outage: Mutex<Outage>,
    random: Mutex<StdRng>,
}

impl<T: Default> Cloud<T> {
    /// Empty tables.
    pub fn new(time: Arc<VirtualTime>, random: StdRng) -> Arc<Self> {
        Arc::new(Self { time, tables: Mutex::default(), outage: Mutex::default(), random: Mutex::new(random) })
    }

    /// The time, which DynamoDB's clock shows rightly.
    pub fn elapsed(&self) -> Duration {
        self.time.now()
    }

    /// The same as a wall clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(START_MS).plus(self.time.now())
    }

    /// Fails for some machines or for all, takes longer, or works again. Other faults are not its own.
    pub fn suffer(&self, fault: &Fault) {
        let mut outage = self.outage.lock();
        match fault {
            Fault::StoreDown(machines) => outage.down_for = Some(machines.clone()),
            Fault::StoreSlow(ms) => outage.slow_ms = *ms,
            Fault::StoreUp => *outage = Outage::default(),
            _ => {}
        }
    }

    /// Whether `machine` reaches it.
    pub fn is_reached_by(&self, machine: u64) -> bool {
        let outage = self.outage.lock();
        outage.down_for.as_ref().is_none_or(|down| !down.is_empty() && !down.contains(&machine))
    }

    /// Looks at the tables, for models and checks that are no service.
    pub fn tables<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.tables.lock())
    }

    /// One call from `machine`.
    ///
    /// # Errors
    /// `UNAVAILABLE` in an outage; whether it had its effect is not known then.
    pub async fn call<R>(&self, machine: &Machine, act: impl FnOnce(&mut T, Duration) -> R) -> Result<R, Status> {
        let (there_ms, back_ms) = self.way();
        tokio::time::sleep(Duration::from_millis(there_ms)).await;
        thawed(machine).await;
        if !self.is_reached_by(machine.number) {
            return unreachable().await;
        }
        let done = act(&mut self.tables.lock(), self.time.now());
        tokio::time::sleep(Duration::from_millis(back_ms)).await;
        thawed(machine).await;
        if self.is_reached_by(machine.number) { Ok(done) } else { unreachable().await }
    }

    fn way(&self) -> (u64, u64) {
        let slow_ms = self.outage.lock().slow_ms;
        let mut random = self.random.lock();
        let mut part = || random.random_range(1..=CALL_MAX_MS / 2) + random.random_range(0..=slow_ms / 2);
        (part(), part())
    }
}

async fn unreachable<R>() -> Result<R, Status> {
    tokio::time::sleep(Duration::from_millis(OUTAGE_FOUND_MS)).await;
    Err(Status::unavailable("DynamoDB is not reached"))
}

/// A machine that stands still calls nobody and hears no answer.
pub async fn thawed(machine: &Machine) {
    while machine.is_frozen.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
