//! Plans what becomes of the files that come with a dispute.

use std::borrow::Cow;

use super::Cause;
use crate::evidence::{EVIDENCES_PER_ORDER_MAX, Evidence};
use crate::order::Order;
use crate::store::Transition;

/// `cause` as it counts for `order`; `None` when the order would have too many files. An order that was erased stays so:
/// the dispute is opened, and what it brings is dropped.
pub(super) fn allowed<'a>(order: &Order, cause: &'a Cause) -> Option<Cow<'a, Cause>> {
    let Some(brought) = &cause.evidence else { return Some(Cow::Borrowed(cause)) };
    if order.is_erased {
        let metadata = Some(brought.metadata_without.clone());
        return Some(Cow::Owned(Cause { metadata, evidence: None, ..cause.clone() }));
    }
    let new = brought.files.iter().filter(|file| !order.evidence.contains(&file.id)).count();
    (order.evidence.len() + new <= EVIDENCES_PER_ORDER_MAX).then_some(Cow::Borrowed(cause))
}

/// Has `transition` store `files`, and its order know them.
pub(super) fn keep(transition: &mut Transition, files: &[Evidence]) {
    for file in files {
        if !transition.order.evidence.contains(&file.id) {
            transition.order.evidence.push(file.id);
        }
    }
    transition.evidence = files.to_vec();
}
