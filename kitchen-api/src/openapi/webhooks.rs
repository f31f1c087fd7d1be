//! Schemas of webhooks.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use super::shapes::{Named, array, object, one_of, text, typed};
use crate::webhooks::dial::URL_MAX_BYTES;
use crate::webhooks::{Dialect, PresenceMode};

pub(super) fn schemas() -> Vec<Named> {
    let dialects = || one_of(&Dialect::ALL.map(Dialect::name));
    let presences = || one_of(&PresenceMode::ALL.map(PresenceMode::name));
    let (flag, count) = (|| typed(Type::Boolean), || typed(Type::Integer));
    let url = {
        let url = ObjectBuilder::new().schema_type(Type::String).max_length(Some(URL_MAX_BYTES));
        RefOr::T(Schema::Object(url.pattern(Some("^https://")).build()))
    };
    vec![
        (
            "NewWebhook",
            object(&[
                ("url", url),
                ("dialect", dialects()),
                ("presence?", presences()),
                ("acknowledges?", flag()),
                ("secret?", text()),
            ]),
        ),
        (
            "Webhook",
            object(&[
                ("url", text()),
                ("dialect", dialects()),
                ("presence", presences()),
                ("acknowledges", flag()),
                ("appId?", text()),
                ("status", one_of(&["ACTIVE", "PAUSED"])),
                ("pauseReason?", one_of(&["GONE", "FAILING"])),
                ("pausedAt?", text()),
                ("failingSince?", text()),
                ("lastFailure?", text()),
                ("succeededAt?", text()),
                ("waiting", count()),
                ("nextDueAt?", text()),
                ("deadLetters", count()),
                ("previousSecretUntil?", text()),
                ("secret?", text()),
                ("createdAt", text()),
                ("updatedAt", text()),
            ]),
        ),
        ("WebhookDeliveries", object(&[("deliveries", array("WebhookDelivery")), ("next?", text())])),
        (
            "WebhookDelivery",
            object(&[
                ("eventId", text()),
                ("code", text()),
                ("merchantId", text()),
                ("orderId", text()),
                ("recordedAt", text()),
                ("status", one_of(&["WAITING", "ACKNOWLEDGING", "DELIVERED", "DEAD"])),
                ("dueAt?", text()),
                ("deliveredAt?", text()),
                ("diedAt?", text()),
                ("reason?", text()),
                ("attempts", array("WebhookAttempt")),
            ]),
        ),
        ("WebhookAttempt", object(&[("at", text()), ("latencyMs", count()), ("result", text()), ("status?", count())])),
        ("PosMenu", object(&[("id", text()), ("lastUpdate", text()), ("TTL", count()), ("status", text())])),
        ("WebhookRedelivery", object(&[("redelivered", count()), ("more", flag())])),
    ]
}
