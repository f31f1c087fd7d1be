//! What internal apps report: the table's cell for the code, plus the side facts.
//!
//! Messages come in any order and more than once, under other ids too. What has happened is a repeat and does nothing;
//! what is only early is refused and comes back; what was overtaken is recorded.

use crate::event_code::EventCode;
use crate::lifecycle::command::{Facts, Update};
use crate::lifecycle::decision::{CancelOrigin, Cancellation, Decision, EventMetadata};
use crate::lifecycle::dispute::{DisputeId, DisputeOpening};
use crate::lifecycle::draft::{Draft, already, already_if, wanted};
use crate::lifecycle::state::{Lifecycle, MerchantRequest};
use crate::lifecycle::table::{Cell, cell};
use crate::timestamp::Timestamp;

/// The decision about an update; `None` when it is illegal.
pub(crate) fn updated(lifecycle: &Lifecycle, at: Timestamp, update: &Update) -> Option<Decision> {
    let code = update.code();
    let mut draft = Draft::new(lifecycle, at);
    match cell(lifecycle.kind, lifecycle.status, code) {
        Cell::To(status) => {
            draft.append(code, metadata_of_step(lifecycle, code));
            draft.enter(status);
            draft.changed()
        }
        Cell::Recorded => draft.record(code),
        Cell::Overtaken if has_happened(lifecycle, update) => already(lifecycle),
        Cell::Overtaken => {
            // The settlement of a dispute that a cancellation closed: the next one is a repeat.
            if let Facts::Settled(id) = &update.facts {
                draft.next.settled_dispute = Some(id.clone());
            }
            draft.record(code)
        }
        Cell::Repeated => already(lifecycle),
        Cell::Asks => asked(lifecycle, draft, code),
        Cell::Answers => answered(lifecycle, draft, code),
        Cell::OpensDispute => dispute_opened(lifecycle, draft, &update.facts),
        Cell::SettlesDispute => dispute_settled(lifecycle, draft, &update.facts),
        Cell::Illegal => already_if(has_happened(lifecycle, update), lifecycle),
    }
}

/// Whether this very thing has happened before. Of a dispute: whether it is the one that is open (`HSD`) or was
/// settled last.
fn has_happened(lifecycle: &Lifecycle, update: &Update) -> bool {
    match &update.facts {
        Facts::None => lifecycle.happened.contains(update.code()),
        Facts::Opening(DisputeOpening { dispute, .. }) => {
            is_open(lifecycle, &dispute.id) || lifecycle.settled_dispute.as_ref() == Some(&dispute.id)
        }
        Facts::Settled(id) => lifecycle.settled_dispute.as_ref() == Some(id),
    }
}

fn is_open(lifecycle: &Lifecycle, id: &DisputeId) -> bool {
    lifecycle.dispute.as_ref().is_some_and(|open| open.id == *id)
}

/// What a `CAN` says when its sender does not: it grants the open request, the merchant's before the consumer's, else
/// the platform wanted it.
fn metadata_of_step(lifecycle: &Lifecycle, code: EventCode) -> EventMetadata {
    if !matches!(code, EventCode::Cancelled) {
        return EventMetadata::OfUpdate;
    }
    let cancellation = match (lifecycle.merchant_request, lifecycle.consumer_request) {
        (Some(request), _) => wanted_by_merchant(lifecycle, request),
        (None, Some(sequence)) => wanted(lifecycle, CancelOrigin::Consumer, Some(sequence)),
        (None, None) => wanted(lifecycle, CancelOrigin::Platform, None),
    };
    EventMetadata::OfUpdateOr(cancellation)
}

fn wanted_by_merchant(lifecycle: &Lifecycle, request: MerchantRequest) -> Cancellation {
    Cancellation { code: request.code, ..wanted(lifecycle, CancelOrigin::Restaurant, Some(request.sequence)) }
}

fn asked(lifecycle: &Lifecycle, mut draft: Draft, code: EventCode) -> Option<Decision> {
    let by_merchant = matches!(code, EventCode::CancellationRequested);
    let (is_open, origin) = if by_merchant {
        (lifecycle.merchant_request.is_some(), CancelOrigin::Restaurant)
    } else {
        (lifecycle.consumer_request.is_some(), CancelOrigin::Consumer)
    };
    if is_open {
        return already(lifecycle);
    }
    let sequence = draft.append(code, EventMetadata::OfUpdateOr(wanted(lifecycle, origin, None)));
    if by_merchant {
        draft.next.merchant_request = Some(MerchantRequest { sequence, code: None });
    } else {
        draft.next.consumer_request = Some(sequence);
    }
    draft.changed()
}

/// `CARF`, `CCA`, `CCD`. Without the request they answer: a repeat when the answer was ever given, else early.
fn answered(lifecycle: &Lifecycle, mut draft: Draft, code: EventCode) -> Option<Decision> {
    let to_merchant = matches!(code, EventCode::CancellationRequestFailed);
    let request = if to_merchant {
        lifecycle.merchant_request.map(|request| wanted_by_merchant(lifecycle, request))
    } else {
        lifecycle.consumer_request.map(|sequence| wanted(lifecycle, CancelOrigin::Consumer, Some(sequence)))
    };
    let Some(request) = request else {
        return already_if(lifecycle.happened.contains(code), lifecycle);
    };
    draft.append(code, EventMetadata::OfUpdateOr(request));
    if to_merchant {
        draft.next.merchant_request = None;
    } else if matches!(code, EventCode::ConsumerCancellationAccepted) {
        draft.cancel(request);
    } else {
        draft.next.consumer_request = None;
    }
    draft.changed()
}

fn dispute_opened(lifecycle: &Lifecycle, mut draft: Draft, facts: &Facts) -> Option<Decision> {
    let Facts::Opening(DisputeOpening { dispute, parent }) = facts else {
        return None;
    };
    if is_open(lifecycle, &dispute.id) || lifecycle.settled_dispute.as_ref() == Some(&dispute.id) {
        return already(lifecycle);
    }
    if let Some(open) = &lifecycle.dispute {
        // A counter-offer takes the place of what it answers. Any other dispute waits until this one is settled,
        // which its expiry sees to: two clocks on one order would cancel it twice.
        if parent.as_ref() != Some(&open.id) {
            return None;
        }
        draft.next.settled_dispute = Some(open.id.clone());
    }
    draft.append(EventCode::HandshakeDispute, EventMetadata::OfUpdate);
    draft.next.dispute = Some(dispute.clone());
    draft.changed()
}

fn dispute_settled(lifecycle: &Lifecycle, mut draft: Draft, facts: &Facts) -> Option<Decision> {
    let Facts::Settled(id) = facts else { return None };
    if is_open(lifecycle, id) {
        draft.append(EventCode::HandshakeSettlement, EventMetadata::OfUpdate);
        draft.next.settled_dispute = Some(id.clone());
        draft.next.dispute = None;
        return draft.changed();
    }
    already_if(lifecycle.settled_dispute.as_ref() == Some(id), lifecycle)
}
