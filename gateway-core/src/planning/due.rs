//! Whether a deadline of an order has come.

use order_model::Timestamp;
use order_model::lifecycle::Command;
use order_model::lifecycle::timing::{self, ConfirmTimeout, Due, Gap};

use super::Rules;
use crate::order::Order;

/// What to do about an order whose time to be looked at has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DueDecision {
    /// It waits for nothing.
    Nothing,
    /// Look again then.
    Later(Timestamp),
    /// Do this to the order at the version that was read.
    Now(Command),
}

/// Judges `order` at `now`. `published` is when its first event was published, `None` while it is not; only an order
/// that waits to be confirmed needs it. Time within `gaps` does not count against the confirm deadline.
pub(crate) fn judge(
    rules: &Rules,
    order: &Order,
    published: Option<Timestamp>,
    gaps: &[Gap],
    now: Timestamp,
) -> DueDecision {
    let conclude_at = timing::conclude_at(order.promised_at, order.placed_at, rules.conclude_after);
    let Some((at, due)) = timing::next_due(&order.lifecycle, order.confirm_by, conclude_at) else {
        return DueDecision::Nothing;
    };
    if now < at {
        return DueDecision::Later(at);
    }
    match due {
        Due::Dispute => DueDecision::Now(Command::DisputeTimeout),
        Due::Conclude => DueDecision::Now(Command::Conclude),
        Due::Confirm => {
            // As fixed at placement: a setting that changed since does not reach back.
            let deadline = order.confirm_by.since(order.placed_at);
            match timing::confirm_timeout_due(order.placed_at, published, deadline, now, gaps) {
                ConfirmTimeout::Due => DueDecision::Now(Command::ConfirmTimeout),
                ConfirmTimeout::NotBefore(at) => later_or_dispute(order, at, now),
            }
        }
    }
}

/// A postponed confirm deadline must not hide the dispute behind it.
fn later_or_dispute(order: &Order, at: Timestamp, now: Timestamp) -> DueDecision {
    match order.lifecycle.dispute.as_ref().map(|dispute| dispute.expires_at) {
        Some(expires_at) if expires_at <= now => DueDecision::Now(Command::DisputeTimeout),
        Some(expires_at) => DueDecision::Later(at.min(expires_at)),
        None => DueDecision::Later(at),
    }
}
