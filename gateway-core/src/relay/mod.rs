//! The outbox relay: every committed event reaches the topic at least once.
//!
//! The task that committed an event offers it to a lane, which publishes it at once together with whatever else is
//! waiting there; the reconciler repairs what was left over. An event is marked as unpublished by the transaction that
//! commits it, so a process can be killed anywhere in here. Deciding what to publish together is in [`batch`], what
//! becomes of an event that the topic refuses in [`refusals`].

pub(crate) mod batch;
pub(crate) mod publisher;
pub(crate) mod reconciler;
mod refusals;

use std::sync::Arc;

use event_feed::FeedEvent;
use message_bus::BATCH_MAX;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::spread;
use publisher::Publisher;

/// Lanes publish side by side; the events of one order share a lane, so that they are published in order.
const LANES: usize = 8;
/// Events waiting in one lane. More are left to the reconciler: they are stored, and memory is bounded.
const LANE_CAPACITY: usize = 1_000;
/// Batches of one lane whose markers are being cleared while it publishes the next.
const CLEARINGS_PER_LANE_MAX: usize = 8;

/// Where committed events are offered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Relay {
    lanes: Arc<[mpsc::Sender<FeedEvent>]>,
    publisher: Arc<Publisher>,
}

/// The receiving ends, until the service runs.
pub(crate) struct Lanes(Mutex<Vec<mpsc::Receiver<FeedEvent>>>);

impl Relay {
    pub(crate) fn new(publisher: Arc<Publisher>) -> (Self, Lanes) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::channel(LANE_CAPACITY)).unzip();
        (Self { lanes: senders.into(), publisher }, Lanes(Mutex::new(receivers)))
    }

    /// How many events wait in the lanes.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.max_capacity() - lane.capacity()).sum()
    }

    /// Hands committed events over to be published at once; never waits.
    pub(crate) fn offer(&self, events: &[FeedEvent]) {
        if !self.publisher.topic_works() {
            return;
        }
        for event in events {
            let lane = &self.lanes[usize::from(spread(event.order)) % LANES];
            if lane.try_send(event.clone()).is_err() {
                metrics::counter!("comanda_gateway_core_relay_overflow_total").increment(1);
            }
        }
    }
}

impl Lanes {
    /// Publishes what is offered until `shutdown`, then what is still waiting.
    pub(crate) async fn run(&self, publisher: &Arc<Publisher>, shutdown: &CancellationToken) {
        let receivers = std::mem::take(&mut *self.0.lock());
        let lanes = receivers.into_iter().map(|lane| run_lane(lane, publisher, shutdown));
        futures::future::join_all(lanes).await;
    }
}

async fn run_lane(mut lane: mpsc::Receiver<FeedEvent>, publisher: &Arc<Publisher>, shutdown: &CancellationToken) {
    let mut clearings = JoinSet::new();
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            biased;
            // None received: nobody is left who could offer.
            received = lane.recv_many(&mut waiting, BATCH_MAX) => if received == 0 { break },
            () = shutdown.cancelled() => break,
        }
        if !publisher.topic_works() {
            // The reconciler finds them by their markers.
            waiting.clear();
        }
        for batch in batch::batches(std::mem::take(&mut waiting)) {
            let published = publisher.publish(batch).await;
            if clearings.len() >= CLEARINGS_PER_LANE_MAX {
                clearings.join_next().await;
            }
            let publisher = Arc::clone(publisher);
            clearings.spawn(async move { publisher.clear(published.taken).await });
        }
        while clearings.try_join_next().is_some() {}
    }
    while clearings.join_next().await.is_some() {}
}
