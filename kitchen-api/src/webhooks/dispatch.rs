//! Works on one delivery: takes it, sends it, acknowledges it where that is asked for, and writes down what became of it.
//!
//! Called by [`super::intake`] with what it has just recorded, and by [`super::caretaker`] with what is due. Whatever fails or is cut off in
//! between, the delivery is due again when its lease is over.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use order_model::EventId;
use tokio_util::task::TaskTracker;

use super::config::WebhookConfig;
use super::delivery::{DeathReason, Delivery, Finished, Policy, Task};
use super::dialect::Dialect;
use super::lanes::{Lanes, Permit};
use super::message::{Message, of_event, of_new_event};
use super::new_event;
use super::schedule::{Outcome, Verdict, is_to_be_paused};
use super::sender::{Sender, Sent};
use super::store::{WebhookStore, WebhookStoreError};
use super::subscription::{PauseReason, Subscription};
use super::view::{View, access_of, is_at_rest, visible_from};
use crate::api::Api;

/// How long an acknowledgment may take; after it, it is owed.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often writing down the end of an attempt is tried: what is not written is sent again.
const WRITE_ATTEMPTS: u32 = 3;
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// How often a pause is tried while others change the same webhook.
const PAUSE_ATTEMPTS: u32 = 3;

/// What all workers of a process share.
pub(super) struct Workshop {
    pub(super) api: Arc<Api>,
    pub(super) config: WebhookConfig,
    pub(super) store: WebhookStore,
    pub(super) view: Arc<View>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) sender: Sender,
    /// Us, to receivers of Open Delivery.
    pub(super) app_id: String,
    /// This instance, to the others.
    pub(super) holder: String,
    /// Attempts under way.
    pub(super) attempts: TaskTracker,
}

impl Workshop {
    /// Sends a delivery that was recorded as taken, in the background.
    pub(super) fn start(self: &Arc<Self>, permit: Permit, delivery: Delivery, webhook: Arc<Subscription>) {
        let shop = Arc::clone(self);
        self.attempts.spawn(async move {
            shop.send(delivery, &webhook).await;
            drop(permit);
        });
    }

    /// Takes a delivery that is due and does what is to be done, in the background.
    pub(super) fn start_due(self: &Arc<Self>, permit: Permit, event: EventId, webhook: Arc<Subscription>) {
        let shop = Arc::clone(self);
        self.attempts.spawn(async move {
            if let Err(error) = shop.take(event, &webhook).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a delivery could not be taken");
            }
            drop(permit);
        });
    }

    async fn take(&self, event: EventId, webhook: &Subscription) -> Result<(), WebhookStoreError> {
        // Since it was found due the module may have gone: it stays due.
        if is_at_rest(&self.api.directory, webhook) {
            return Ok(());
        }
        let Some(mut delivery) = self.store.delivery(&webhook.application, event).await? else { return Ok(()) };
        // Whoever recorded it may know more of the application than this process does yet. What is buried stays buried, so
        // nothing is before the table itself, looked at after the delivery was read, says the same; until then it waits.
        let is_revoked = self.obstacle(&delivery, webhook) == Some(DeathReason::Revoked);
        if is_revoked && !self.api.directory.look_again().await {
            return Ok(());
        }
        let (before, now) = (delivery.version, self.api.clock.now());
        let task = delivery.begin(now, self.obstacle(&delivery, webhook));
        if task == Task::Nothing || !self.store.replace(&delivery, before, now).await? {
            return Ok(());
        }
        match task {
            Task::Send => self.send(delivery, webhook).await,
            Task::Acknowledge => {
                let (before, is_acknowledged) = (delivery.version, self.acknowledge(&delivery).await);
                delivery.acknowledged(is_acknowledged, self.api.clock.now());
                self.write(&delivery, before).await;
            }
            Task::Bury => count("buried").increment(1),
            Task::Nothing => {}
        }
        Ok(())
    }

    /// Why a delivery must not be sent any more.
    fn obstacle(&self, delivery: &Delivery, webhook: &Subscription) -> Option<DeathReason> {
        let access = access_of(&self.api.directory, &webhook.application);
        let Some(access) = access.filter(|access| visible_from(access, delivery.merchant).is_some()) else {
            return Some(DeathReason::Revoked);
        };
        let is_known = webhook.dialect.has(delivery.code, access.open_delivery_version());
        (!is_known).then_some(DeathReason::NotInDialect)
    }

    /// The request; `None` while what belongs in it cannot be asked for.
    async fn prepare(&self, delivery: &Delivery, webhook: &Subscription) -> Option<Message> {
        match webhook.dialect {
            Dialect::IFood | Dialect::Standard => Some(of_event(delivery, webhook, self.api.clock.now())),
            Dialect::OpenDelivery => {
                let event = new_event::of_delivery(&self.api, &self.app_id, delivery).await?;
                Some(of_new_event(event, delivery, webhook, self.api.clock.now()))
            }
        }
    }

    async fn send(&self, mut delivery: Delivery, webhook: &Subscription) {
        let Some(message) = self.prepare(&delivery, webhook).await else {
            let before = delivery.version;
            delivery.postpone(self.api.clock.now());
            return self.write(&delivery, before).await;
        };
        let at = self.api.clock.now();
        let sent = self.sender.send(&webhook.dialect.target(&webhook.url), message).await;
        measure(webhook, &sent);
        let is_delivered = sent.outcome.verdict() == Verdict::Delivered;
        let is_acknowledged = !webhook.acknowledges || is_delivered && self.acknowledge(&delivery).await;
        let finished = Finished { at, latency: sent.latency, outcome: sent.outcome, is_acknowledged };
        let policy = Policy { dialect: webhook.dialect, resumed_at: webhook.resumed_at };
        let before = delivery.version;
        let random = u64::from_be_bytes(self.api.entropy.bytes());
        delivery.finish(&finished, &policy, self.api.clock.now(), random);
        self.write(&delivery, before).await;
        if let Err(error) = self.note(webhook, sent.outcome).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a receiver's health could not be noted");
        }
    }

    /// Acknowledges the event as a polling acknowledgment would; whether that is true for good.
    async fn acknowledge(&self, delivery: &Delivery) -> bool {
        let acknowledging = self.api.feed.acknowledge(&delivery.application, vec![delivery.event]);
        matches!(tokio::time::timeout(ACKNOWLEDGE_TIMEOUT, acknowledging).await, Ok(Ok(())))
    }

    /// Writes down what became of a delivery. If that fails, it is sent once more: at least once is the contract.
    async fn write(&self, delivery: &Delivery, before: u64) {
        for attempt in 1..=WRITE_ATTEMPTS {
            match self.store.replace(delivery, before, self.api.clock.now()).await {
                Ok(true) => return,
                // The lease ran out and another worker has it, or an earlier write has arrived after all.
                Ok(false) => return count("overtaken").increment(1),
                Err(_) if attempt < WRITE_ATTEMPTS => tokio::time::sleep(WRITE_PAUSE * attempt).await,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the end of a delivery could not be written; it will be sent again");
                    count("unwritten").increment(1);
                }
            }
        }
    }

    /// Notes how the receiver does, and pauses it where it is gone or has been failing for long.
    async fn note(&self, webhook: &Subscription, outcome: Outcome) -> Result<(), WebhookStoreError> {
        let (application, now) = (&webhook.application, self.api.clock.now());
        if outcome.verdict() == Verdict::Delivered {
            if self.lanes.succeeded(application, self.api.clock.monotonic()) {
                self.store.note_success(application, now).await?;
            }
            return Ok(());
        }
        self.lanes.failed(application);
        let failing_since = self.store.note_failure(application, outcome.code(), now).await?;
        if outcome.verdict() == Verdict::DeadAndGone {
            self.pause(webhook, PauseReason::Gone).await
        } else if is_to_be_paused(failing_since, webhook.resumed_at, now, self.config.pause_after) {
            self.pause(webhook, PauseReason::Failing).await
        } else {
            Ok(())
        }
    }

    async fn pause(&self, webhook: &Subscription, reason: PauseReason) -> Result<(), WebhookStoreError> {
        for _ in 0..PAUSE_ATTEMPTS {
            let stored = self.store.subscription(&webhook.application).await?;
            // It may have been sent elsewhere or resumed since the attempt began: then this failure says nothing.
            let is_same = |stored: &Subscription| stored.url == webhook.url && stored.resumed_at == webhook.resumed_at;
            let paused = stored.filter(is_same).and_then(|stored| stored.pause(reason, self.api.clock.now()));
            let Some(paused) = paused else { return Ok(()) };
            if self.store.put_subscription(&paused).await? {
                let (application, reason) = (&webhook.application, reason.name());
                tracing::warn!(%application, reason, "a webhook's receiver is paused; its events wait");
                metrics::counter!("comanda_webhooks_pauses_total", "reason" => reason).increment(1);
                return Ok(());
            }
        }
        Err(WebhookStoreError::Contended)
    }
}

fn count(end: &'static str) -> Counter {
    metrics::counter!("comanda_webhooks_unusual_ends_total", "end" => end)
}

fn measure(webhook: &Subscription, sent: &Sent) {
    let dialect = webhook.dialect.name();
    let attempts =
        metrics::counter!("comanda_webhooks_attempts_total", "dialect" => dialect, "outcome" => sent.outcome.code());
    attempts.increment(1);
    metrics::histogram!("comanda_webhooks_attempt_seconds", "dialect" => dialect).record(sent.latency.as_secs_f64());
}
