//! Plans a merchant's answer to a dispute.

use order_model::lifecycle::{Command, Decision, DisputeAnswer, decide};
use order_model::{MerchantId, Timestamp};

use super::{Cause, Plan, Refusal, Rules, answered_before, commit, kept, legal_actions};
use crate::disputes::DisputeReply;
use crate::store::Loaded;

/// Plans `answer`, whose terms are `reply`. Where the order stands is judged before what was sent: a POS that comes too late
/// has to hear that, whatever else is wrong.
pub(crate) fn plan_answer(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    (answer, reply): (&DisputeAnswer, &DisputeReply),
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let order = kept(loaded, now).filter(|order| order.merchant == merchant);
    let dispute = order.and_then(|order| loaded.dispute.as_ref().filter(|dispute| dispute.order == order.id));
    let (Some(order), Some(dispute)) = (order, dispute) else { return Plan::Refused(Refusal::UnknownOrder) };
    if let Some(plan) = answered_before(loaded, cause, now) {
        return plan;
    }
    let decision = match decide(&order.lifecycle, now, &Command::Answer(answer.clone())) {
        Ok(Decision::AlreadyDone { status }) => {
            return Plan::Refused(Refusal::AlreadyDone { status, legal: legal_actions(order, now) });
        }
        Ok(decision) => decision,
        Err(illegal) => return Plan::Refused(Refusal::Illegal(illegal)),
    };
    match dispute.offer.check(answer.verdict, reply) {
        Ok(chosen) => commit(rules, order, &decision, &Cause { chosen: Some(chosen), ..cause.clone() }, now),
        Err(objection) => Plan::Refused(Refusal::Objected(objection)),
    }
}
