//! The nouns of an order and its pure lifecycle.
//!
//! Every other crate speaks in these types. Nothing here reads a clock, draws a random number, does I/O or knows a
//! wire format: no tokio, no serde, no prost. Time enters as a [`Timestamp`] field, keys as arguments.

pub mod clock;
pub mod coordinates;
pub mod event_code;
pub mod event_id;
#[cfg(test)]
mod hostile;
pub mod identifiers;
pub mod lifecycle;
pub mod routing;
pub mod timestamp;

pub use clock::{Clock, ManualClock, SharedClock};
pub use coordinates::{Coordinates, InvalidCoordinates};
pub use event_code::{EventCategory, EventCode, EventGroup};
pub use event_id::{EventId, EventIdKey};
pub use identifiers::{ApplicationId, EvidenceId, MerchantId, OrderId, ParseIdError};
pub use routing::{PartitionCount, PartitionId, RoutingHash};
pub use timestamp::{ParseTimestampError, Timestamp};
