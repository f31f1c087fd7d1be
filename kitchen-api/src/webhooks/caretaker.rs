//! Looks after one receiver: sends what is due, and keep-alives. One task for each webhook, on each instance; of those, one works.
//!
//! Which one is a lease in DynamoDB, taken again while it is held. It saves look-ups and keeps keep-alives apart; that no delivery is
//! sent by two at a time is each delivery's own lease. What an instance has recorded itself it sends itself, without this.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use order_model::{ApplicationId, EventId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::dispatch::Workshop;
use super::lanes::Due;
use super::presence;
use super::store::Lane;
use super::subscription::{PresenceMode, Subscription};
use super::view::is_at_rest;

/// Due deliveries that are looked up at a time.
const PAGE: i32 = 50;
/// A keep-alive that somebody else has claimed is looked at again after this long.
const CLAIM_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Where more is due than one look has shown. The index lags a little: without a pause it would show the same again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The task of one receiver.
pub(super) struct Caretaker {
    pub(super) shop: Arc<Workshop>,
    pub(super) application: ApplicationId,
    /// Keep-alives under way at a time, of all receivers.
    pub(super) keepalives: Arc<Semaphore>,
    held_until: Duration,
    next_keepalive_at: Duration,
    due: VecDeque<EventId>,
}

impl Caretaker {
    pub(super) fn new(shop: Arc<Workshop>, application: ApplicationId, keepalives: Arc<Semaphore>) -> Self {
        let (held_until, next_keepalive_at) = (Duration::ZERO, Duration::ZERO);
        Self { shop, application, keepalives, held_until, next_keepalive_at, due: VecDeque::new() }
    }

    /// Works until the webhook is gone or `shutdown`.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let freed = self.shop.lanes.freed(&self.application);
        while let Some(webhook) = self.shop.view.find(&self.application) {
            let pause = tokio::select! {
                pause = self.work(&webhook) => pause,
                () = shutdown.cancelled() => return,
            };
            // While something is due, the end of a request is worth another look.
            let wake =
                async { if self.due.is_empty() { std::future::pending().await } else { freed.notified().await } };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake => {}
                () = shutdown.cancelled() => return,
            }
        }
        self.shop.lanes.report(&self.application, Due::default());
    }

    /// Does what is to be done now, and says how long nothing is.
    async fn work(&mut self, webhook: &Arc<Subscription>) -> Duration {
        // Who may be sent what is not known before. Another instance, which knows, may hold the lease meanwhile.
        if !self.shop.api.directory.is_loaded() {
            return self.shop.config.look_interval;
        }
        let (is_held, shop) = (self.hold().await, Arc::clone(&self.shop));
        if !is_held || is_at_rest(&shop.api.directory, webhook) {
            self.due.clear();
            shop.lanes.report(&self.application, Due::default());
            return if is_held { shop.config.look_interval } else { shop.config.lease / 3 };
        }
        self.keep_alive(webhook).await;
        let was_empty = self.due.is_empty();
        let is_more = was_empty && self.look().await;
        while !self.due.is_empty() {
            let Some(permit) = shop.lanes.try_enter(&self.application) else { break };
            if let Some(event) = self.due.pop_front() {
                shop.start_due(permit, event, Arc::clone(webhook));
            }
        }
        // A page that was full, or left over from before, is followed by another look soon.
        if self.due.is_empty() && (is_more || !was_empty) { LOOK_AGAIN_AFTER } else { shop.config.look_interval }
    }

    /// Whether this instance looks after the receiver, having asked again where half of the lease is over.
    async fn hold(&mut self) -> bool {
        let (lease, now) = (self.shop.config.lease, self.shop.api.clock.monotonic());
        if self.held_until.saturating_sub(now) > lease / 2 {
            return true;
        }
        let at = self.shop.api.clock.now();
        match self.shop.store.take_lease(&self.application, &self.shop.holder, at, at.plus(lease)).await {
            Ok(true) => self.held_until = now + lease,
            Ok(false) => self.held_until = Duration::ZERO,
            // It may hold on yet.
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a lease could not be taken"),
        }
        self.shop.api.clock.monotonic() < self.held_until
    }

    /// Looks what is due; whether there may be more.
    async fn look(&mut self) -> bool {
        let now = self.shop.api.clock.now();
        match self.shop.store.in_lane(&self.application, Lane::Waiting, now, PAGE).await {
            Ok(due) => {
                let first_at = due.first().map(|(_, at)| *at);
                self.shop.lanes.report(&self.application, Due { count: due.len(), first_at });
                self.due = due.into_iter().map(|(event, _)| event).collect();
                self.due.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX)
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "due deliveries could not be looked up");
                false
            }
        }
    }

    /// Sends a keep-alive in the background when one is due, wherever the last one came from.
    async fn keep_alive(&mut self, webhook: &Arc<Subscription>) {
        let now = self.shop.api.clock.monotonic();
        if webhook.presence == PresenceMode::None || now < self.next_keepalive_at {
            return;
        }
        // Without a permit nothing is claimed, and the next look tries again.
        let Ok(permit) = Arc::clone(&self.keepalives).try_acquire_owned() else { return };
        let (at, interval) = (self.shop.api.clock.now(), self.shop.config.keepalive_interval);
        let claimed =
            self.shop.store.claim_keepalive(&self.application, &self.shop.holder, at, at.plus(interval)).await;
        let is_claimed = matches!(claimed, Ok(true));
        self.next_keepalive_at = now + if is_claimed { interval } else { CLAIM_AGAIN_AFTER };
        if is_claimed {
            let (shop, webhook) = (Arc::clone(&self.shop), Arc::clone(webhook));
            self.shop.attempts.spawn(async move {
                // The next one is due then: who has not answered about all of its merchants by then is asked again.
                let _ = tokio::time::timeout(interval, presence::ask(&shop, &webhook)).await;
                drop(permit);
            });
        }
    }
}
