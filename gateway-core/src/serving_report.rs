//! Persists that polls are being served, at most once a second per core.
//!
//! kitchen-api calls through `rpc`; every instance of it does, at any core. What a report means is in [`crate::serving`].

use std::sync::Arc;
use std::time::Duration;

use order_model::SharedClock;
use tokio::sync::Mutex;

use crate::clock_guard::{Agreement, ClockGuard};
use crate::error::RequestError;
use crate::serving::ServingRecord;
use crate::store::Store;

/// Reports within this of the last one that was written say nothing new.
const WRITE_INTERVAL: Duration = Duration::from_millis(900);
/// Tries to write over other cores that report at the same time. Whoever wrote said the same.
const ATTEMPTS_MAX: usize = 3;

/// Takes reports.
pub(crate) struct ServingReports {
    store: Arc<Store>,
    clock: SharedClock,
    guard: ClockGuard,
    /// What was written or read last. Held while writing: of many reports at once, one writes.
    last: Mutex<ServingRecord>,
}

impl ServingReports {
    pub(crate) fn new(store: Arc<Store>, clock: SharedClock, guard: ClockGuard) -> Self {
        Self { store, clock, guard, last: Mutex::new(ServingRecord::default()) }
    }

    /// Takes one report. Under a clock that disagrees with DynamoDB's it is dropped: an instant that is wrong by an
    /// hour would hide gaps, while a missing one only postpones deadlines.
    pub(crate) async fn report(&self) -> Result<(), RequestError> {
        if matches!(self.guard.agreement(), Agreement::Disagrees(_)) {
            return Ok(());
        }
        let mut last = self.last.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            let now = self.clock.now();
            if last.last_served.is_some_and(|served| now.since(served) < WRITE_INTERVAL) {
                return Ok(());
            }
            let next = last.report(now);
            if self.store.save_serving(&next).await? {
                *last = next;
                return Ok(());
            }
            *last = self.store.load_serving().await?;
        }
        Ok(())
    }
}
