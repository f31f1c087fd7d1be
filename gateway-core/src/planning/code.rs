//! Plans the check of a code that a courier or a customer gave.
//!
//! A wrong code is a transition of its own without an event: it is counted before it is answered, so that guesses sent all at
//! once count like guesses one after the other.

use order_model::lifecycle::{Action, Command, decide};
use order_model::{MerchantId, Timestamp};

use super::transition::advance;
use super::{Cause, Plan, Refusal, Rules, answered_before, commit, kept, legal_actions, remembered};
use crate::codes::{CodeKind, Guess, SentCode};
use crate::store::Loaded;

/// Plans the check of `sent`, which `action` asks for. Needs the order's body.
pub(crate) fn plan_code(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    (action, sent): (Action, &SentCode),
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let order = kept(loaded, now).filter(|order| order.merchant == merchant);
    let Some(order) = order else { return Plan::Refused(Refusal::UnknownOrder) };
    if let Some(plan) = answered_before(loaded, cause, now) {
        return plan;
    }
    let conflict = |why| {
        Plan::Refused(Refusal::Conflict { status: order.lifecycle.status, legal: legal_actions(order, now), why })
    };
    let expected = CodeKind::of_action(action).and_then(|kind| Some((kind, loaded.body.as_ref()?.code(kind)?)));
    let Some((kind, expected)) = expected else { return conflict("the order has no such code") };
    if !order.progress.allows(action) {
        return conflict("this is not the courier's next step");
    }
    let decision = match decide(&order.lifecycle, now, &Command::Act(action)) {
        Ok(decision) => decision,
        Err(illegal) => return Plan::Refused(Refusal::Illegal(illegal)),
    };
    let guess = order.checks(kind).judge(sent, &expected);
    let mut judged = order.clone();
    judged.set_checks(kind, order.checks(kind).after(guess));
    match guess {
        Guess::Right => commit(rules, &judged, &decision, cause, now),
        Guess::RightAgain => Plan::NoChange(remembered(rules, order.id, cause, now)),
        Guess::Locked => conflict("too many wrong codes were sent for this order; the platform has to confirm it"),
        Guess::Wrong => {
            // Under the same Idempotency-Key the next one is judged afresh: it may be another guess.
            let unremembered = Cause { message: None, ..cause.clone() };
            let next = order.lifecycle.clone();
            Plan::Wrong(Box::new(advance(rules, &judged, next, &[], &unremembered, now)))
        }
    }
}
