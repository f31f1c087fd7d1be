//! What a decision says: the events to append and the state after them, or why there are none.
//!
//! Effects are values. gateway-core commits them in one transaction, derives the event ids and renders the metadata as
//! JSON; ids, JSON and storage are deliberately absent here.

use crate::event_code::EventCode;
use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::dispute::{DisputeId, SettlementStatus};
use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// The most events one decision appends (`CAR, CAN`; `CCA, CAN`; `HSS, CAN`; `DLV, CON`; `CFM, DDCR`).
pub const EVENTS_PER_DECISION_MAX: usize = 2;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Something about the order changed: append these events, in order, and store `next`.
    Append {
        /// At least one, at most [`EVENTS_PER_DECISION_MAX`].
        events: Vec<NewEvent>,
        /// The state after them.
        next: Lifecycle,
    },
    /// An informational event: append it and store `next`, in which only the bookkeeping of events differs.
    RecordedOnly {
        /// The event.
        event: NewEvent,
        /// The state after it; same status, requests and dispute.
        next: Lifecycle,
    },
    /// It has already happened: change nothing. An action is answered 409 (PARTNER_API 1.4, "already in / past that
    /// state"), an update of an internal app is a no-op and its message is done.
    AlreadyDone {
        /// Where the order stands.
        status: OrderStatus,
    },
}

impl Decision {
    /// The events to append; none when it has already happened.
    pub fn events(&self) -> &[NewEvent] {
        match self {
            Self::Append { events, .. } => events,
            Self::RecordedOnly { event, .. } => std::slice::from_ref(event),
            Self::AlreadyDone { .. } => &[],
        }
    }

    /// The state to store; `None` when it has already happened.
    pub const fn next(&self) -> Option<&Lifecycle> {
        match self {
            Self::Append { next, .. } | Self::RecordedOnly { next, .. } => Some(next),
            Self::AlreadyDone { .. } => None,
        }
    }
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its place in the order, from 1, without a gap.
    pub sequence: u32,
    /// What happened.
    pub code: EventCode,
    /// When it is committed, strictly later than the event before it.
    pub created_at: Timestamp,
    /// What its metadata is made of.
    pub metadata: EventMetadata,
}

/// What an event's metadata is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventMetadata {
    /// There is none.
    None,
    /// The metadata of the update itself, as far as partners may see it; none when it had none.
    OfUpdate,
    /// The metadata of the update itself; when it had none, these facts: a request to cancel, its answer and a
    /// cancellation always say why.
    OfUpdateOr(Cancellation),
    /// `{CLIENT_ID}`: the application that acted.
    OfApplication,
    /// What was sent along, as of an update; when nothing was, the application that acted.
    OfUpdateOrApplication,
    /// `{CANCEL_STAGE, CANCEL_CODE, CANCEL_REASON, CANCEL_ORIGIN, CANCELLATION_REQUESTED_EVENT_ID, TIMEOUT_EVENT, …}`.
    Cancellation(Cancellation),
    /// `{disputeId, createdAt, status}`.
    Settlement {
        /// Which dispute ended.
        dispute: DisputeId,
        /// How.
        status: SettlementStatus,
    },
}

/// Who asked for a cancellation, why, and at which stage. Every text it leads to is one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancellation {
    /// Where the order stood: `CANCEL_STAGE`.
    pub stage: OrderStatus,
    /// `CANCEL_ORIGIN`.
    pub origin: CancelOrigin,
    /// `CANCEL_CODE`, and `CANCEL_REASON` by its description; `None` where nobody named one.
    pub code: Option<CancellationCode>,
    /// The sequence of the event that asked for it (`CAR`, `CCR`), whose id is `CANCELLATION_REQUESTED_EVENT_ID`.
    pub requested_by: Option<u32>,
    /// `TIMEOUT_EVENT`: nobody answered in time.
    pub timeout: bool,
}

impl Cancellation {
    /// `CANCEL_REASON`: the description of the code, else what the origin says.
    pub const fn reason(&self) -> &'static str {
        match (self.code, self.origin, self.timeout) {
            (Some(code), ..) => code.description(),
            (None, CancelOrigin::Restaurant, _) => "Solicitação de cancelamento da loja",
            (None, CancelOrigin::Consumer, false) => "Solicitação de cancelamento do cliente",
            (None, CancelOrigin::Consumer, true) => "Negociação não respondida no prazo",
            (None, CancelOrigin::Platform, true) => "Pedido não confirmado no prazo",
            (None, CancelOrigin::Platform, false) => "Cancelado pela plataforma",
        }
    }
}

/// Who wanted the cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CancelOrigin {
    /// The merchant.
    Restaurant,
    /// The consumer.
    Consumer,
    /// The platform itself.
    Platform,
}

impl CancelOrigin {
    /// The name on the wire, e.g. `RESTAURANT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restaurant => "RESTAURANT",
            Self::Consumer => "CONSUMER",
            Self::Platform => "PLATFORM",
        }
    }
}

/// It cannot be done where the order stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{attempted} is not legal in state {}; legal: {}", status.name(), ListOr(legal, "nothing"))]
pub struct Illegal {
    /// What was asked: a code, the name of an action or of a timer.
    pub attempted: &'static str,
    /// Where the order stands.
    pub status: OrderStatus,
    /// What would be legal: names of actions when a merchant asked, else the codes that would change something.
    pub legal: Vec<&'static str>,
    /// Whether some state that can still be reached allows it: it is only early, a retry makes sense.
    pub may_become_legal: bool,
}

/// A list with commas, or a word for the empty list.
struct ListOr<'a>(&'a [&'static str], &'static str);

impl std::fmt::Display for ListOr<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str(self.1);
        }
        for (position, name) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }
}
