//! The consumer of `webhooks-feed`: an event leaves the queue once a delivery to everybody who is to have it is recorded.
//!
//! What can be sent at once is, by this process, which records it as taken; the rest waits in DynamoDB for whoever looks after its
//! receiver. A message that is no event goes to the dead-letter queue with its reason. While DynamoDB fails, messages are given back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_feed::{FeedEvent, notification};
use futures::TryStreamExt;
use message_bus::{ATTRIBUTES_MAX, BATCH_MAX, OutgoingMessage, ReceivedMessage, SharedQueue};
use order_model::EventIdKey;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::dispatch::Workshop;
use super::store::{Recorded, WebhookStoreError};
use super::subscription::Subscription;
use super::view::is_at_rest;

/// How long one receive waits for a message, the most SQS has.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long a message is ours: recording takes a second or two, and what is given back comes sooner.
const VISIBILITY: Duration = Duration::from_secs(60);
/// The first pause after a failure, doubled up to [`PAUSE_MAX`] while failures go on.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause: how late receiving resumes after an outage.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Deliveries of one event that are recorded at a time.
const RECORDED_AT_A_TIME: usize = 16;
/// The attribute that says why a message is dead.
const REASON: &str = "reason";

/// One receiver's means.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) shop: Arc<Workshop>,
    pub(super) feed: SharedQueue,
    pub(super) dead_letters: SharedQueue,
    pub(super) event_id_key: EventIdKey,
}

/// What became of a message.
enum Taken {
    Done,
    Later(Option<WebhookStoreError>),
}

impl Intake {
    /// Receives and records until `shutdown`; finishes the batch in work.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut failures: u32 = 0;
        loop {
            let pause = match failures {
                0 => Duration::ZERO,
                more => PAUSE_MIN.saturating_mul(2_u32.saturating_pow(more - 1)).min(PAUSE_MAX),
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            // Whom an event is for is not known before.
            if !self.shop.view.is_loaded() || !self.shop.api.directory.is_loaded() {
                failures = 1;
                continue;
            }
            let received = tokio::select! {
                () = shutdown.cancelled() => return,
                received = self.feed.receive(BATCH_MAX, LONG_POLL, VISIBILITY) => received,
            };
            let went_well = match received {
                Ok(messages) => self.take_batch(messages, failures == 0).await,
                Err(error) => {
                    if failures == 0 {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(queue = self.feed.name(), error, "receiving fails");
                    }
                    false
                }
            };
            failures = if went_well { 0 } else { failures.saturating_add(1) };
        }
    }

    /// Whether nothing failed that may succeed later. Only the first failure of an episode is logged.
    async fn take_batch(&self, messages: Vec<ReceivedMessage>, is_first: bool) -> bool {
        let taken = futures::future::join_all(messages.iter().map(|message| self.take(message))).await;
        let (mut done, mut later, mut failure) = (Vec::new(), Vec::new(), None);
        for (message, taken) in messages.into_iter().zip(taken) {
            match taken {
                Taken::Done => done.push(message.receipt),
                Taken::Later(error) => {
                    later.push((message.receipt, PAUSE_MAX));
                    failure = failure.or(error);
                }
            }
        }
        if let Some(error) = failure.filter(|_| is_first) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "deliveries cannot be recorded, messages are given back");
        }
        let nothing_failed = later.is_empty();
        // What fails here comes back by itself once its visibility ends, and is known then.
        if !done.is_empty() {
            self.feed.delete(done).await;
        }
        if !later.is_empty() {
            self.feed.give_back(later).await;
        }
        nothing_failed
    }

    async fn take(&self, message: &ReceivedMessage) -> Taken {
        let (taken, label) = match notification::decode(&message.body, &message.attributes) {
            Err(error) => (self.bury(message, error.reason()).await, "dead_lettered"),
            Ok(event) if !event.id.is_genuine(&self.event_id_key) => {
                (self.bury(message, "FOREIGN_ID").await, "dead_lettered")
            }
            Ok(event) if event.expires_at <= self.shop.api.clock.now() => (Taken::Done, "expired"),
            Ok(event) => match self.record(&event).await {
                Ok(()) => (Taken::Done, "recorded"),
                Err(error) => (Taken::Later(Some(error)), "failed"),
            },
        };
        metrics::counter!("comanda_webhooks_feed_messages_total", "outcome" => label).increment(1);
        taken
    }

    /// Records a delivery to everybody who is to have `event`.
    async fn record(&self, event: &FeedEvent) -> Result<(), WebhookStoreError> {
        let recipients = self.shop.view.recipients(&self.shop.api.directory, event);
        futures::stream::iter(recipients.into_iter().map(Ok))
            .try_for_each_concurrent(RECORDED_AT_A_TIME, |webhook| self.record_for(event, webhook))
            .await
    }

    async fn record_for(&self, event: &FeedEvent, webhook: Arc<Subscription>) -> Result<(), WebhookStoreError> {
        let shop = &self.shop;
        let is_at_rest = is_at_rest(&shop.api.directory, &webhook);
        let permit = shop.lanes.try_enter(&webhook.application).filter(|_| !is_at_rest);
        let now = shop.api.clock.now();
        let delivery = Delivery::recorded(event, &webhook.application, now, permit.is_some());
        let recorded = shop.store.record(&delivery, now).await?;
        if let (Some(permit), Recorded::New) = (permit, recorded) {
            shop.start(permit, delivery, webhook);
        }
        Ok(())
    }

    /// Sends a message that can never be recorded to the dead-letter queue, body unchanged.
    async fn bury(&self, message: &ReceivedMessage, reason: &'static str) -> Taken {
        let mut attributes: BTreeMap<String, String> = message
            .attributes
            .iter()
            .filter(|(name, value)| *name != REASON && !value.is_empty())
            .take(ATTRIBUTES_MAX - 1)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        attributes.insert(REASON.to_owned(), reason.to_owned());
        let letter = OutgoingMessage { body: message.body.clone(), attributes };
        let sent = self.dead_letters.send(vec![letter]).await;
        let is_sent = !sent.is_empty() && sent.iter().all(Result::is_ok);
        tracing::warn!(reason, is_sent, "a message is no event");
        if is_sent { Taken::Done } else { Taken::Later(None) }
    }
}
