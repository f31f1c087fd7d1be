//! Events that arrive while polls are measured: straight into order-events' feed queue, as the topic would put them there.
//!
//! They stay pending, so that polls have something to show. The core, the topic and the fallback are left out: what their
//! in-process stand-ins cost is `bench ingest`'s subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_feed::{FeedEvent, TraceId, notification};
use message_bus::{OutgoingMessage, Queue};
use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, SharedClock, Timestamp};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::platform::aws::{AwsClients, ORDER_EVENTS_FEED};
use crate::platform::production::dev_event_id_key;
use crate::platform::seed;
use crate::system_clock::SystemClock;

/// As many as one call of the queue takes.
const BATCH: u32 = 10;

/// How long an event stays pending: longer than any benchmark.
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Events that arrive until this is dropped.
pub struct Arrivals {
    taken: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Arrivals {
    /// Sends `per_second` events, spread over `merchants`; 0 sends none.
    pub fn start(aws: AwsClients, per_second: u32, merchants: u32) -> Self {
        let (stop, taken) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        if per_second > 0 {
            let (stop, taken) = (stop.clone(), Arc::clone(&taken));
            tokio::spawn(async move { stop.run_until_cancelled(send(aws, per_second, merchants, taken)).await });
        }
        Self { taken, _stop: stop.drop_guard() }
    }

    /// How many the queue has taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn send(aws: AwsClients, per_second: u32, merchants: u32, taken: Arc<AtomicU64>) {
    let queue: Arc<dyn Queue> = Arc::new(message_bus::sqs::SqsQueue::new(aws.sqs, "", ORDER_EVENTS_FEED));
    let clock = SystemClock::shared();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) * BATCH / per_second);
    let mut made = 0_u32;
    loop {
        ticks.tick().await;
        let batch: Vec<OutgoingMessage> = (0..BATCH)
            .map(|_| {
                made = made.wrapping_add(1);
                message(made % merchants + 1, &clock)
            })
            .collect();
        let (queue, taken) = (Arc::clone(&queue), Arc::clone(&taken));
        tokio::spawn(async move {
            let sent = queue.send(batch).await.into_iter().filter(Result::is_ok).count();
            taken.fetch_add(sent as u64, Ordering::Relaxed);
        });
    }
}

fn message(merchant: u32, clock: &SharedClock) -> OutgoingMessage {
    let order = OrderId::from_uuid(Uuid::new_v4());
    let event = event(&dev_event_id_key(), seed::merchant_id(merchant), order, clock.now());
    let (body, attributes) = notification::encode(&event, "BENCH", None);
    OutgoingMessage { body, attributes }
}

/// The PLACED event of an order, made now.
pub fn event(key: &EventIdKey, merchant: MerchantId, order: OrderId, now: Timestamp) -> FeedEvent {
    FeedEvent {
        id: EventId::derive(key, now, merchant, order, 1),
        order,
        merchant,
        code: EventCode::Placed,
        category: EventCategory::Food,
        sequence: 1,
        created_at: now,
        expires_at: now.plus(LIFETIME),
        trace: TraceId(*Uuid::new_v4().as_bytes()),
        body: bytes::Bytes::new(),
    }
}
