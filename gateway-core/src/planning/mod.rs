//! Decides what a command does to what was loaded: pure values in, a transition or a refusal out.
//!
//! What is legal is `order_model::lifecycle`'s to say; here it becomes the one transaction that `store` writes: ids,
//! sequence, expiry, deadlines, idempotency. No I/O and no clock: `now` is an argument, and what was loaded may be
//! outdated by the time it is committed, which the transaction's conditions notice.

mod address;
mod code;
mod dispute;
pub(crate) mod due;
mod erase;
mod evidence;
mod metadata;
mod patch;
mod place;
mod report;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample_order;
mod transition;

use std::time::Duration;

use bytes::Bytes;
use event_feed::TraceId;
use order_model::lifecycle::{
    Action, Command, Decision, DisputeId, Illegal, OrderKind, OrderStatus, Verdict, asking_for_drop_code, decide,
};
use order_model::{ApplicationId, EventCategory, EventId, EventIdKey, MerchantId, OrderId, Timestamp};

use crate::config::Config;
use crate::denial::Denial;
use crate::disputes::{Chosen, DisputeOffer, DisputeRecord, Objection};
use crate::evidence::Brought;
use crate::order::Order;
use crate::order_patch::OrderPatch;
use crate::position::Position;
use crate::store::{Loaded, MessageKey, MessageRecord, Transition};
pub(crate) use address::{needs_body, plan_address_change};
pub(crate) use code::plan_code;
pub(crate) use dispute::plan_answer;
pub(crate) use erase::plan_erase;
pub(crate) use place::plan_place;
pub(crate) use report::{CourierReport, plan_courier_report, plan_preparation_start};
use transition::advance;

/// Committed messages are remembered at least this long, whatever the order retention.
const REMEMBERED_MIN: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How much longer a message is remembered than an order is kept: a repeat that arrives when its order is just gone
/// must not place it anew.
const REMEMBERED_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings that decisions depend on.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) key: EventIdKey,
    pub(crate) confirm_deadline: Duration,
    pub(crate) conclude_after: Duration,
    pub(crate) event_retention: Duration,
    pub(crate) order_retention: Duration,
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        Self {
            key: config.event_id_key,
            confirm_deadline: config.confirm_deadline,
            conclude_after: config.conclude_after,
            event_retention: config.event_retention,
            order_retention: config.order_retention,
        }
    }
}

impl Rules {
    fn remembered_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.order_retention.max(REMEMBERED_MIN)).plus(REMEMBERED_MARGIN)
    }
}

/// A message as its idempotency key and the digest of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIdentity {
    pub(crate) key: MessageKey,
    pub(crate) digest: [u8; 32],
}

/// Who asks, and what it leaves in the events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    /// The message, when it is idempotent by a key.
    pub(crate) message: Option<MessageIdentity>,
    /// The trace it belongs to; unset means the order's own.
    pub(crate) trace: TraceId,
    /// The producer's time.
    pub(crate) occurred_at: Option<Timestamp>,
    /// The metadata of an update, cleaned.
    pub(crate) metadata: Option<String>,
    /// The application that acts.
    pub(crate) application: Option<ApplicationId>,
    /// What an update changes of the order.
    pub(crate) patch: Option<OrderPatch>,
    /// Where an update says that the courier is.
    pub(crate) position: Option<Position>,
    /// The dispute that an update opens, and what may be answered to it.
    pub(crate) opens: Option<(DisputeId, DisputeOffer)>,
    /// The files that come with that dispute.
    pub(crate) evidence: Option<Brought>,
    /// Why a merchant does not let the consumer cancel.
    pub(crate) denial: Option<Denial>,
    /// What a merchant's answer to a dispute says, once it is checked.
    pub(crate) chosen: Option<Chosen>,
}

/// An order to place.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) id: OrderId,
    pub(crate) merchant: MerchantId,
    pub(crate) kind: OrderKind,
    pub(crate) category: EventCategory,
    pub(crate) sales_channel: String,
    pub(crate) promised_at: Option<Timestamp>,
    pub(crate) body: Bytes,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Commit this.
    Commit(Box<Transition>),
    /// A wrong code: commit this, which counts it, and say so.
    Wrong(Box<Transition>),
    /// It is so already; remember the message, when it has a key, and say so.
    NoChange(Option<MessageRecord>),
    /// The message committed these events before.
    Repeated(Vec<EventId>),
    /// It cannot be.
    Refused(Refusal),
}

/// Why it cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such order, or not for this merchant.
    UnknownOrder,
    /// The message id stands for other content.
    IdReused,
    /// The order exists with another body.
    OrderExists,
    /// Not where the order stands.
    Illegal(Illegal),
    /// An action that is no step from where the order stands, for a reason outside the lifecycle.
    Conflict { status: OrderStatus, legal: Vec<&'static str>, why: &'static str },
    /// An action that has happened.
    AlreadyDone { status: OrderStatus, legal: Vec<&'static str> },
    /// A patch that makes of the order what no order can be.
    Unpatchable,
    /// The order would have more evidence than one may.
    TooMuchEvidence,
    /// The dispute's id stands for a dispute of another order.
    DisputeExists,
    /// An answer to a dispute that the dispute does not offer.
    Objected(Objection),
    /// The personal data is gone already.
    AlreadyErased,
}

/// Plans an update of an internal app.
pub(crate) fn plan_update(rules: &Rules, loaded: &Loaded, command: &Command, cause: &Cause, now: Timestamp) -> Plan {
    if let Some(plan) = answered_before(loaded, cause, now) {
        return plan;
    }
    let Some(order) = kept(loaded, now) else { return Plan::Refused(Refusal::UnknownOrder) };
    if loaded.dispute.as_ref().is_some_and(|dispute| dispute.order != order.id && now < dispute.kept_until) {
        return Plan::Refused(Refusal::DisputeExists);
    }
    let body = match cause.patch.as_ref().map(|patch| patch::patched(order, loaded.body.as_ref(), patch)).transpose() {
        Ok(body) => body,
        Err(refusal) => return Plan::Refused(refusal),
    };
    match decide(&order.lifecycle, now, command) {
        Ok(Decision::AlreadyDone { .. }) => Plan::NoChange(remembered(rules, order.id, cause, now)),
        Ok(decision) => {
            let decision = with_drop_code(decision, loaded, now);
            let Some(cause) = evidence::allowed(order, cause) else {
                return Plan::Refused(Refusal::TooMuchEvidence);
            };
            let mut plan = commit(rules, order, &decision, &cause, now);
            if let (Plan::Commit(transition), Some(brought)) = (&mut plan, &cause.evidence) {
                evidence::keep(transition, &brought.files);
            }
            if let (Plan::Commit(transition), Some(body)) = (&mut plan, body) {
                transition.write_body(body);
            }
            address::settled(plan, order, loaded)
        }
        Err(illegal) => Plan::Refused(Refusal::Illegal(illegal)),
    }
}

/// Plans an action of an application of `merchant`.
pub(crate) fn plan_action(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    action: Action,
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let order = kept(loaded, now).filter(|order| order.merchant == merchant);
    let Some(order) = order else { return Plan::Refused(Refusal::UnknownOrder) };
    if let Some(plan) = answered_before(loaded, cause, now) {
        return plan;
    }
    if !order.progress.allows(action) {
        let (status, legal) = (order.lifecycle.status, legal_actions(order, now));
        return Plan::Refused(Refusal::Conflict { status, legal, why: "this is not the next step of the delivery" });
    }
    match decide(&order.lifecycle, now, &Command::Act(action)) {
        Ok(Decision::AlreadyDone { status }) => {
            Plan::Refused(Refusal::AlreadyDone { status, legal: legal_actions(order, now) })
        }
        Ok(decision) => {
            let decision = with_drop_code(decision, loaded, now);
            address::settled(commit(rules, order, &decision, cause, now), order, loaded)
        }
        Err(illegal) => Plan::Refused(Refusal::Illegal(illegal)),
    }
}

/// Plans what a timer does to exactly the order that was read; `None` when it does nothing.
pub(crate) fn plan_timer(rules: &Rules, order: &Order, command: &Command, now: Timestamp) -> Option<Transition> {
    match decide(&order.lifecycle, now, command) {
        Ok(decision @ (Decision::Append { .. } | Decision::RecordedOnly { .. })) => {
            advance(rules, order, decision.next()?.clone(), decision.events(), &Cause::default(), now).into()
        }
        Ok(Decision::AlreadyDone { .. }) | Err(_) => None,
    }
}

/// `decision`, with the request for the customer's code where the order's body has one.
fn with_drop_code(decision: Decision, loaded: &Loaded, now: Timestamp) -> Decision {
    let has_code = loaded.body.as_ref().is_some_and(|body| body.drop_code.is_some());
    if has_code { asking_for_drop_code(decision, now) } else { decision }
}

fn commit(rules: &Rules, order: &Order, decision: &Decision, cause: &Cause, now: Timestamp) -> Plan {
    let next = decision.next().unwrap_or(&order.lifecycle).clone();
    let mut transition = advance(rules, order, next, decision.events(), cause, now);
    if cause.position.is_some() && !transition.order.lifecycle.status.is_final() && !transition.order.is_erased {
        transition.order.position.clone_from(&cause.position);
    }
    transition.dispute = cause
        .opens
        .clone()
        .map(|(id, offer)| (id, DisputeRecord { order: order.id, offer, kept_until: transition.order.kept_until }));
    Plan::Commit(Box::new(transition))
}

/// The answer of a message that was committed before, or whose id was.
fn answered_before(loaded: &Loaded, cause: &Cause, now: Timestamp) -> Option<Plan> {
    let message = cause.message?;
    let record = loaded.message.as_ref().filter(|record| record.expires_at >= now)?;
    Some(if record.digest == message.digest {
        Plan::Repeated(record.event_ids.clone())
    } else {
        Plan::Refused(Refusal::IdReused)
    })
}

fn kept(loaded: &Loaded, now: Timestamp) -> Option<&Order> {
    loaded.order.as_ref().filter(|order| order.is_kept(now))
}

/// The record of a message that committed nothing.
fn remembered(rules: &Rules, order: OrderId, cause: &Cause, now: Timestamp) -> Option<MessageRecord> {
    cause.message.map(|message| MessageRecord {
        key: message.key,
        digest: message.digest,
        order,
        event_ids: Vec::new(),
        expires_at: rules.remembered_until(now),
    })
}

/// The actions that would change something.
fn legal_actions(order: &Order, now: Timestamp) -> Vec<&'static str> {
    let changes = |action: &Action| {
        order.progress.allows(*action)
            && decide(&order.lifecycle, now, &Command::Act(*action)).is_ok_and(|decision| !decision.events().is_empty())
    };
    let disputed = order.lifecycle.dispute.as_ref().filter(|dispute| now < dispute.expires_at);
    let answers = disputed.map(|_| Verdict::ALL.map(Verdict::name));
    Action::EACH.into_iter().filter(changes).map(Action::name).chain(answers.into_iter().flatten()).collect()
}
