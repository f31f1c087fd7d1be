//! The orders of the last two hours, for when the core cannot be reached.
//!
//! Filled in the background whenever an order is placed or patched; bounded in bytes, oldest out first. Holds personal
//! data: never logged, and gone after two hours. kitchen-api asks it only after the core did not answer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use order_model::{MerchantId, OrderId};
use parking_lot::Mutex;
use proto::gateway_core::GetOrderRequest;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::dependency;
use crate::service::Shared;

/// How long an order stays.
pub(crate) const RETENTION: Duration = Duration::from_secs(2 * 60 * 60);

/// How many orders may wait to be fetched (16 bytes each): a rebuild brings two hours' worth at once.
pub(crate) const QUEUED_MAX: usize = 100_000;

/// How many orders are fetched at the same time: enough for 500 orders/s at 10 ms each, little for the core.
const CONCURRENT_MAX: usize = 8;

/// How often an order is tried; what fails is only missing from the cache.
const ATTEMPTS: u32 = 3;

/// How long to wait before another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An order as the partner API serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedOrder {
    /// Whose order it is; the caller checks its scope against this.
    pub merchant: MerchantId,
    /// JSON. Personal data. Empty when the order was patched and has not been read again: whatever others have is old.
    pub body: Bytes,
    /// The sequence of the last event that the body takes account of; 0 when the core did not say.
    pub sequence: u32,
}

/// The cache: a map, and the order in which entries came.
#[derive(Debug, Default)]
pub(crate) struct OrderCache {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    orders: HashMap<OrderId, (Duration, CachedOrder)>,
    by_age: VecDeque<(Duration, OrderId)>,
    bytes: usize,
}

impl OrderCache {
    /// An empty cache of at most `bytes_max` bytes of bodies.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), bytes_max }
    }

    /// The order, if it is here and not too old at `now` (monotonic).
    pub(crate) fn get(&self, order: OrderId, now: Duration) -> Option<CachedOrder> {
        let inner = self.inner.lock();
        let (cached_at, cached) = inner.orders.get(&order)?;
        (now.saturating_sub(*cached_at) < RETENTION).then(|| cached.clone())
    }

    /// Forgets a body that does not have the patch of event `sequence` in it, and keeps in mind that older ones are no good:
    /// until the order is read again nobody may be shown how it was.
    pub(crate) fn patched(&self, order: OrderId, merchant: MerchantId, sequence: u32, now: Duration) {
        self.put(order, CachedOrder { merchant, body: Bytes::new(), sequence }, now);
    }

    /// Puts an order in, or its newer body, and lets go of what is too old or too much. A body that is older than what is
    /// here is left out: reads that began before a patch may end after it.
    pub(crate) fn put(&self, order: OrderId, cached: CachedOrder, now: Duration) {
        let mut inner = self.inner.lock();
        let is_newer = |known: &CachedOrder| {
            known.sequence > cached.sequence || (known.sequence == cached.sequence && cached.body.is_empty())
        };
        if cached.sequence != 0 && inner.orders.get(&order).is_some_and(|(_, known)| is_newer(known)) {
            return;
        }
        inner.bytes += cached.body.len();
        if let Some((_, replaced)) = inner.orders.insert(order, (now, cached)) {
            inner.bytes -= replaced.body.len();
        }
        inner.by_age.push_back((now, order));
        inner.evict(self.bytes_max, now);
    }

    /// Lets go of what is too old; answers how many orders and bytes are left.
    pub(crate) fn sweep(&self, now: Duration) -> (usize, usize) {
        let mut inner = self.inner.lock();
        inner.evict(self.bytes_max, now);
        (inner.orders.len(), inner.bytes)
    }
}

impl Inner {
    fn evict(&mut self, bytes_max: usize, now: Duration) {
        while let Some(&(cached_at, order)) = self.by_age.front() {
            let too_old = now.saturating_sub(cached_at) >= RETENTION;
            if !too_old && self.bytes <= bytes_max {
                return;
            }
            self.by_age.pop_front();
            // A patched order has a newer place in the line and stays for that one.
            if self.orders.get(&order).is_some_and(|(current, _)| *current == cached_at)
                && let Some((_, removed)) = self.orders.remove(&order)
            {
                self.bytes -= removed.body.len();
            }
        }
    }
}

/// Fetches the orders named on `wanted` until `shutdown`.
pub(crate) async fn fill(
    shared: Arc<Shared>,
    core: GatewayCoreClient<Transport>,
    mut wanted: mpsc::Receiver<OrderId>,
    shutdown: CancellationToken,
) {
    let wanted = futures::stream::poll_fn(move |context| wanted.poll_recv(context));
    let fetch = |order| fetch(Arc::clone(&shared), core.clone(), order);
    let filling = wanted.for_each_concurrent(CONCURRENT_MAX, fetch);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = filling => {}
    }
}

async fn fetch(shared: Arc<Shared>, mut core: GatewayCoreClient<Transport>, order: OrderId) {
    for attempt in 1..=ATTEMPTS {
        let order_id = proto::conversions::to_bytes(order.as_bytes());
        let request = GetOrderRequest { order_id, ..GetOrderRequest::default() };
        let reply = dependency::call("gateway-core", "get_order", dependency::DEADLINE, core.get_order(request)).await;
        if let Ok(reply) = reply
            && let Ok(merchant) = proto::conversions::merchant_id(&reply.merchant_id)
        {
            let cached =
                CachedOrder { merchant, body: Bytes::copy_from_slice(&reply.body), sequence: reply.last_sequence };
            return shared.orders.put(order, cached, shared.clock.monotonic());
        }
        if attempt < ATTEMPTS {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
    shared.telemetry.orders_not_cached.increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u8) -> OrderId {
        OrderId::from_bytes([number; 16])
    }

    fn cached(bytes: usize) -> CachedOrder {
        CachedOrder { merchant: MerchantId::from_bytes([1; 16]), body: Bytes::from(vec![b'x'; bytes]), sequence: 0 }
    }

    #[test]
    fn a_patched_order_is_not_shown_as_it_was() {
        let cache = OrderCache::new(1_000);
        let at = Duration::from_secs;
        let read = |sequence, bytes| CachedOrder { sequence, ..cached(bytes) };
        let merchant = cached(0).merchant;
        cache.put(order(1), read(1, 10), at(1));
        cache.patched(order(1), merchant, 3, at(2));
        assert!(cache.get(order(1), at(2)).unwrap().body.is_empty());
        cache.put(order(1), read(2, 20), at(3));
        assert!(cache.get(order(1), at(3)).unwrap().body.is_empty(), "a read that began before the patch");
        cache.put(order(1), read(3, 30), at(4));
        assert_eq!(cache.get(order(1), at(4)), Some(read(3, 30)));
        cache.patched(order(1), merchant, 3, at(5));
        assert_eq!(cache.get(order(1), at(5)), Some(read(3, 30)), "it is in there already");
        assert_eq!(cache.sweep(at(5)), (1, 30));
    }

    #[test]
    fn it_is_bounded_in_bytes_and_age() {
        let cache = OrderCache::new(100);
        let at = Duration::from_secs;
        cache.put(order(1), cached(60), at(1));
        cache.put(order(2), cached(30), at(2));
        cache.put(order(1), cached(50), at(3));
        assert_eq!(cache.sweep(at(3)), (2, 80), "a newer body replaces");
        cache.put(order(3), cached(40), at(4));
        assert_eq!(cache.get(order(2), at(4)), None, "the oldest made room");
        assert_eq!(cache.get(order(1), at(4)), Some(cached(50)));
        assert_eq!(cache.get(order(1), at(3) + RETENTION), None);
        assert_eq!(cache.sweep(at(3) + RETENTION), (1, 40));
    }
}
