//! How long an acknowledgment is remembered, whether its event is known or not.
//!
//! An acknowledgment may beat its event: kitchen-api writes it to both sides, and each side has a queue of its own. So
//! a side that does not know the event keeps a tombstone (application, event id), and the event is born acknowledged.
//! Which ids are genuine is decided before this, with `EventId::is_genuine`; others are stored nowhere.

use std::time::Duration;

use order_model::{EventId, Timestamp};

/// An acknowledgment outlives the expiry of its event by this, so that clocks that disagree a little bring nothing back.
pub const REMEMBERED_AFTER_EXPIRY: Duration = Duration::from_secs(60 * 60);

/// An acknowledgment of an event that never came is remembered for this long after the event's creation: 14 days, the
/// longest any queue (SQS) keeps a message, so that the event cannot come later than that.
pub const REMEMBERED_UNKNOWN: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The most ids of one acknowledgment (CONTRACT, "Answers").
pub const ACKNOWLEDGMENT_IDS_MAX: usize = 10_000;

/// Until when the acknowledgment of an event that expires at `expires_at` is remembered, this instant excluded.
pub fn remembered_until(expires_at: Timestamp) -> Timestamp {
    expires_at.plus(REMEMBERED_AFTER_EXPIRY)
}

/// Until when the acknowledgment of the genuine id of an event that has not arrived is remembered. When it arrives,
/// [`remembered_until`] takes over.
pub fn tombstone_until(id: EventId) -> Timestamp {
    id.created_at().plus(REMEMBERED_UNKNOWN)
}
