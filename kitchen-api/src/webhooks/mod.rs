//! Webhooks: events pushed to applications, signed, at least once (issue "Webhooks"; PARTNER_API 2.7; RELIABILITY, API7).
//!
//! ```text
//! topic order-events ─► queue webhooks-feed ─► intake ─► table webhooks: one delivery for each application that is to have the event
//!                                                │ taken at once where there is room        ▲ │
//!                                                ▼                                          │ ▼ due: retries, leftovers
//!                                             dispatch ◄──────────────────────────── caretaker (one at work for each receiver)
//!                                                │ sender ─► dialer ─► receiver             │ keep-alives ─► presence ─► beats
//! ```
//!
//! What decides is pure: [`dial`] (where requests may go), [`signing`], [`schedule`], [`delivery`], [`dialect`] and [`subscription`].
//! [`Webhooks`] is run by the service, [`WebhookAdmin`] changes and shows webhooks for the CLI and for [`endpoint`].

mod admin;
mod caretaker;
pub mod config;
mod delivery;
pub mod dial;
mod dialect;
mod dialer;
mod dispatch;
pub(crate) mod endpoint;
mod intake;
mod lanes;
mod message;
mod new_event;
mod presence;
mod schedule;
mod sender;
mod shown;
mod signing;
mod store;
mod subscription;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use message_bus::{PacedQueue, SharedQueue};
use order_model::{ApplicationId, EventIdKey};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::caretaker::Caretaker;
use self::dispatch::Workshop;
use self::intake::Intake;
use self::lanes::Lanes;
use self::view::is_at_rest;
use crate::api::Api;
use crate::merchants::uuid_text;
use crate::pos_menu::{MenuReader, PosMenus};

pub use admin::{AdminError, Redelivered, WebhookAdmin, is_in_trouble};
pub use config::{WebhookConfig, WebhookDependencies};
pub use dial::DialRules;
pub(crate) use dial::Refusal;
pub use dialect::Dialect;
pub use dialer::{Resolver, SystemResolver};
pub(crate) use new_event::app_id;
pub(crate) use schedule::Outcome;
pub(crate) use sender::Sender;
pub(crate) use store::WebhookStore;
pub use store::{WebhookStoreError, create_tables};
pub use subscription::{PresenceMode, Unacceptable, Wanted};

/// Receivers of the queue. One takes ten messages at a time.
const RECEIVERS: usize = 2;
/// How long receiving rests after a batch that was not full, so that the next one is fuller.
const FEED_PAUSE: Duration = Duration::from_millis(10);
/// Keep-alives under way at a time, of all receivers.
const KEEPALIVES_MAX: usize = 256;
/// How often the depth of the queue is asked for.
const DEPTH_EVERY: Duration = Duration::from_secs(15);

/// Everything that is sent, built and not yet running.
pub(crate) struct Webhooks {
    shop: Arc<Workshop>,
    feed: SharedQueue,
    dead_letters: SharedQueue,
    event_id_key: EventIdKey,
}

impl Webhooks {
    /// Puts it together; does nothing yet.
    pub(crate) fn new(
        config: WebhookConfig,
        given: WebhookDependencies,
        api: &Arc<Api>,
        event_id_key: EventIdKey,
    ) -> Self {
        let WebhookDependencies { dynamodb, table_prefix, feed, dead_letters, resolver, tls } = given;
        let shop = Workshop {
            sender: Sender::new(config.dial, resolver, &tls, api.clock.clone()),
            lanes: Lanes::new(&config),
            store: store::WebhookStore::new(dynamodb, &table_prefix),
            view: Arc::default(),
            app_id: app_id(&event_id_key),
            holder: uuid_text(api.entropy.bytes()),
            attempts: TaskTracker::new(),
            api: Arc::clone(api),
            config,
        };
        Self { shop: Arc::new(shop), feed, dead_letters, event_id_key }
    }

    /// Works until `shutdown`, and then until what is under way has ended.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        let (shop, interval) = (&self.shop, self.shop.config.look_interval);
        tasks.spawn(view::keep_fresh(Arc::clone(&shop.view), shop.store.clone(), interval, shutdown.clone()));
        let paced: SharedQueue = Arc::new(PacedQueue::new(Arc::clone(&self.feed), FEED_PAUSE));
        for _ in 0..RECEIVERS {
            let (feed, dead_letters) = (Arc::clone(&paced), Arc::clone(&self.dead_letters));
            let intake = Intake { shop: Arc::clone(shop), feed, dead_letters, event_id_key: self.event_id_key };
            tasks.spawn(intake.run(shutdown.clone()));
        }
        tasks.spawn(self.menu_reader().run(shutdown.clone()));
        tasks.spawn(watch_depth(Arc::clone(&self.feed), shutdown.clone()));
        self.keep_caretakers(&shutdown).await;
        while tasks.join_next().await.is_some() {}
        self.shop.attempts.close();
        self.shop.attempts.wait().await;
    }

    /// What reads the documents of POSes, over the same client.
    fn menu_reader(&self) -> MenuReader {
        let shop = &self.shop;
        let (api, rules, entropy) = (Arc::clone(&shop.api), shop.config.dial, shop.api.entropy.clone());
        let menus = PosMenus { store: shop.store.clone(), rules, entropy };
        MenuReader { api, menus, sender: shop.sender.clone(), look_interval: shop.config.look_interval }
    }

    /// Keeps a caretaker for each webhook there is, and says how it goes.
    async fn keep_caretakers(&self, shutdown: &CancellationToken) {
        let shop = &self.shop;
        let keepalives = Arc::new(Semaphore::new(KEEPALIVES_MAX));
        let mut tasks = JoinSet::new();
        let mut running: HashMap<ApplicationId, tokio::task::AbortHandle> = HashMap::new();
        let mut ticks = tokio::time::interval(shop.config.look_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            while tasks.try_join_next().is_some() {}
            running.retain(|_, task| !task.is_finished());
            let webhooks = shop.view.all();
            for application in webhooks.keys().filter(|id| !running.contains_key(*id)).cloned().collect::<Vec<_>>() {
                let caretaker = Caretaker::new(Arc::clone(shop), application.clone(), Arc::clone(&keepalives));
                running.insert(application, tasks.spawn(caretaker.run(shutdown.clone())));
            }
            shop.lanes.retain(|id| webhooks.contains_key(id));
            let paused = webhooks.values().filter(|webhook| webhook.paused.is_some()).count();
            let at_rest = webhooks.values().filter(|webhook| is_at_rest(&shop.api.directory, webhook)).count();
            self.measure(paused, at_rest, webhooks.len());
        }
        while tasks.join_next().await.is_some() {}
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn measure(&self, paused: usize, at_rest: usize, all: usize) {
        let (due, in_flight) = self.shop.lanes.totals();
        let now = self.shop.api.clock.now();
        let oldest = due.first_at.map_or(Duration::ZERO, |first_at| now.since(first_at));
        for (name, value) in [
            ("comanda_webhooks_set", all as f64),
            ("comanda_webhooks_paused", paused as f64),
            ("comanda_webhooks_without_module", at_rest.saturating_sub(paused) as f64),
            ("comanda_webhooks_due", due.count as f64),
            ("comanda_webhooks_oldest_due_seconds", oldest.as_secs_f64()),
            ("comanda_webhooks_requests_in_flight", in_flight as f64),
        ] {
            metrics::gauge!(name).set(value);
        }
    }
}

async fn watch_depth(feed: SharedQueue, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(DEPTH_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        if let Ok(depth) = feed.depth().await {
            #[expect(clippy::cast_precision_loss, reason = "a depth below 2^52")]
            for (state, messages) in [("visible", depth.visible as f64), ("in_flight", depth.in_flight as f64)] {
                metrics::gauge!("comanda_webhooks_feed_depth", "state" => state).set(messages);
            }
        }
    }
}
