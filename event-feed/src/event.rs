//! An event as both feeds hold it: a typed header that rules look at, and a body that they never open.

use std::fmt;

use bytes::Bytes;
use order_model::{EventCategory, EventCode, EventId, MerchantId, OrderId, Timestamp};

/// The 16 bytes of a W3C trace id, all zero when the producer sent none. Follows an event from the queue message to
/// the poll that serves it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// The trace id inside a `traceparent` header (`00-<32 hex>-<16 hex>-<2 hex>`); zero when it is not one.
    pub fn from_traceparent(text: &str) -> Self {
        let Some(digits) = text.split('-').nth(1).filter(|digits| digits.len() == 32) else {
            return Self::default();
        };
        match u128::from_str_radix(digits, 16) {
            Ok(value) => Self(value.to_be_bytes()),
            Err(_) => Self::default(),
        }
    }

    /// A `traceparent` header under this trace id, with `span` as the parent id.
    pub fn to_traceparent(self, span: u64) -> String {
        format!("00-{self}-{:016x}-01", span.max(1))
    }

    /// Whether a producer or we ever set it.
    pub fn is_set(self) -> bool {
        self.0 != [0; 16]
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One event of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Unique; the same at every delivery.
    pub id: EventId,
    /// The order it happened to.
    pub order: OrderId,
    /// The merchant that sees it.
    pub merchant: MerchantId,
    /// What happened.
    pub code: EventCode,
    /// The order's category, which filters look at.
    pub category: EventCategory,
    /// Position within the order, from 1, without gaps.
    pub sequence: u32,
    /// When the core committed it; strictly increasing within an order.
    pub created_at: Timestamp,
    /// Past this instant no side indexes or serves it.
    pub expires_at: Timestamp,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// One JSON object of the Merchant API (PARTNER_API, section 2.1), rendered once; a poll concatenates these.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_survives_its_header() {
        let trace = TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(TraceId::from_traceparent(&trace.to_traceparent(0)), trace);
        assert!(!TraceId::from_traceparent("nonsense").is_set());
    }
}
