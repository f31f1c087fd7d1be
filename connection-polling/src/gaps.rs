//! Filling gaps: what a feed does when an event has waited long enough for one that did not arrive.
//!
//! Called by `poll` with orders whose events were held back in vain. A gap may be one no longer (the missing event
//! arrived, was acknowledged and is no longer read), so the order's record is looked at first. A gap that remains is
//! counted, fetched from the core and indexed, so that every poll sees it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use order_model::{EventId, EventIdKey, OrderId};
use parking_lot::Mutex;
use proto::conversions::{event_from_wire, to_bytes};
use proto::gateway_core::EventsOfOrderRequest;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;

use crate::index::Index;
use crate::pending::Gap;
use crate::recent::Recent;
use crate::store::Store;

/// A poll waits for the core this long; it can do without.
const CORE_TIMEOUT: Duration = Duration::from_millis(500);
/// Orders one poll fetches: the next poll fetches more.
const ORDERS_PER_POLL_MAX: usize = 8;
/// Gaps remembered as closed, so that an event that stays pending does not have them looked at by every poll.
const CLOSED_REMEMBERED: usize = 50_000;

/// Looks after gaps.
#[derive(Clone)]
pub(crate) struct GapFiller {
    store: Store,
    index: Index,
    core: GatewayCoreClient<Transport>,
    event_id_key: EventIdKey,
    closed: Arc<Mutex<Recent<(OrderId, u32)>>>,
}

impl GapFiller {
    pub(crate) fn new(store: Store, index: Index, core: Transport, event_id_key: EventIdKey) -> Self {
        let closed = Arc::new(Mutex::new(Recent::new(CLOSED_REMEMBERED)));
        Self { store, index, core: GatewayCoreClient::new(core), event_id_key, closed }
    }

    /// Tries to fill these gaps; whether any event was indexed by it. A failure leaves the gap for the next poll.
    pub(crate) async fn fill(&self, gaps: impl Iterator<Item = &Gap>) -> bool {
        let open: Vec<&Gap> = {
            let closed = self.closed.lock();
            gaps.filter(|gap| !closed.contains(&(gap.order, gap.before))).collect()
        };
        if open.is_empty() {
            return false;
        }
        let Ok(tracks) = self.store.sequence_tracks(open.iter().map(|gap| gap.order)).await else { return false };
        let mut by_order: Vec<&Gap> = Vec::new();
        for gap in open {
            let is_open = tracks.get(&gap.order).is_none_or(|track| track.lower_is_missing(gap.before));
            if !is_open {
                self.closed.lock().insert((gap.order, gap.before));
            } else if by_order.iter().all(|known| known.order != gap.order) {
                by_order.push(gap);
            }
        }
        by_order.truncate(ORDERS_PER_POLL_MAX);
        join_all(by_order.into_iter().map(|gap| self.fetch(gap))).await.contains(&true)
    }

    async fn fetch(&self, gap: &Gap) -> bool {
        let (Some(&from), Some(&to)) = (gap.missing.first(), gap.missing.last()) else { return false };
        let request =
            EventsOfOrderRequest { order_id: to_bytes(gap.order.as_bytes()), from_sequence: from, to_sequence: to };
        let mut core = self.core.clone();
        let started = tokio::time::Instant::now();
        // Boxed: the compiler cannot see through the client's generic transport that the whole poll is `Send`.
        let call = async move { core.events_of_order(request).await }.boxed();
        let reply = tokio::time::timeout(CORE_TIMEOUT, call).await;
        let reply = reply.ok().and_then(Result::ok);
        let outcome = if reply.is_some() { "ok" } else { "unavailable" };
        let labels = [("dependency", "gateway-core"), ("operation", "EventsOfOrder"), ("outcome", outcome)];
        metrics::histogram!("comanda_dependency_seconds", &labels).record(started.elapsed());
        let received = reply.map(|reply| reply.into_inner().events).unwrap_or_default();
        let events: Vec<_> = received.iter().filter_map(|event| event_from_wire(event).ok()).collect();
        let ours: Vec<_> =
            events.into_iter().filter(|event| event.order == gap.order && self.is_genuine(event)).collect();
        let filled = !ours.is_empty() && self.index.put(&ours).await.is_ok();
        let outcome = if filled { "filled" } else { "left_open" };
        metrics::counter!("comanda_connection_polling_gaps_total", "outcome" => outcome).increment(1);
        filled
    }

    fn is_genuine(&self, event: &event_feed::FeedEvent) -> bool {
        let derived =
            EventId::derive(&self.event_id_key, event.created_at, event.merchant, event.order, event.sequence);
        derived == event.id
    }
}
