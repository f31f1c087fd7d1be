//! Webhooks and deliveries as partners and operators see them. Stored secrets and bodies are absent.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::delivery::{Delivery, State};
use super::store::{Health, Waiting};
use super::subscription::Subscription;

/// A webhook with how its receiver does, and with its secret if that was made just now.
pub(super) fn webhook(
    webhook: &Subscription,
    health: &Health,
    waiting: Waiting,
    dead: Waiting,
    made_secret: Option<&SecretString>,
) -> Value {
    let mut shown = json!({
        "url": webhook.url,
        "dialect": webhook.dialect.name(),
        "presence": webhook.presence.name(),
        "acknowledges": webhook.acknowledges,
        "status": if webhook.paused.is_some() { "PAUSED" } else { "ACTIVE" },
        "waiting": waiting.count,
        "deadLetters": dead.count,
        "createdAt": webhook.created_at.to_string(),
        "updatedAt": webhook.updated_at.to_string(),
    });
    let previous_until = webhook.previous_secret.as_ref().map(|(_, until)| until.to_string());
    // A failure before the receiver was resumed or moved says nothing about it now.
    let failing_since = health.failing_since.filter(|since| webhook.resumed_at.is_none_or(|resumed| *since > resumed));
    let optional = [
        ("pausedAt", webhook.paused.map(|(_, at)| at.to_string())),
        ("pauseReason", webhook.paused.map(|(reason, _)| reason.name().to_owned())),
        ("failingSince", failing_since.map(|since| since.to_string())),
        ("lastFailure", health.last_failure.clone()),
        ("succeededAt", health.succeeded_at.map(|at| at.to_string())),
        ("nextDueAt", waiting.first_at.map(|at| at.to_string())),
        ("previousSecretUntil", previous_until),
        ("secret", made_secret.map(|secret| secret.expose_secret().to_owned())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = json!(value);
        }
    }
    shown
}

/// Deliveries with their attempts.
pub(super) fn deliveries(deliveries: &[Delivery]) -> Vec<Value> {
    deliveries.iter().map(delivery).collect()
}

fn delivery(delivery: &Delivery) -> Value {
    let mut shown = json!({
        "eventId": delivery.event.to_string(),
        "code": delivery.code.code(),
        "merchantId": delivery.merchant.to_string(),
        "orderId": delivery.order.to_string(),
        "recordedAt": delivery.recorded_at.to_string(),
    });
    let mut set = |name: &str, value: String| shown[name] = json!(value);
    match delivery.state {
        State::Waiting { due_at } => {
            set("status", "WAITING".to_owned());
            set("dueAt", due_at.to_string());
        }
        State::Acknowledging { due_at } => {
            set("status", "ACKNOWLEDGING".to_owned());
            set("dueAt", due_at.to_string());
        }
        State::Delivered { at } => {
            set("status", "DELIVERED".to_owned());
            set("deliveredAt", at.to_string());
        }
        State::Dead { at, reason } => {
            set("status", "DEAD".to_owned());
            set("diedAt", at.to_string());
            set("reason", reason.name().to_owned());
        }
    }
    let attempts = delivery.attempts.iter().map(|attempt| {
        let mut shown =
            json!({ "at": attempt.at.to_string(), "latencyMs": attempt.latency_ms, "result": attempt.result });
        if let Some(status) = attempt.status {
            shown["status"] = json!(status);
        }
        shown
    });
    shown["attempts"] = attempts.collect();
    shown
}
