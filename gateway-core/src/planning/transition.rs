//! Turns new events and a next lifecycle into the transition that is committed.

use bytes::Bytes;
use event_feed::{FeedEvent, notification};
use order_model::lifecycle::{EventMetadata, Lifecycle, NewEvent, timing};
use order_model::{EventCode, EventId, Timestamp};

use super::metadata::{Sources, render};
use super::{Cause, MessageRecord, Rules};
use crate::order::{OpenRequest, Order};
use crate::store::{StoredEvent, Transition};

/// `order` moved on to `next` by `events`, which may be none.
pub(super) fn advance(
    rules: &Rules,
    order: &Order,
    next: Lifecycle,
    events: &[NewEvent],
    cause: &Cause,
    now: Timestamp,
) -> Transition {
    let expected_version = Some(order.version);
    let order = Order { version: order.version + 1, lifecycle: next, ..order.clone() };
    append(rules, order, expected_version, events, cause, now)
}

/// The transition that leaves `order` behind, once its bookkeeping of `events` is done.
pub(super) fn append(
    rules: &Rules,
    mut order: Order,
    expected_version: Option<u64>,
    events: &[NewEvent],
    cause: &Cause,
    now: Timestamp,
) -> Transition {
    let mut stored = Vec::with_capacity(events.len());
    for event in events {
        let event = to_stored(rules, &order, event, cause);
        let asks =
            matches!(event.event.code, EventCode::CancellationRequested | EventCode::ConsumerCancellationRequested);
        if asks {
            order.open_requests.push(OpenRequest { sequence: event.event.sequence, id: event.event.id });
        }
        order.progress = order.progress.after(event.event.code);
        order.last_event_expires_at = event.event.expires_at;
        order.kept_until = order.kept_until.max(event.event.expires_at);
        stored.push(event);
    }
    if order.lifecycle.status.is_final() {
        order.position = None;
    }
    forget_answered_requests(&mut order);
    let conclude_at = timing::conclude_at(order.promised_at, order.placed_at, rules.conclude_after);
    order.due_at = timing::next_due(&order.lifecycle, order.confirm_by, conclude_at).map(|(at, _)| at);
    let message = cause.message.map(|message| MessageRecord {
        key: message.key,
        digest: message.digest,
        order: order.id,
        event_ids: stored.iter().map(|stored| stored.event.id).collect(),
        expires_at: rules.remembered_until(now),
    });
    Transition {
        order,
        expected_version,
        body: None,
        events: stored,
        dispute: None,
        evidence: Vec::new(),
        removed_evidence: Vec::new(),
        message,
    }
}

fn to_stored(rules: &Rules, order: &Order, new: &NewEvent, cause: &Cause) -> StoredEvent {
    let id = EventId::derive(&rules.key, new.created_at, order.merchant, order.id, new.sequence);
    let trace = if cause.trace.is_set() { cause.trace } else { order.trace };
    let mut event = FeedEvent {
        id,
        order: order.id,
        merchant: order.merchant,
        code: new.code,
        category: order.category,
        sequence: new.sequence,
        created_at: new.created_at,
        expires_at: timing::expires_at(order.promised_at, new.created_at, rules.event_retention),
        trace,
        body: Bytes::new(),
    };
    event.body = notification::encode_body(&event, &order.sales_channel, metadata(order, new, cause).as_deref());
    StoredEvent { event, occurred_at: cause.occurred_at, published_at: None }
}

fn metadata(order: &Order, new: &NewEvent, cause: &Cause) -> Option<String> {
    if new.metadata == EventMetadata::None {
        return None;
    }
    let id_of = |sequence| order.open_requests.iter().find(|open| open.sequence == sequence).map(|open| open.id);
    render(
        &new.metadata,
        &Sources {
            of_update: cause.metadata.as_deref(),
            application: cause.application.as_ref().map(|application| application.as_str()),
            created_at: new.created_at,
            chosen: cause.chosen.as_ref(),
            denial: cause.denial,
            id_of: &id_of,
        },
    )
}

fn forget_answered_requests(order: &mut Order) {
    let open = [order.lifecycle.merchant_request.map(|request| request.sequence), order.lifecycle.consumer_request];
    order.open_requests.retain(|request| open.contains(&Some(request.sequence)));
}
