//! Plans what a merchant's application tells of an order that takes no step by it: how far the merchant's own courier is, and
//! when the kitchen will begin (Open Delivery's `tracking` and `details`).
//!
//! Both come again and again with nothing new in them, and then nothing is committed. Neither ever moves the order: `dispatch`
//! and `delivered` are actions of their own, so that a report which overtakes them must not make them a repeat.

use order_model::lifecycle::{Command, Route, Update, decide};
use order_model::{EventCode, MerchantId, Timestamp};

use super::{Cause, Plan, Refusal, Rules, answered_before, commit, kept, legal_actions, patch, remembered};
use crate::order::Order;
use crate::order_patch::OrderPatch;
use crate::store::Loaded;

/// An order with more events than this takes no other time to begin, and no other address: each is an event that every POS has to read. Orders
/// have about ten.
pub(super) const EVENTS_MAX: u32 = 500;

/// How far the merchant's own courier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CourierReport {
    /// On the way to the merchant.
    GoingToOrigin,
    /// At the merchant.
    AtOrigin,
    /// At the customer.
    AtDestination,
    /// There is no courier any more.
    TakenOff,
    /// Somewhere that an action of its own tells of: fetched, on the way, delivered.
    AsActed,
}

impl CourierReport {
    /// The event that it is.
    const fn code(self) -> Option<EventCode> {
        match self {
            Self::GoingToOrigin => Some(EventCode::GoingToOrigin),
            Self::AtOrigin => Some(EventCode::ArrivedAtOrigin),
            Self::AtDestination => Some(EventCode::ArrivedAtDestination),
            Self::TakenOff => Some(EventCode::DriverDeallocated),
            Self::AsActed => None,
        }
    }

    /// Its name in an idempotency record.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GoingToOrigin => "goingToOrigin",
            Self::AtOrigin => "atOrigin",
            Self::AtDestination => "atDestination",
            Self::TakenOff => "takenOff",
            Self::AsActed => "asActed",
        }
    }
}

/// Plans the report of a courier. What is behind what is known already changes nothing.
pub(crate) fn plan_courier_report(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    report: CourierReport,
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let order = match unfinished(loaded, merchant, cause, now) {
        Ok(order) => order,
        Err(plan) => return plan,
    };
    match order.lifecycle.kind.route() {
        Route::MerchantCourier => {}
        Route::MarketplaceCourier | Route::Counter | Route::Table => {
            return conflict(order, now, "the merchant does not deliver this order");
        }
    }
    let is_news = |code: &EventCode| order.progress.after(*code) != order.progress;
    let Some(code) = report.code().filter(is_news) else {
        return Plan::NoChange(remembered(rules, order.id, cause, now));
    };
    told(rules, order, code, cause, now)
}

/// Plans another time for the kitchen to begin. Needs the order's body.
pub(crate) fn plan_preparation_start(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    start: Timestamp,
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let order = match unfinished(loaded, merchant, cause, now) {
        Ok(order) => order,
        Err(plan) => return plan,
    };
    let patched = match patch::patched(order, loaded.body.as_ref(), &OrderPatch::preparation_start(start)) {
        Ok(patched) => patched,
        Err(refusal) => return Plan::Refused(refusal),
    };
    if loaded.body.as_ref() == Some(&patched) {
        return Plan::NoChange(remembered(rules, order.id, cause, now));
    }
    if order.lifecycle.next_sequence > EVENTS_MAX {
        return conflict(order, now, "the order was changed too often");
    }
    let mut plan = told(rules, order, EventCode::OrderPatched, cause, now);
    if let Plan::Commit(transition) = &mut plan {
        transition.write_body(patched);
    }
    plan
}

/// The order, when it is the merchant's, lasts, and the message is new.
fn unfinished<'a>(loaded: &'a Loaded, merchant: MerchantId, cause: &Cause, now: Timestamp) -> Result<&'a Order, Plan> {
    let order = kept(loaded, now).filter(|order| order.merchant == merchant);
    let order = order.ok_or(Plan::Refused(Refusal::UnknownOrder))?;
    if let Some(plan) = answered_before(loaded, cause, now) {
        return Err(plan);
    }
    if order.lifecycle.status.is_final() { Err(conflict(order, now, "the order is over")) } else { Ok(order) }
}

fn conflict(order: &Order, now: Timestamp, why: &'static str) -> Plan {
    Plan::Refused(Refusal::Conflict { status: order.lifecycle.status, legal: legal_actions(order, now), why })
}

/// An event that moves nothing, as an internal app's update would be.
fn told(rules: &Rules, order: &Order, code: EventCode, cause: &Cause, now: Timestamp) -> Plan {
    let Ok(update) = Update::new(code) else { return conflict(order, now, "this event needs a dispute") };
    match decide(&order.lifecycle, now, &Command::Update(update)) {
        Ok(decision) => commit(rules, order, &decision, cause, now),
        // Whoever asks knows actions, not the codes that would be legal for an internal app.
        Err(_) => conflict(order, now, "the order does not stand where that can be"),
    }
}
