//! A message in the agent's hands, and the list of all of them, which keeps them hidden in the queue.
//!
//! A message leaves the list the moment it is dropped, however that comes about. Deleting and giving back are
//! deliberately absent: see [`crate::settlement`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_feed::TraceId;
use message_bus::{ReceiptHandle, ReceivedMessage};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// The name of the attribute that carries the trace.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// A message in the agent's hands.
pub(crate) struct Held {
    pub(crate) message: ReceivedMessage,
    /// When it was received, monotonic.
    pub(crate) received_at: Duration,
    ticket: u64,
    list: Arc<HeldList>,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    /// The trace its producer put it under; zero when none.
    pub(crate) fn trace(&self) -> TraceId {
        self.message.attributes.get(TRACEPARENT).map(|text| TraceId::from_traceparent(text)).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.list.receipts.lock().remove(&self.ticket);
        metrics::gauge!("comanda_gateway_agent_in_flight").decrement(1.0);
    }
}

/// Every message held.
#[derive(Default)]
pub(crate) struct HeldList {
    next_ticket: AtomicU64,
    receipts: Mutex<HashMap<u64, ReceiptHandle>>,
}

impl HeldList {
    /// Takes a message in; `permit` is its place.
    pub(crate) fn take(
        self: &Arc<Self>,
        message: ReceivedMessage,
        received_at: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Held {
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        self.receipts.lock().insert(ticket, message.receipt.clone());
        metrics::gauge!("comanda_gateway_agent_in_flight").increment(1.0);
        Held { message, received_at, ticket, list: Arc::clone(self), _permit: permit }
    }

    /// The receipts of all of them.
    pub(crate) fn receipts(&self) -> Vec<ReceiptHandle> {
        self.receipts.lock().values().cloned().collect()
    }
}
