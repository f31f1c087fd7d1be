//! Publishes one batch to the topic and clears the markers of what the topic took.
//!
//! Used by the lanes (at once after a commit) and by the reconciler (whatever is left). Order of the two steps: publish,
//! then clear. A process killed in between publishes the same event twice, with the same id, and never loses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// How many it did not take.
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
}

impl Publisher {
    pub(crate) fn new(topic: SharedTopic, store: Arc<Store>, clock: SharedClock) -> Self {
        Self { topic, store, clock, topic_works: AtomicBool::new(true) }
    }

    /// Whether it makes sense to publish outside of the reconciler.
    pub(crate) fn topic_works(&self) -> bool {
        self.topic_works.load(Ordering::Relaxed)
    }

    /// Publishes one batch. What failed keeps its marker and is the reconciler's.
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
        match failure {
            None => {
                if !self.topic_works.swap(true, Ordering::Relaxed) {
                    tracing::info!(topic = self.topic.name(), "the topic takes events again");
                }
            }
            // One event that the topic refuses says nothing about the others.
            Some(Some(TopicError::Refused { topic, reason })) => {
                tracing::error!(topic, reason, "the topic refuses an event; it stays unpublished and is retried");
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
