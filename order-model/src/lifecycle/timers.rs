//! What the core's own timers do. Whether one is due is judged before, by `timing`; here only the state counts.

use crate::event_code::EventCode;
use crate::lifecycle::decision::{CancelOrigin, Cancellation, Decision, EventMetadata};
use crate::lifecycle::dispute::{SettlementStatus, TimeoutAction};
use crate::lifecycle::draft::{Draft, already, wanted};
use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// Nobody confirmed: only a placed order is cancelled.
pub(crate) fn confirm_timed_out(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    match lifecycle.status {
        OrderStatus::Placed => {
            let mut draft = Draft::new(lifecycle, at);
            draft.cancel(Cancellation { timeout: true, ..wanted(lifecycle, CancelOrigin::Platform, None) });
            draft.changed()
        }
        OrderStatus::Cancelled => already(lifecycle),
        OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup
        | OrderStatus::Dispatched
        | OrderStatus::Concluded => None,
    }
}

/// Nobody concluded. Unlike `CON` from outside, this needs no dispatch before it: it exists for orders whose steps
/// nobody reports.
pub(crate) fn conclude_due(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    match lifecycle.status {
        OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup
        | OrderStatus::Dispatched => {
            let mut draft = Draft::new(lifecycle, at);
            draft.append(EventCode::Concluded, EventMetadata::None);
            draft.enter(OrderStatus::Concluded);
            draft.changed()
        }
        OrderStatus::Concluded => already(lifecycle),
        OrderStatus::Placed | OrderStatus::Cancelled => None,
    }
}

/// Nobody answered the dispute. On a concluded order an accepted dispute settles and nothing else: final is final, the
/// money is refunded elsewhere.
pub(crate) fn dispute_timed_out(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    let dispute = lifecycle.dispute.as_ref()?;
    let status = match dispute.timeout_action {
        TimeoutAction::AcceptCancellation => SettlementStatus::Accepted,
        TimeoutAction::RejectCancellation => SettlementStatus::Rejected,
        TimeoutAction::Void => SettlementStatus::Expired,
    };
    let mut draft = Draft::new(lifecycle, at);
    draft.settle(&dispute.id, status);
    if status == SettlementStatus::Accepted && !lifecycle.status.is_final() {
        draft.cancel(Cancellation { timeout: true, ..wanted(lifecycle, CancelOrigin::Consumer, None) });
    }
    draft.changed()
}
