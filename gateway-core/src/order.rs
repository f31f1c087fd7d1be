//! An order as the core keeps it between transitions: its lifecycle, and what every event of it needs.
//!
//! Loaded and written by `store`, changed only by `planning`. The body is deliberately absent: it is an item of its own.

use event_feed::TraceId;
use order_model::lifecycle::DeliveryProgress;
use order_model::lifecycle::state::Lifecycle;
use order_model::{EventCategory, EventId, EvidenceId, MerchantId, OrderId, Timestamp};

use crate::codes::{CodeChecks, CodeKind};
use crate::position::Position;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Its id.
    pub(crate) id: OrderId,
    /// Whose it is.
    pub(crate) merchant: MerchantId,
    /// Increases by one with every transition, from 1.
    pub(crate) version: u64,
    /// The version that wrote its body last; 0 where an older build wrote it. A body of another version was read torn: not
    /// together with this.
    pub(crate) body_version: u64,
    /// What is legal, the next sequence, the last `createdAt`.
    pub(crate) lifecycle: Lifecycle,
    /// Inherited by its events.
    pub(crate) category: EventCategory,
    /// Shown in its events, as it was sent; never empty.
    pub(crate) sales_channel: String,
    /// When it was committed first.
    pub(crate) placed_at: Timestamp,
    /// Delivery or pickup time promised.
    pub(crate) promised_at: Option<Timestamp>,
    /// Fixed at placement.
    pub(crate) confirm_by: Timestamp,
    /// Digest of the message that placed it.
    pub(crate) placed_digest: [u8; 32],
    /// The trace of the message that placed it; also that of what the core does by itself.
    pub(crate) trace: TraceId,
    /// Personal data was blanked.
    pub(crate) is_erased: bool,
    /// When its last event expires.
    pub(crate) last_event_expires_at: Timestamp,
    /// Until when it can be read.
    pub(crate) kept_until: Timestamp,
    /// The ids of requests to cancel that are still open, which their outcome refers to.
    pub(crate) open_requests: Vec<OpenRequest>,
    /// How far its courier is, and what was asked of the delivery.
    pub(crate) progress: DeliveryProgress,
    /// What was tried of the courier's code.
    pub(crate) pickup_code: CodeChecks,
    /// What was tried of the customer's code.
    pub(crate) drop_code: CodeChecks,
    /// The files that came with its disputes, each an item of its own.
    pub(crate) evidence: Vec<EvidenceId>,
    /// Where its courier was last, while it is on its way.
    pub(crate) position: Option<Position>,
    /// When a deadline of it must be looked at.
    pub(crate) due_at: Option<Timestamp>,
}

/// A `CAR` or `CCR` that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenRequest {
    /// Its place in the order.
    pub(crate) sequence: u32,
    /// Its id.
    pub(crate) id: EventId,
}

impl Order {
    /// What was tried of a code.
    pub(crate) const fn checks(&self, kind: CodeKind) -> CodeChecks {
        match kind {
            CodeKind::Pickup => self.pickup_code,
            CodeKind::Drop => self.drop_code,
        }
    }

    /// Notes what was tried of a code.
    pub(crate) const fn set_checks(&mut self, kind: CodeKind, checks: CodeChecks) {
        match kind {
            CodeKind::Pickup => self.pickup_code = checks,
            CodeKind::Drop => self.drop_code = checks,
        }
    }

    /// Whether it can still be read at `now`.
    pub(crate) fn is_kept(&self, now: Timestamp) -> bool {
        now < self.kept_until
    }
}
