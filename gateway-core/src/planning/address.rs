//! Plans what a change of the delivery address makes of an order's body, beside what the lifecycle decides about its event.

use order_model::lifecycle::{Action, Command};
use order_model::{EventCode, MerchantId, Timestamp};

use super::report::EVENTS_MAX;
use super::{Cause, Plan, Refusal, Rules, kept, legal_actions, patch, plan_action};
use crate::address_change::{self, NewAddress};
use crate::codes::OrderBody;
use crate::order::Order;
use crate::order_patch::OrderPatch;
use crate::store::Loaded;

/// Whether deciding `command` may need the order's body: because a new address may stand there, or a code that a confirmed order
/// is asked for.
pub(crate) const fn needs_body(command: &Command) -> bool {
    match command {
        Command::Act(action) => {
            matches!(action, Action::Confirm | Action::AcceptAddressChange | Action::DenyAddressChange)
        }
        Command::Update(update) => {
            matches!(update.code(), EventCode::Confirmed) || address_change::settles(update.code())
        }
        _ => false,
    }
}

/// Plans an application's request that the order goes to `new`. Needs the order's body.
pub(crate) fn plan_address_change(
    rules: &Rules,
    loaded: &Loaded,
    merchant: MerchantId,
    new: &NewAddress,
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    let mut plan = plan_action(rules, loaded, merchant, Action::RequestAddressChange, cause, now);
    let Some(order) = kept(loaded, now) else { return plan };
    if let Plan::Commit(transition) = &mut plan {
        let conflict = |why| {
            let (status, legal) = (order.lifecycle.status, legal_actions(order, now));
            Plan::Refused(Refusal::Conflict { status, legal, why })
        };
        if order.lifecycle.next_sequence > EVENTS_MAX {
            return conflict("the order was changed too often");
        }
        match patched(order, loaded.body.as_ref(), &new.patches()) {
            Ok(body) => transition.write_body(body),
            Err(_) => return conflict("the order has no room for another address"),
        }
    }
    plan
}

/// `plan` with what its events make of a new address that stands in the order's body, where that was read.
pub(super) fn settled(mut plan: Plan, order: &Order, loaded: &Loaded) -> Plan {
    if let (Plan::Commit(transition), Some(body)) = (&mut plan, &loaded.body) {
        let codes = transition.events.iter().map(|stored| stored.event.code);
        let patches: Vec<OrderPatch> = codes.flat_map(|code| address_change::settling(body, code)).collect();
        // It moves or drops what is there already: what was stored with it fits without it.
        if let (false, Ok(body)) = (patches.is_empty(), patched(order, Some(body), &patches)) {
            transition.write_body(body);
        }
    }
    plan
}

fn patched(order: &Order, body: Option<&OrderBody>, patches: &[OrderPatch]) -> Result<OrderBody, Refusal> {
    let body = body.cloned().ok_or(Refusal::UnknownOrder)?;
    patches.iter().try_fold(body, |body, patch| patch::patched(order, Some(&body), patch))
}
