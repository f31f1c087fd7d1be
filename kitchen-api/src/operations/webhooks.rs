//! Webhooks of ours: an application's own, what was sent to it, and what is read of POSes beside them.

use std::num::NonZeroU32;

use super::{Answers, Document, IDEMPOTENCY_KEY, Operation, Row, Shape, Takes, Verb, get, per_minute, query};

const WEBHOOK: &[&str] = &["/comanda/v1/webhook"];
/// Looks at a webhook, its deliveries or a menu, each: somebody's page that refreshes itself.
const READS: Option<NonZeroU32> = per_minute(600);
/// Changes of a webhook, each: somebody sets it up.
const CHANGES: Option<NonZeroU32> = per_minute(60);
/// Dead letters that are asked for one by one.
const REDELIVERIES: Option<NonZeroU32> = per_minute(600);
/// Calls that ask for up to 200 dead letters: some 400 writes each.
const REDELIVERIES_OF_ALL: Option<NonZeroU32> = per_minute(30);

const fn webhook(operation: Operation, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row { document: Document::Comanda, tag: "webhook", summary, per_minute: READS, ..get(operation, id, paths) }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        answers: Answers::One("Webhook"),
        errors: &[404],
        ..webhook(Operation::Webhook, "webhook", WEBHOOK, "The application's webhook, and how its receiver does.")
    },
    Row {
        verb: Verb::Put,
        takes: Takes::One("NewWebhook"),
        answers: Answers::One("Webhook"),
        errors: &[400, 408, 413],
        per_minute: CHANGES,
        ..webhook(
            Operation::SetWebhook,
            "set_webhook",
            WEBHOOK,
            "Sets or changes the webhook; effective within 5 s. A secret that was made is in this answer and in no other.",
        )
    },
    Row {
        verb: Verb::Delete,
        answers: Answers::Gone,
        errors: &[404],
        per_minute: CHANGES,
        ..webhook(Operation::RemoveWebhook, "remove_webhook", WEBHOOK, "Removes the webhook.")
    },
    Row {
        verb: Verb::Post,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 409, 413, 422],
        per_minute: CHANGES,
        ..webhook(
            Operation::ResumeWebhook,
            "resume_webhook",
            &["/comanda/v1/webhook/resume"],
            "Goes on with a receiver that was paused; what waits is sent.",
        )
    },
    Row {
        answers: Answers::One("WebhookDeliveries"),
        parameters: &[
            query("limit", "1 to 100, by default 50.").shaped(Shape::Number(1, Some(100))),
            query("before", "The `next` of the page before; without it the newest."),
        ],
        errors: &[400],
        ..webhook(
            Operation::WebhookDeliveries,
            "webhook_deliveries",
            &["/comanda/v1/webhook/deliveries"],
            "What was sent and what waits, newest event first, with every attempt; kept for a week.",
        )
    },
    Row {
        answers: Answers::One("WebhookDeliveries"),
        parameters: &[query("limit", "1 to 100, by default 50.").shaped(Shape::Number(1, Some(100)))],
        errors: &[400],
        ..webhook(
            Operation::WebhookDeadLetters,
            "webhook_dead_letters",
            &["/comanda/v1/webhook/dead-letters"],
            "What was given up on, in the order in which that happened.",
        )
    },
    Row {
        verb: Verb::Post,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 409, 413, 422],
        per_minute: REDELIVERIES,
        ..webhook(
            Operation::RedeliverWebhook,
            "redeliver_webhook",
            &["/comanda/v1/webhook/deliveries/{eventId}/redeliver"],
            "Sends a dead letter again, under the same event id.",
        )
    },
    Row {
        verb: Verb::Post,
        answers: Answers::One("WebhookRedelivery"),
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 408, 409, 413, 422],
        per_minute: REDELIVERIES_OF_ALL,
        ..webhook(
            Operation::RedeliverWebhooks,
            "redeliver_webhooks",
            &["/comanda/v1/webhook/dead-letters/redeliver"],
            "Sends dead letters again, up to 200; `more` says whether to ask again.",
        )
    },
    Row {
        answers: Answers::One("PosMenu"),
        errors: &[404],
        tag: "menu",
        ..webhook(
            Operation::PosMenu,
            "pos_menu",
            &["/comanda/v1/merchants/{id}/menu"],
            "The document that was read last of the merchant's POS, as it was sent (Open Delivery's `Merchant`).",
        )
    },
];
