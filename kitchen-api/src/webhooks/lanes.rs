//! How many requests are under way, in total and to each receiver, so that a slow or dead receiver slows nobody.
//!
//! A receiver that does well may have several requests under way, out of a pool that such receivers share. One that fails gets fewer with
//! each failure in a row, and soon one at a time out of another pool: however many receivers hang, they only wait for each other.
//! Used by [`super::intake`] and [`super::caretaker`], which never wait here: without a permit, a delivery waits in DynamoDB.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use order_model::{ApplicationId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::config::WebhookConfig;
use super::schedule::{FAILURES_UNTIL_FAILING, allowance};

/// A success of a receiver is written down at most so often.
const SUCCESS_NOTED_EVERY: Duration = Duration::from_secs(60);

/// All of them.
pub(super) struct Lanes {
    lanes: Mutex<HashMap<ApplicationId, Lane>>,
    healthy: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    per_receiver_max: usize,
}

#[derive(Default)]
struct Lane {
    in_flight: usize,
    failures_in_a_row: u32,
    success_noted_at: Option<Duration>,
    freed: Arc<Notify>,
    due: Due,
}

/// What waits for a receiver, as was seen last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) count: usize,
    pub(super) first_at: Option<Timestamp>,
}

/// The right to one request. Dropping it gives it back.
pub(super) struct Permit {
    lanes: Arc<Lanes>,
    application: ApplicationId,
    _pool: OwnedSemaphorePermit,
}

impl Lanes {
    pub(super) fn new(config: &WebhookConfig) -> Arc<Self> {
        Arc::new(Self {
            lanes: Mutex::default(),
            healthy: Arc::new(Semaphore::new(config.requests_max)),
            failing: Arc::new(Semaphore::new(config.requests_to_failing_max)),
            per_receiver_max: config.requests_per_receiver_max,
        })
    }

    /// A permit for one more request, if there is one now.
    pub(super) fn try_enter(self: &Arc<Self>, application: &ApplicationId) -> Option<Permit> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(application.clone()).or_default();
        if lane.in_flight >= allowance(self.per_receiver_max, lane.failures_in_a_row) {
            return None;
        }
        let is_failing = lane.failures_in_a_row >= FAILURES_UNTIL_FAILING;
        let pool = if is_failing { &self.failing } else { &self.healthy };
        let permit = Arc::clone(pool).try_acquire_owned().ok()?;
        lane.in_flight += 1;
        Some(Permit { lanes: Arc::clone(self), application: application.clone(), _pool: permit })
    }

    /// Told whenever a request to the receiver has ended.
    pub(super) fn freed(&self, application: &ApplicationId) -> Arc<Notify> {
        Arc::clone(&self.lanes.lock().entry(application.clone()).or_default().freed)
    }

    /// A request failed.
    pub(super) fn failed(&self, application: &ApplicationId) {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(application.clone()).or_default();
        lane.failures_in_a_row = lane.failures_in_a_row.saturating_add(1);
        // The next success is one to write down.
        lane.success_noted_at = None;
    }

    /// A request succeeded at `now`; whether that is to be written down.
    pub(super) fn succeeded(&self, application: &ApplicationId, now: Duration) -> bool {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(application.clone()).or_default();
        lane.failures_in_a_row = 0;
        let is_noted = lane.success_noted_at.is_some_and(|at| now.saturating_sub(at) < SUCCESS_NOTED_EVERY);
        if !is_noted {
            lane.success_noted_at = Some(now);
        }
        !is_noted
    }

    /// What waits for a receiver.
    pub(super) fn report(&self, application: &ApplicationId, due: Due) {
        self.lanes.lock().entry(application.clone()).or_default().due = due;
    }

    /// What waits for all of them, and how many requests are under way.
    pub(super) fn totals(&self) -> (Due, usize) {
        let lanes = self.lanes.lock();
        let count = lanes.values().map(|lane| lane.due.count).sum();
        let first_at = lanes.values().filter_map(|lane| lane.due.first_at).min();
        (Due { count, first_at }, lanes.values().map(|lane| lane.in_flight).sum())
    }

    /// Forgets receivers that are gone and have nothing under way.
    pub(super) fn retain(&self, is_known: impl Fn(&ApplicationId) -> bool) {
        self.lanes.lock().retain(|id, lane| lane.in_flight > 0 || is_known(id));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.lanes.lock().get_mut(&self.application) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Arc<Lanes> {
        Lanes::new(&WebhookConfig { requests_max: 10, requests_to_failing_max: 2, ..WebhookConfig::default() })
    }

    fn id(text: &str) -> ApplicationId {
        text.parse().unwrap()
    }

    fn enter(lanes: &Arc<Lanes>, application: &str) -> Vec<Permit> {
        std::iter::from_fn(|| lanes.try_enter(&id(application))).collect()
    }

    #[test]
    fn no_receiver_takes_everything() {
        let lanes = lanes();
        let first = enter(&lanes, "a");
        assert_eq!((first.len(), enter(&lanes, "b").len()), (8, 2));
        assert_eq!(lanes.totals().1, 8, "permits are given back");
        drop(first);
        assert_eq!(enter(&lanes, "b").len(), 8);
    }

    #[test]
    fn failing_receivers_only_wait_for_each_other() {
        let lanes = lanes();
        for application in ["a", "b", "c"] {
            (0..3).for_each(|_| lanes.failed(&id(application)));
        }
        let held: Vec<Permit> = ["a", "b", "c"].iter().flat_map(|application| enter(&lanes, application)).collect();
        assert_eq!(held.len(), 2, "one each, out of a pool of two");
        assert_eq!(enter(&lanes, "healthy").len(), 8);
        assert!(lanes.succeeded(&id("c"), Duration::ZERO));
        assert_eq!(enter(&lanes, "c").len(), 8, "it does well again");
    }

    #[test]
    fn successes_are_written_down_now_and_then() {
        let lanes = lanes();
        let at = Duration::from_secs;
        assert!(
            lanes.succeeded(&id("a"), at(0)) && !lanes.succeeded(&id("a"), at(59)) && lanes.succeeded(&id("a"), at(60))
        );
        lanes.failed(&id("a"));
        assert!(lanes.succeeded(&id("a"), at(61)), "the first after a failure");
        lanes.retain(|_| false);
        assert!(lanes.lanes.lock().is_empty());
    }
}
