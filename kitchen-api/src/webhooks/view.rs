//! The webhooks as this process knows them, kept fresh from the table, and who is to be sent an event.
//!
//! Read for every event without a wait; written by [`keep_fresh`] alone. While DynamoDB cannot be reached everything known stays as it
//! is: nothing can be recorded then, so no event leaves the queue past a webhook that was not read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use event_feed::FeedEvent;
use order_model::{ApplicationId, MerchantId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::store::{WebhookStore, WebhookStoreError};
use super::subscription::Subscription;
use crate::directory::{Access, Directory};

/// After so many looks everything is read again although no change was announced: 15 min of the usual 500 ms.
const LOOKS_UNTIL_RELOAD: u32 = 1_800;

type Webhooks = HashMap<ApplicationId, Arc<Subscription>>;

/// The webhooks this process knows.
#[derive(Default)]
pub(super) struct View {
    webhooks: ArcSwap<Webhooks>,
    loaded: AtomicBool,
}

impl View {
    /// The webhook of an application.
    pub(super) fn find(&self, id: &ApplicationId) -> Option<Arc<Subscription>> {
        self.webhooks.load().get(id).cloned()
    }

    /// Every webhook.
    pub(super) fn all(&self) -> Arc<Webhooks> {
        self.webhooks.load_full()
    }

    /// Whether the table was read since the start.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// The webhooks of the applications that may see `event`, and have a word for it.
    pub(super) fn recipients(&self, directory: &Directory, event: &FeedEvent) -> Vec<Arc<Subscription>> {
        let webhooks = self.webhooks.load();
        let is_to_see = |webhook: &&Arc<Subscription>| {
            access_of(directory, &webhook.application).is_some_and(|access| {
                webhook.dialect.has(event.code, access.open_delivery_version())
                    && visible_from(&access, event.merchant).is_some_and(|from| from <= event.created_at)
            })
        };
        webhooks.values().filter(is_to_see).cloned().collect()
    }
}

/// What an application may see; `None` when it is unknown or revoked.
pub(super) fn access_of(directory: &Directory, id: &ApplicationId) -> Option<Arc<Access>> {
    let access = directory.find(id)?.access();
    access.takes_tokens_of(Timestamp::MAX).then_some(access)
}

/// Whether nothing is sent for now: it is paused, or its application has not the module of its dialect. Events go on to be recorded for it
/// and wait, so that none is lost where the module comes back. Whoever is revoked is not at rest: what is due to it is given up on.
pub(super) fn is_at_rest(directory: &Directory, webhook: &Subscription) -> bool {
    let lacks_module = |access: Arc<Access>| !access.modules().has(webhook.dialect.module());
    webhook.paused.is_some() || access_of(directory, &webhook.application).is_some_and(lacks_module)
}

/// Since when an application may see events of a merchant, if it may.
pub(super) fn visible_from(access: &Access, merchant: MerchantId) -> Option<Timestamp> {
    let authorised = access.scope.authorise(&[merchant]).ok()?;
    authorised.merchants().first().map(|granted| granted.visible_from)
}

/// Follows the table until `shutdown`. Failures are logged once per episode.
pub(super) async fn keep_fresh(view: Arc<View>, store: WebhookStore, interval: Duration, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut revision, mut looks, mut failing) = (None, 0, false);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        looks += 1;
        let known = revision.filter(|_| looks % LOOKS_UNTIL_RELOAD != 0);
        match refresh(&view, &store, known).await {
            Ok(read) => {
                revision = Some(read);
                if std::mem::take(&mut failing) {
                    tracing::info!("webhooks can be read again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "webhooks cannot be read; those known stay as they are");
                }
            }
        }
    }
}

/// Reads everything unless `known` is the newest revision, which is read first: what changes meanwhile is announced after it.
async fn refresh(view: &View, store: &WebhookStore, known: Option<u64>) -> Result<u64, WebhookStoreError> {
    let revision = store.revision().await?;
    if known != Some(revision) {
        let all = store.subscriptions().await?;
        let webhooks: Webhooks =
            all.into_iter().map(|webhook| (webhook.application.clone(), Arc::new(webhook))).collect();
        view.webhooks.store(Arc::new(webhooks));
        view.loaded.store(true, Ordering::Release);
    }
    Ok(revision)
}
