//! Keep-alives: asks a receiver who is online, and counts the answer as a poll would be (PARTNER_API, 2.7).
//!
//! Called by [`super::caretaker`], which says when. An answer in time with 202 is a beat: of all stores of the application, or of those that
//! it lists. Anything else is none, and says nothing about the receiver's health: not every receiver knows keep-alives. Whoever is
//! revoked, or has not the module of the webhook's dialect, is not asked at all.

use std::sync::Arc;

use order_model::MerchantId;

use super::dispatch::Workshop;
use super::message::{KEEPALIVE_MERCHANTS_MAX, keepalive, online_merchants};
use super::schedule::Outcome;
use super::subscription::{PresenceMode, Subscription};
use super::view::access_of;
use crate::directory::Access;
use crate::merchants::uuid_text;

/// The one status that says "online".
const ONLINE: Outcome = Outcome::Answered(202);

/// Asks once, in as many requests as it takes.
pub(super) async fn ask(shop: &Workshop, webhook: &Subscription) {
    match webhook.presence {
        PresenceMode::None => {}
        PresenceMode::All => ask_for_all(shop, webhook).await,
        PresenceMode::PerMerchant => ask_for_each(shop, webhook).await,
    }
}

async fn ask_for_all(shop: &Workshop, webhook: &Subscription) {
    if asked_of(shop, webhook).is_none() {
        return;
    }
    let message = keepalive(&uuid_text(shop.api.entropy.bytes()), None, webhook, shop.api.clock.now());
    let sent = shop.sender.send(&webhook.url, message).await;
    count(webhook, sent.outcome);
    // Asked once more: what counts is the scope of now.
    let Some(access) = asked_of(shop, webhook) else { return };
    if sent.outcome == ONLINE {
        shop.api.beats.beat(&access.everything);
    }
}

async fn ask_for_each(shop: &Workshop, webhook: &Subscription) {
    let Some(access) = asked_of(shop, webhook) else { return };
    for asked in access.scope.merchants().chunks(KEEPALIVE_MERCHANTS_MAX) {
        let id = uuid_text(shop.api.entropy.bytes());
        let message = keepalive(&id, Some(asked), webhook, shop.api.clock.now());
        let (outcome, body) = shop.sender.ask(&webhook.url, message).await;
        count(webhook, outcome);
        if outcome != ONLINE {
            continue;
        }
        // Grants may have changed meanwhile: what counts is the scope of now.
        let Some(access) = asked_of(shop, webhook) else { return };
        let online: Vec<MerchantId> = online_merchants(&body)
            .into_iter()
            .filter(|merchant| asked.binary_search(merchant).is_ok() && access.scope.contains(*merchant))
            .collect();
        if let Ok(authorised) = access.scope.authorise(&online) {
            shop.api.beats.beat(&authorised);
        }
    }
}

/// What an application may see whose receiver may be asked, and may answer.
fn asked_of(shop: &Workshop, webhook: &Subscription) -> Option<Arc<Access>> {
    let access = access_of(&shop.api.directory, &webhook.application);
    access.filter(|access| access.modules().has(webhook.dialect.module()))
}

fn count(webhook: &Subscription, outcome: Outcome) {
    let mode = webhook.presence.name();
    metrics::counter!("comanda_webhooks_keepalives_total", "mode" => mode, "outcome" => outcome.code()).increment(1);
}
