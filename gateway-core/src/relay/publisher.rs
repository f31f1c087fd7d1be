//! Publishes one batch to the topic and clears the markers of what the topic took.
//!
//! Used by the lanes (at once after a commit) and by the reconciler (whatever is left). Order of the two steps: publish,
//! then clear. A process killed in between publishes the same event twice, with the same id, and never loses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::FeedEvent;
use futures::stream::{self, StreamExt};
use message_bus::{SharedTopic, TopicError, TopicMessage};
use order_model::SharedClock;

use crate::store::Store;
use crate::telemetry;

/// The longest one batch may take at the topic.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Markers cleared at the same time.
const CLEARING_CONCURRENCY: usize = 10;

/// How one batch went.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// What the topic took.
    pub(crate) taken: Vec<FeedEvent>,
    /// What it refuses and will refuse again, each with the broker's code. Says nothing about other events.
    pub(crate) refused: Vec<(FeedEvent, String)>,
    /// How many it did not take because it does not work.
    pub(crate) failed: usize,
}

/// The way to the topic, shared by lanes and reconciler.
pub(crate) struct Publisher {
    topic: SharedTopic,
    store: Arc<Store>,
    clock: SharedClock,
    /// Whether the topic took what it was last given. While it does not, only the reconciler keeps trying: hundreds of
    /// committing tasks must not each wait for a topic that is down.
    topic_works: AtomicBool,
    /// Events that the topic refuses and that the reconciler has set aside, at its latest look.
    set_aside: AtomicUsize,
}

impl Publisher {
    pub(crate) fn new(topic: SharedTopic, store: Arc<Store>, clock: SharedClock) -> Self {
        Self { topic, store, clock, topic_works: AtomicBool::new(true), set_aside: AtomicUsize::new(0) }
    }

    /// Whether it makes sense to publish outside of the reconciler.
    pub(crate) fn topic_works(&self) -> bool {
        self.topic_works.load(Ordering::Relaxed)
    }

    /// How many events are set aside because the topic refuses them.
    pub(crate) fn set_aside(&self) -> usize {
        self.set_aside.load(Ordering::Relaxed)
    }

    /// The reconciler has looked.
    pub(crate) fn report_set_aside(&self, events: usize) {
        self.set_aside.store(events, Ordering::Relaxed);
        metrics::gauge!("comanda_gateway_core_relay_set_aside").set(events as f64);
    }

    /// Publishes one batch. What failed or was refused keeps its marker and is the reconciler's.
    pub(crate) async fn publish(&self, batch: Vec<FeedEvent>) -> Published {
        let messages: Vec<TopicMessage> = batch.iter().map(to_message).collect();
        let timer = telemetry::dependency("sns", "publish");
        let results = tokio::time::timeout(PUBLISH_TIMEOUT, self.topic.publish(messages)).await.unwrap_or_default();
        let mut published = Published::default();
        let mut results = results.into_iter();
        let mut failure: Option<Option<TopicError>> = None;
        for event in batch {
            match results.next() {
                Some(Ok(())) => published.taken.push(event),
                Some(Err(TopicError::Refused { reason, .. })) => published.refused.push((event, reason)),
                Some(Err(error)) => {
                    published.failed += 1;
                    failure.get_or_insert(Some(error));
                }
                None => {
                    published.failed += 1;
                    failure.get_or_insert(None);
                }
            }
        }
        timer.result(&failure.as_ref().map_or(Ok(()), Err));
        self.judge(&published, failure);
        published
    }

    /// Records that the topic has taken `events`. A failure leaves the marker: the event is published once more.
    pub(crate) async fn clear(&self, events: Vec<FeedEvent>) {
        let now = self.clock.now();
        let clearing = stream::iter(events).map(|event| async move {
            let cleared = self.store.mark_published(event.order, event.sequence, now).await;
            if cleared.is_err() {
                metrics::counter!("comanda_gateway_core_relay_uncleared_total").increment(1);
            }
        });
        clearing.buffer_unordered(CLEARING_CONCURRENCY).for_each(|()| std::future::ready(())).await;
    }

    fn judge(&self, published: &Published, failure: Option<Option<TopicError>>) {
        let count = |outcome: &'static str, events: usize| {
            metrics::counter!("comanda_gateway_core_published_total", "outcome" => outcome).increment(events as u64);
        };
        count("taken", published.taken.len());
        count("failed", published.failed);
        count("refused", published.refused.len());
        match failure {
            None => {
                if !published.taken.is_empty() && !self.topic_works.swap(true, Ordering::Relaxed) {
                    tracing::info!(topic = self.topic.name(), "the topic takes events again");
                }
            }
            Some(error) => {
                if self.topic_works.swap(false, Ordering::Relaxed) {
                    let error = error.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
                    tracing::warn!(
                        topic = self.topic.name(),
                        error,
                        "the topic takes no events; they stay stored until it does"
                    );
                }
            }
        }
    }
}

fn to_message(event: &FeedEvent) -> TopicMessage {
    // Only the attributes are made anew, out of the stored header; the body is the stored one, byte for byte.
    let (_, attributes) = event_feed::notification::encode(event, "", None);
    TopicMessage { body: String::from_utf8_lossy(&event.body).into_owned(), attributes }
}
