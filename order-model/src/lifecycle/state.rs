//! The state of one order: its status and the side facts that legality depends on.
//!
//! A plain value. gateway-core keeps it (see `stored`), `decide` makes the next one; nothing else changes it.

use crate::event_code::EventCode;
use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::dispute::{Dispute, DisputeId};
use crate::lifecycle::kind::OrderKind;
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// One order, as far as decisions about it go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifecycle {
    /// Fixed at placement.
    pub kind: OrderKind,
    /// Where it stands.
    pub status: OrderStatus,
    /// Which steps and requests have ever happened: tells a repeat from a step that was overtaken.
    pub happened: Happened,
    /// The merchant asked to cancel (`CAR`) and has no answer yet.
    pub merchant_request: Option<MerchantRequest>,
    /// The consumer asked to cancel: the sequence of the `CCR` that has no answer yet.
    pub consumer_request: Option<u32>,
    /// The dispute that waits for an answer; at most one.
    pub dispute: Option<Dispute>,
    /// The dispute settled last: tells a repeated `HSS` from an early one.
    pub settled_dispute: Option<DisputeId>,
    /// The sequence of the next event, from 1; 2 right after placement.
    pub next_sequence: u32,
    /// `createdAt` of the last event.
    pub last_created_at: Timestamp,
}

/// A merchant's request to cancel that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerchantRequest {
    /// The sequence of its `CAR`.
    pub sequence: u32,
    /// Why; `None` when an internal app reported the request.
    pub code: Option<CancellationCode>,
}

/// A set of event codes. Only steps, requests to cancel and their answers are kept: of everything else (couriers,
/// addresses, groups) any number may happen, and a repeat cannot be told from a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Happened(u64);

/// The codes that [`Happened`] keeps.
const KEPT: u64 = bit(EventCode::Placed)
    | bit(EventCode::Confirmed)
    | bit(EventCode::SeparationStarted)
    | bit(EventCode::SeparationEnded)
    | bit(EventCode::PreparationStarted)
    | bit(EventCode::ReadyToPickup)
    | bit(EventCode::Dispatched)
    | bit(EventCode::Concluded)
    | bit(EventCode::Cancelled)
    | bit(EventCode::CancellationRequested)
    | bit(EventCode::CancellationRequestFailed)
    | bit(EventCode::ConsumerCancellationRequested)
    | bit(EventCode::ConsumerCancellationAccepted)
    | bit(EventCode::ConsumerCancellationDenied);

/// The bit of `code`: its storage number, which is below 64 for every kept code (else this does not compile).
const fn bit(code: EventCode) -> u64 {
    assert!(code.number() < 64);
    1 << code.number()
}

impl Happened {
    /// The set with `code` in it, when it is one that is kept.
    #[must_use]
    pub const fn with(self, code: EventCode) -> Self {
        let number = code.number();
        if number < 64 { Self(self.0 | ((1 << number) & KEPT)) } else { self }
    }

    /// Whether `code` has happened. Always false for a code that is not kept.
    pub const fn contains(self, code: EventCode) -> bool {
        let number = code.number();
        number < 64 && self.0 & (1 << number) != 0
    }

    /// The set as a number: bit n is the code with storage number n.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set stored as `bits`; bits of codes that are not kept are dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & KEPT)
    }
}
