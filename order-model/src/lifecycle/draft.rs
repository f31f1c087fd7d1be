//! Putting a decision together: events with their sequence and `createdAt`, and the state that follows from them.

use crate::event_code::EventCode;
use crate::lifecycle::decision::{CancelOrigin, Cancellation, Decision, EventMetadata, NewEvent};
use crate::lifecycle::dispute::{DisputeId, SettlementStatus};
use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;
use crate::lifecycle::timing::next_created_at;
use crate::timestamp::Timestamp;

/// Events and the next state while they grow.
pub(crate) struct Draft {
    at: Timestamp,
    events: Vec<NewEvent>,
    /// The state so far.
    pub(crate) next: Lifecycle,
}

impl Draft {
    /// Nothing yet.
    pub(crate) fn new(lifecycle: &Lifecycle, at: Timestamp) -> Self {
        Self { at, events: Vec::new(), next: lifecycle.clone() }
    }

    /// What was decided already, to go on from.
    pub(crate) const fn after(events: Vec<NewEvent>, next: Lifecycle, at: Timestamp) -> Self {
        Self { at, events, next }
    }

    /// Appends an event; the answer is its sequence.
    pub(crate) fn append(&mut self, code: EventCode, metadata: EventMetadata) -> u32 {
        let sequence = self.next.next_sequence;
        let created_at = next_created_at(self.next.last_created_at, self.at);
        self.events.push(NewEvent { sequence, code, created_at, metadata });
        self.next.next_sequence = sequence.saturating_add(1);
        self.next.last_created_at = created_at;
        self.next.happened = self.next.happened.with(code);
        sequence
    }

    /// Moves to `status`. A final one answers every open request; a cancellation ends a dispute as well.
    pub(crate) fn enter(&mut self, status: OrderStatus) {
        self.next.status = status;
        if status.is_final() {
            self.next.merchant_request = None;
            self.next.consumer_request = None;
        }
        if status == OrderStatus::Cancelled {
            self.next.dispute = None;
        }
    }

    /// Appends the platform's own `CAN` and moves there.
    pub(crate) fn cancel(&mut self, cancellation: Cancellation) {
        self.append(EventCode::Cancelled, EventMetadata::Cancellation(cancellation));
        self.enter(OrderStatus::Cancelled);
    }

    /// Appends the `HSS` that ends the open dispute `id`.
    pub(crate) fn settle(&mut self, id: &DisputeId, status: SettlementStatus) {
        let metadata = EventMetadata::Settlement { dispute: id.clone(), status };
        self.append(EventCode::HandshakeSettlement, metadata);
        self.next.settled_dispute = Some(id.clone());
        self.next.dispute = None;
    }

    /// Done: one informational event.
    pub(crate) fn record(self, code: EventCode) -> Option<Decision> {
        self.record_as(code, EventMetadata::OfUpdate)
    }

    /// As [`Self::record`], with this metadata.
    pub(crate) fn record_as(mut self, code: EventCode, metadata: EventMetadata) -> Option<Decision> {
        self.append(code, metadata);
        let event = self.events.pop()?;
        Some(Decision::RecordedOnly { event, next: self.next })
    }

    /// Done: something changed.
    pub(crate) fn changed(self) -> Option<Decision> {
        Some(self.into_decision())
    }

    /// As [`Self::changed`], where there is no doubt about it.
    pub(crate) fn into_decision(self) -> Decision {
        Decision::Append { events: self.events, next: self.next }
    }
}

/// It has happened.
pub(crate) fn already(lifecycle: &Lifecycle) -> Option<Decision> {
    Some(Decision::AlreadyDone { status: lifecycle.status })
}

/// It has happened when `happened`, else it is illegal.
pub(crate) fn already_if(happened: bool, lifecycle: &Lifecycle) -> Option<Decision> {
    if happened { already(lifecycle) } else { None }
}

/// A cancellation, or a request for one, as it stands: who wants it, and the sequence of the event that asked for it.
pub(crate) fn wanted(lifecycle: &Lifecycle, origin: CancelOrigin, requested_by: Option<u32>) -> Cancellation {
    Cancellation { stage: lifecycle.status, origin, code: None, requested_by, timeout: false }
}
