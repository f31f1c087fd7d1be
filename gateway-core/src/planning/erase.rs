//! Plans to blank the personal data of an order.

use bytes::Bytes;
use order_model::lifecycle::{Command, Update, decide};
use order_model::{EventCode, Timestamp};

use super::transition::advance;
use super::{Cause, Plan, Refusal, Rules};
use crate::codes::OrderBody;
use crate::order::Order;
use crate::personal_data;

/// Plans to blank `body` of `order` and to delete its evidence. Its events stay, links to what is gone among them. While its last event may still be served, an `ORDER_PATCHED` is
/// appended, so that whoever keeps a copy of the order reads it again.
pub(crate) fn plan_erase(
    rules: &Rules,
    order: &Order,
    body: Option<&OrderBody>,
    cause: &Cause,
    now: Timestamp,
) -> Plan {
    if order.is_erased {
        return Plan::Refused(Refusal::AlreadyErased);
    }
    // A body that is not JSON cannot be blanked in part; nothing of it is kept.
    let blank = |body: &OrderBody| OrderBody {
        json: Bytes::from(personal_data::blanked(&body.json).unwrap_or_else(|_| "{}".to_owned())),
        drop_code: None,
    };
    let decision = Update::new(EventCode::OrderPatched)
        .ok()
        .filter(|_| now < order.last_event_expires_at)
        .and_then(|patched| decide(&order.lifecycle, now, &Command::Update(patched)).ok());
    let events = decision.as_ref().map_or(&[][..], |decision| decision.events());
    let next = decision.as_ref().and_then(|decision| decision.next()).unwrap_or(&order.lifecycle).clone();
    let erased = Order { is_erased: true, position: None, evidence: Vec::new(), ..order.clone() };
    let mut transition = advance(rules, &erased, next, events, cause, now);
    if let Some(body) = body {
        transition.write_body(blank(body));
    }
    transition.removed_evidence.clone_from(&order.evidence);
    Plan::Commit(Box::new(transition))
}
