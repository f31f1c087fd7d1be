//! Reads the documents that are due, and changes what is kept of them.
//!
//! [`MenuReader`] is run by the service on every instance; which one reads a document is decided by a conditional write, and whoever dies
//! in between is replaced when the lease is over. [`PosMenus`] is what the endpoints use. No request waits for a POS.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use order_model::{ApplicationId, MerchantId, Timestamp};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::document::{DOCUMENT_MAX_BYTES, Wrong, check};
use super::state::{PosEndpoints, PosMenu};
use super::updates::{Entity, apply};
use crate::api::Api;
use crate::entropy::Entropy;
use crate::open_delivery::merchant_id_of_pos;
use crate::webhooks::{DialRules, Outcome, Refusal, Sender, WebhookStore, WebhookStoreError};

/// Documents read at a time: with [`DOCUMENT_MAX_BYTES`], what they take in memory.
const AT_A_TIME: usize = 16;
/// What is added to a POS's base URL.
const MERCHANT_PATH: &str = "/v1/merchant";
/// How often a change is tried while others change the same.
const ATTEMPTS: u32 = 5;

/// What is kept, and the way to it.
#[derive(Clone)]
pub(crate) struct PosMenus {
    pub(crate) store: WebhookStore,
    pub(crate) rules: DialRules,
    pub(crate) entropy: Entropy,
}

/// Whether a merchant was onboarded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onboarded {
    New,
    Again,
}

/// What became of an update.
#[derive(Debug)]
pub(crate) enum Updated {
    Done,
    /// Nothing is stored yet that could be changed: all of it will be read.
    Asked,
    /// It does not fit.
    Wrong(Wrong),
}

impl PosMenus {
    /// Whether `base_url` may be asked.
    pub(crate) fn check_url(&self, base_url: &str) -> Result<(), Refusal> {
        self.rules.check_url(&url_of(base_url)).map(|_| ())
    }

    /// Remembers where a merchant's document is, and asks for it.
    pub(crate) async fn onboard(
        &self,
        merchant: MerchantId,
        application: &ApplicationId,
        endpoints: &PosEndpoints,
        now: Timestamp,
    ) -> Result<Onboarded, WebhookStoreError> {
        for _ in 0..ATTEMPTS {
            let existing = self.store.pos_menu(merchant).await?;
            let onboarded = if existing.is_some() { Onboarded::Again } else { Onboarded::New };
            let menu = PosMenu::onboarded(existing, merchant, application.clone(), endpoints.clone(), now);
            if self.store.put_pos_menu(&menu).await? {
                return Ok(onboarded);
            }
        }
        Err(WebhookStoreError::Contended)
    }

    /// Asks for a document; `false` for a merchant that was never onboarded.
    pub(crate) async fn ask(&self, merchant: MerchantId, now: Timestamp) -> Result<bool, WebhookStoreError> {
        for _ in 0..ATTEMPTS {
            let Some(mut menu) = self.store.pos_menu(merchant).await? else { return Ok(false) };
            menu.ask(now);
            if self.store.put_pos_menu(&menu).await? {
                return Ok(true);
            }
        }
        Err(WebhookStoreError::Contended)
    }

    /// The document as it is stored.
    pub(crate) async fn document(&self, merchant: MerchantId) -> Result<Option<Vec<u8>>, WebhookStoreError> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.store.pos_menu(merchant).await?.and_then(|menu| menu.document) else {
                return Ok(None);
            };
            if let Some(document) = self.store.document(merchant, &stored).await? {
                return Ok(Some(document));
            }
        }
        Err(WebhookStoreError::Contended)
    }

    /// Puts objects into the document; `None` for a merchant that was never onboarded.
    pub(crate) async fn update(
        &self,
        merchant: MerchantId,
        entity: Entity,
        objects: &[&RawValue],
        names: &[&str],
        now: Timestamp,
    ) -> Result<Option<Updated>, WebhookStoreError> {
        for _ in 0..ATTEMPTS {
            let Some(mut menu) = self.store.pos_menu(merchant).await? else { return Ok(None) };
            let Some(stored) = menu.document.clone() else {
                return Ok(self.ask(merchant, now).await?.then_some(Updated::Asked));
            };
            let Some(document) = self.store.document(merchant, &stored).await? else { continue };
            let text = String::from_utf8(document).map_err(|_| WebhookStoreError::Malformed { field: "part" })?;
            let (changed, _) = match apply(&text, entity, objects, names) {
                Ok(changed) => changed,
                Err(wrong) => return Ok(Some(Updated::Wrong(wrong))),
            };
            if changed.len() > DOCUMENT_MAX_BYTES {
                let expected = "expected a document of at most 2 MiB with what it has";
                return Ok(Some(Updated::Wrong(Wrong::new("updatedObjects", expected))));
            }
            menu.updated(self.store.store_document(merchant, &self.generation(), changed.as_bytes(), now).await?);
            if self.commit(&menu).await? {
                return Ok(Some(Updated::Done));
            }
        }
        Err(WebhookStoreError::Contended)
    }

    fn generation(&self) -> String {
        hex::encode(self.entropy.bytes::<8>())
    }

    /// Writes a head with a new document, and removes what it replaces.
    async fn commit(&self, menu: &PosMenu) -> Result<bool, WebhookStoreError> {
        let is_written = self.store.put_pos_menu(menu).await?;
        if let Some(document) = menu.document.as_ref().filter(|_| is_written) {
            // What stays is removed with the next one.
            let _ = self.store.drop_other_documents(menu.merchant, &document.generation).await;
        }
        Ok(is_written)
    }
}

fn url_of(base_url: &str) -> String {
    format!("{}{MERCHANT_PATH}", base_url.trim_end_matches('/'))
}

/// Reads what is due.
#[derive(Clone)]
pub(crate) struct MenuReader {
    pub(crate) api: Arc<Api>,
    pub(crate) menus: PosMenus,
    pub(crate) sender: Sender,
    pub(crate) look_interval: Duration,
}

impl MenuReader {
    /// Works until `shutdown`. A read that is cut off is due again when its lease is over.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut reading: JoinSet<MerchantId> = JoinSet::new();
        let mut merchants: HashSet<MerchantId> = HashSet::new();
        let mut ticks = tokio::time::interval(self.look_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            while let Some(ended) = reading.try_join_next() {
                match ended {
                    Ok(merchant) => {
                        merchants.remove(&merchant);
                    }
                    // One that panicked has no name any more.
                    Err(_) => merchants.clear(),
                }
            }
            let room = AT_A_TIME.saturating_sub(reading.len());
            if room == 0 || !self.api.directory.is_loaded() {
                continue;
            }
            let Ok(due) =
                self.menus.store.due_pos_menus(self.api.clock.now(), i32::try_from(AT_A_TIME).unwrap_or(1)).await
            else {
                continue;
            };
            for merchant in
                due.into_iter().filter(|merchant| !merchants.contains(merchant)).take(room).collect::<Vec<_>>()
            {
                merchants.insert(merchant);
                let reader = self.clone();
                reading.spawn(async move {
                    if let Err(error) = reader.read(merchant).await {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a document could not be read");
                    }
                    merchant
                });
            }
        }
    }

    async fn read(&self, merchant: MerchantId) -> Result<(), WebhookStoreError> {
        let Some(mut menu) = self.menus.store.pos_menu(merchant).await? else { return Ok(()) };
        if !menu.take(self.api.clock.now()) || !self.menus.store.put_pos_menu(&menu).await? {
            return Ok(());
        }
        // Another process may have taken the onboarding, knowing more of the application than this one does yet: given up is what
        // the table itself, looked at now, says is over.
        let mut is_granted = self.is_granted(&menu);
        if !is_granted {
            if !self.api.directory.look_again().await {
                menu.postpone(self.api.clock.now());
                return self.menus.store.put_pos_menu(&menu).await.map(|_| ());
            }
            is_granted = self.is_granted(&menu);
        }
        if !is_granted {
            menu.revoked("The application no longer has the merchant.".to_owned(), self.api.clock.now());
            return self.menus.store.put_pos_menu(&menu).await.map(|_| ());
        }
        let Some(name) = merchant_id_of_pos(&self.api, merchant).await else {
            menu.postpone(self.api.clock.now());
            return self.menus.store.put_pos_menu(&menu).await.map(|_| ());
        };
        let read = self.fetch(&menu.endpoints, &[&name, &merchant.to_string()]).await;
        let now = self.api.clock.now();
        let outcome = if read.is_ok() { "read" } else { "failed" };
        metrics::counter!("comanda_pos_menus_read_total", "outcome" => outcome).increment(1);
        match read {
            Ok((document, ttl_s)) => {
                let generation = self.menus.generation();
                let stored = self.menus.store.store_document(merchant, &generation, &document, now).await?;
                menu.succeeded(stored, ttl_s, now);
            }
            Err(why) => menu.failed(why, now),
        }
        // Somebody who asked again meanwhile is served by another read.
        self.menus.commit(&menu).await.map(|_| ())
    }

    /// Whether the application still has the merchant, as far as this process knows.
    fn is_granted(&self, menu: &PosMenu) -> bool {
        let access = self.api.directory.find(&menu.application).map(|application| application.access());
        access.is_some_and(|access| !access.is_revoked() && access.scope.contains(menu.merchant))
    }

    /// The document and for how long it may be used, or why there is none; told to the POS, and names no value of it.
    async fn fetch(&self, endpoints: &PosEndpoints, names: &[&str]) -> Result<(Bytes, u64), String> {
        let url = url_of(&endpoints.base_url);
        let (outcome, body) = self.sender.fetch(&url, endpoints.api_key.as_ref(), DOCUMENT_MAX_BYTES).await;
        match outcome {
            Outcome::Answered(200) => {}
            Outcome::Answered(status) => return Err(format!("GET {MERCHANT_PATH} was answered with {status}.")),
            Outcome::TimedOut => return Err(format!("GET {MERCHANT_PATH} was not answered in time.")),
            Outcome::Unreachable => return Err(format!("GET {MERCHANT_PATH}: nobody can be reached there.")),
            Outcome::Refused => return Err(format!("GET {MERCHANT_PATH}: the address is not on the public internet.")),
        }
        let Some(body) = body else {
            return Err("The document did not arrive whole, or has more than 2 MiB.".to_owned());
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let checking = tokio::task::spawn_blocking(move || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            check(&body, &names).map(|checked| (body, checked.ttl_s)).map_err(|wrong| wrong.to_string())
        });
        checking.await.unwrap_or_else(|_| Err("The document could not be looked at.".to_owned()))
    }
}
