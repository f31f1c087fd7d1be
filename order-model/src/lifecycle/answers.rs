//! A merchant's answer to a dispute (PARTNER_API 2.5, item 3): it settles the dispute, once.
//!
//! Called by `decide`. Which reasons and alternatives a dispute offers is gateway-core's to check; here only who was first
//! counts: the answer, the expiry, or the other side's settlement.

use crate::lifecycle::decision::{CancelOrigin, Decision};
use crate::lifecycle::dispute::{DisputeAnswer, DisputeAsk, SettlementStatus, Verdict};
use crate::lifecycle::draft::{Draft, already_if, wanted};
use crate::lifecycle::state::Lifecycle;
use crate::timestamp::Timestamp;

/// The decision about an answer; `None` when it is illegal: no such dispute is open, or it has expired. On a concluded
/// order an accepted cancellation settles and nothing else: final is final.
pub(crate) fn answered(lifecycle: &Lifecycle, at: Timestamp, answer: &DisputeAnswer) -> Option<Decision> {
    let Some(open) = lifecycle.dispute.as_ref().filter(|open| open.id == answer.dispute) else {
        return already_if(lifecycle.settled_dispute.as_ref() == Some(&answer.dispute), lifecycle);
    };
    if at >= open.expires_at {
        return None;
    }
    let mut draft = Draft::new(lifecycle, at);
    draft.settle(
        &open.id,
        match answer.verdict {
            Verdict::Accept => SettlementStatus::Accepted,
            Verdict::Reject => SettlementStatus::Rejected,
            Verdict::Alternative => SettlementStatus::AlternativeReplied,
        },
    );
    let cancels = answer.verdict == Verdict::Accept && open.asks == DisputeAsk::Cancellation;
    if cancels && !lifecycle.status.is_final() {
        draft.cancel(wanted(lifecycle, CancelOrigin::Consumer, None));
    }
    draft.changed()
}
