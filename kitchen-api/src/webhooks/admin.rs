//! Changes and shows webhooks: what an application may do with its own, and an operator with any.
//!
//! Called by the CLI and by [`super::endpoint`]; nothing has to be running. What is asked for takes effect within seconds, through the table.

use aws_sdk_dynamodb::Client;
use futures::{StreamExt, TryStreamExt};
use order_model::{ApplicationId, EventId, SharedClock};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::dial::DialRules;
use super::dialect::Dialect;
use super::shown;
use super::store::{Lane, WebhookStore, WebhookStoreError};
use super::subscription::{Subscription, Unacceptable, Wanted};
use crate::entropy::Entropy;
use crate::pos_menu::PosMenus;

/// Deliveries of one page.
pub const PAGE_MAX: u16 = 100;
/// Dead letters that one call sends again.
const REDELIVERED_MAX: i32 = 200;
/// Of those, at a time: all of them well within the 10 s of a request.
const REDELIVERED_AT_A_TIME: usize = 16;
/// Webhooks whose deliveries are counted at a time.
const DESCRIBED_AT_A_TIME: usize = 16;
/// How often a change is tried while others change the same webhook.
const ATTEMPTS: u32 = 5;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What was asked for is wrong.
    #[error("the webhook cannot be set")]
    Unacceptable(#[source] Unacceptable),
    /// The table.
    #[error("the table of webhooks cannot be used")]
    Store(#[source] WebhookStoreError),
}

impl AdminError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

/// What became of a dead letter that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// It is sent again, under the same event id.
    Yes,
    /// There is no such delivery.
    Unknown,
    /// It is no dead letter: it waits, or was delivered.
    NotDead,
}

/// Whether a webhook as it is shown fails, or is paused.
pub fn is_in_trouble(shown: &Value) -> bool {
    shown["status"] == "PAUSED" || shown.get("failingSince").is_some()
}

/// The administration of webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookAdmin {
    store: WebhookStore,
    /// Us, to receivers of Open Delivery, where that is known.
    app_id: Option<String>,
    rules: DialRules,
    clock: SharedClock,
    entropy: Entropy,
}

impl WebhookAdmin {
    /// Over the table `webhooks` under `prefix`; URLs are judged by `rules`.
    pub fn new(client: Client, prefix: &str, rules: DialRules, clock: SharedClock, entropy: Entropy) -> Self {
        Self { store: WebhookStore::new(client, prefix), app_id: None, rules, clock, entropy }
    }

    /// The same, which shows how we are called to receivers of Open Delivery.
    #[must_use]
    pub(crate) fn with_app_id(self, app_id: String) -> Self {
        Self { app_id: Some(app_id), ..self }
    }

    /// What is read of the POSes, which is kept beside the webhooks and reached by the same rules.
    pub(crate) fn pos_menus(&self) -> PosMenus {
        PosMenus { store: self.store.clone(), rules: self.rules, entropy: self.entropy.clone() }
    }

    /// Sets or changes the webhook of an application, and answers with it, and with its secret if one was made just now: it is never
    /// shown again.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub async fn set(&self, application: &ApplicationId, wanted: &Wanted) -> Result<Value, AdminError> {
        let fresh = self.entropy.bytes();
        for _ in 0..ATTEMPTS {
            let existing = self.load(application).await?;
            let set = wanted.clone().apply(application, existing.as_ref(), self.rules, &fresh, self.clock.now());
            let set = set.map_err(AdminError::Unacceptable)?;
            if self.store.put_subscription(&set.subscription).await.map_err(AdminError::Store)? {
                return self.describe(&set.subscription, set.made_secret.as_ref()).await;
            }
        }
        Err(AdminError::Store(WebhookStoreError::Contended))
    }

    /// The webhook of an application with how its receiver does; `None` when there is none.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn show(&self, application: &ApplicationId) -> Result<Option<Value>, AdminError> {
        match self.load(application).await? {
            Some(webhook) => self.describe(&webhook, None).await.map(Some),
            None => Ok(None),
        }
    }

    /// Every webhook with how its receiver does, by application; those that fail or are paused first.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn list(&self) -> Result<Vec<Value>, AdminError> {
        let webhooks = self.store.subscriptions().await.map_err(AdminError::Store)?;
        let described = futures::stream::iter(&webhooks).map(async |webhook| {
            let mut shown = self.describe(webhook, None).await?;
            shown["application"] = json!(webhook.application.as_str());
            Ok(shown)
        });
        let mut shown: Vec<Value> = described.buffered(DESCRIBED_AT_A_TIME).try_collect().await?;
        shown.sort_by_key(|webhook| (!is_in_trouble(webhook), webhook["application"].as_str().map(str::to_owned)));
        Ok(shown)
    }

    /// Removes the webhook; whether there was one. What waits stays for a week and goes on if one is set again.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn remove(&self, application: &ApplicationId) -> Result<bool, AdminError> {
        self.store.remove_subscription(application).await.map_err(AdminError::Store)
    }

    /// Goes on with a receiver that was paused; `None` when there is no webhook, else whether it was paused.
    ///
    /// # Errors
    /// When the table cannot be used.
    pub async fn resume(&self, application: &ApplicationId) -> Result<Option<bool>, AdminError> {
        for _ in 0..ATTEMPTS {
            let Some(webhook) = self.load(application).await? else { return Ok(None) };
            let Some(resumed) = webhook.resume(self.clock.now()) else { return Ok(Some(false)) };
            if self.store.put_subscription(&resumed).await.map_err(AdminError::Store)? {
                return Ok(Some(true));
            }
        }
        Err(AdminError::Store(WebhookStoreError::Contended))
    }

    /// The log: the latest `most` deliveries (1 to [`PAGE_MAX`]) with their attempts, by the time of their events, from below `before` on.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn deliveries(
        &self,
        application: &ApplicationId,
        before: Option<EventId>,
        most: u16,
    ) -> Result<Value, AdminError> {
        let most = most.clamp(1, PAGE_MAX).into();
        let page = self.store.deliveries(application, before, most).await.map_err(AdminError::Store)?;
        let mut answer = json!({ "deliveries": shown::deliveries(&page.deliveries) });
        if let Some(next) = page.next {
            answer["next"] = json!(next.to_string());
        }
        Ok(answer)
    }

    /// The dead letters that died first, at most `most` (1 to [`PAGE_MAX`]).
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn dead_letters(&self, application: &ApplicationId, most: u16) -> Result<Value, AdminError> {
        let most = most.clamp(1, PAGE_MAX).into();
        let dead = self.store.dead_letters(application, most).await.map_err(AdminError::Store)?;
        Ok(json!({ "deliveries": shown::deliveries(&dead) }))
    }

    /// Sends one dead letter again, from the start.
    ///
    /// # Errors
    /// When the table cannot be used.
    pub async fn redeliver(&self, application: &ApplicationId, event: EventId) -> Result<Redelivered, AdminError> {
        for _ in 0..ATTEMPTS {
            let found = self.store.delivery(application, event).await.map_err(AdminError::Store)?;
            let Some(mut delivery) = found else { return Ok(Redelivered::Unknown) };
            let (before, now) = (delivery.version, self.clock.now());
            if !delivery.redeliver(now) {
                return Ok(Redelivered::NotDead);
            }
            if self.store.replace(&delivery, before, now).await.map_err(AdminError::Store)? {
                return Ok(Redelivered::Yes);
            }
        }
        Err(AdminError::Store(WebhookStoreError::Contended))
    }

    /// Sends dead letters again, those that died first, up to 200 at a time; answers how many, and whether there may be more.
    ///
    /// # Errors
    /// When the table cannot be used; some may have been sent.
    pub async fn redeliver_all(&self, application: &ApplicationId) -> Result<(usize, bool), AdminError> {
        let until = self.clock.now();
        let dead = self.store.in_lane(application, Lane::Dead, until, REDELIVERED_MAX).await;
        let dead = dead.map_err(AdminError::Store)?;
        let is_more = dead.len() >= usize::try_from(REDELIVERED_MAX).unwrap_or(usize::MAX);
        let redelivering = futures::stream::iter(dead).map(|(event, _)| self.redeliver(application, event));
        let ends: Vec<Redelivered> = redelivering.buffer_unordered(REDELIVERED_AT_A_TIME).try_collect().await?;
        let redelivered = ends.iter().filter(|end| **end == Redelivered::Yes).count();
        Ok((redelivered, is_more))
    }

    async fn load(&self, application: &ApplicationId) -> Result<Option<Subscription>, AdminError> {
        self.store.subscription(application).await.map_err(AdminError::Store)
    }

    async fn describe(&self, webhook: &Subscription, made: Option<&SecretString>) -> Result<Value, AdminError> {
        let id = &webhook.application;
        let (health, waiting, dead) = tokio::try_join!(
            self.store.health(id),
            self.store.count_lane(id, Lane::Waiting),
            self.store.count_lane(id, Lane::Dead)
        )
        .map_err(AdminError::Store)?;
        let mut shown = shown::webhook(webhook, &health, waiting, dead, made);
        if let Some(app_id) = self.app_id.as_ref().filter(|_| webhook.dialect == Dialect::OpenDelivery) {
            shown["appId"] = json!(app_id);
        }
        Ok(shown)
    }
}
