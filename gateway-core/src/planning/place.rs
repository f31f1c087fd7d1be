//! Plans a new order.

use order_model::Timestamp;
use order_model::lifecycle::{DeliveryProgress, place, timing};

use super::transition::append;
use super::{Cause, Placement, Plan, Refusal, Rules, answered_before, remembered};
use crate::codes::{CodeChecks, OrderBody};
use crate::order::Order;
use crate::store::{Loaded, Transition};

/// Plans to place an order. An order that exists is compared by the digest of the message that placed it.
pub(crate) fn plan_place(rules: &Rules, loaded: &Loaded, placement: &Placement, cause: &Cause, now: Timestamp) -> Plan {
    if let Some(plan) = answered_before(loaded, cause, now) {
        return plan;
    }
    let digest = cause.message.map(|message| message.digest).unwrap_or_default();
    match &loaded.order {
        // An order that is past its time and not yet deleted still holds its id.
        Some(order) if order.placed_digest == digest => Plan::NoChange(remembered(rules, order.id, cause, now)),
        Some(_) => Plan::Refused(Refusal::OrderExists),
        None => Plan::Commit(Box::new(first_transition(rules, placement, digest, cause, now))),
    }
}

fn first_transition(
    rules: &Rules,
    placement: &Placement,
    placed_digest: [u8; 32],
    cause: &Cause,
    now: Timestamp,
) -> Transition {
    let (event, lifecycle) = place(placement.kind, now);
    let order = Order {
        id: placement.id,
        merchant: placement.merchant,
        version: 1,
        body_version: 1,
        lifecycle,
        category: placement.category,
        sales_channel: placement.sales_channel.clone(),
        placed_at: now,
        promised_at: placement.promised_at,
        confirm_by: timing::confirm_by(now, rules.confirm_deadline),
        placed_digest,
        trace: cause.trace,
        is_erased: false,
        last_event_expires_at: now,
        kept_until: timing::expires_at(placement.promised_at, now, rules.order_retention),
        open_requests: Vec::new(),
        progress: DeliveryProgress::NEW,
        pickup_code: CodeChecks::default(),
        drop_code: CodeChecks::default(),
        evidence: Vec::new(),
        position: None,
        due_at: None,
    };
    let mut transition = append(rules, order, None, &[event], cause, now);
    transition.write_body(OrderBody::split(&placement.body));
    transition
}
