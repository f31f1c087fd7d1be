//! Carries decided transitions out: written to the store, then published, then marked; again until it works.
//!
//! The leader of a partition hands over the oldest of its replicated outbox, a batch at a time, so that two transitions of
//! one merchant never overtake each other, and has the batch marked in the state when this is done. A leader that dies
//! between the steps leaves a publication to be repeated, under the same id, and none to be invented.

use std::time::Duration;

use futures::StreamExt;
use message_bus::{SharedTopic, TopicError, TopicMessage};
use order_model::MerchantId;

use crate::presence::Transition;
use crate::store::{Recorded, Store, StoreError};

/// Writes under way at once.
const WRITES_MAX: usize = 32;
/// First and last pause of a retry.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where transitions go.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) store: Store,
    pub(crate) topic: SharedTopic,
}

impl Outbox {
    /// Works on some transitions until every one is published, in the order of each merchant.
    pub(crate) async fn carry_out(&self, transitions: Vec<Transition>) {
        let mut rest = transitions;
        while !rest.is_empty() {
            let (round, later) = first_of_each_merchant(rest);
            self.write_and_publish(round).await;
            rest = later;
        }
    }

    async fn write_and_publish(&self, mut transitions: Vec<Transition>) {
        let mut pause = RETRY.0;
        let mut warned = false;
        while !transitions.is_empty() {
            let failed = self.try_once(transitions).await;
            transitions = failed.transitions;
            if let Some(reason) = failed.reason {
                if !warned {
                    tracing::warn!(
                        waiting = transitions.len(),
                        reason,
                        "presence transitions wait for the store or the topic"
                    );
                    warned = true;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }
        if warned {
            tracing::info!("presence transitions are carried out again");
        }
    }

    /// Writes, publishes and marks; gives back those that must be tried again.
    async fn try_once(&self, transitions: Vec<Transition>) -> Failed {
        let mut failed = Failed::default();
        let write =
            |transition: Transition| async move { (transition, self.store.record_transition(&transition).await) };
        let written: Vec<(Transition, Result<Recorded, StoreError>)> =
            futures::stream::iter(transitions).map(write).buffered(WRITES_MAX).collect().await;
        let mut publishable = Vec::with_capacity(written.len());
        for (transition, outcome) in written {
            match outcome {
                Ok(Recorded::Stands) => publishable.push(transition),
                // Whoever wrote the other one publishes it: two under one sequence would contradict each other.
                Ok(Recorded::Superseded) => superseded(&transition),
                Err(error) => failed.add(transition, &error),
            }
        }
        let outcomes = self.publish(&publishable).await;
        let mut published = Vec::with_capacity(publishable.len());
        for (transition, outcome) in publishable.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => published.push(transition),
                Err(error) => failed.add(transition, &error),
            }
        }
        // An unmarked one is published again after a restart, with the same id; that is allowed.
        let mark = |transition: Transition| async move { self.store.mark_published(&transition).await };
        let _: Vec<_> = futures::stream::iter(published).map(mark).buffered(WRITES_MAX).collect().await;
        failed
    }

    /// Publishes; one outcome for each, in order.
    async fn publish(&self, transitions: &[Transition]) -> Vec<Result<(), TopicError>> {
        if transitions.is_empty() {
            return Vec::new();
        }
        let started = tokio::time::Instant::now();
        let outcomes = self.topic.publish(transitions.iter().map(message).collect()).await;
        let published = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let outcome = if published == outcomes.len() { "ok" } else { "error" };
        let labels = [("dependency", "merchant-status"), ("operation", "publish"), ("outcome", outcome)];
        metrics::histogram!("comanda_dependency_seconds", &labels).record(started.elapsed());
        metrics::counter!("comanda_merchant_connection_published_total").increment(published as u64);
        outcomes
    }
}

/// Another process decided under this sequence, which happens only while two clusters run on one table.
fn superseded(transition: &Transition) {
    metrics::counter!("comanda_merchant_connection_superseded_total").increment(1);
    tracing::warn!(
        sequence = transition.sequence,
        "a presence transition was dropped: another process wrote its sequence"
    );
}

#[derive(Default)]
struct Failed {
    transitions: Vec<Transition>,
    reason: Option<String>,
}

impl Failed {
    fn add(&mut self, transition: Transition, error: &dyn std::error::Error) {
        self.transitions.push(transition);
        self.reason.get_or_insert_with(|| error.to_string());
    }
}

/// Splits off the first transition of each merchant; the rest keeps its order.
fn first_of_each_merchant(transitions: Vec<Transition>) -> (Vec<Transition>, Vec<Transition>) {
    let mut seen = std::collections::HashSet::new();
    transitions.into_iter().partition(|transition| seen.insert(transition.merchant))
}

/// A transition as it stands on the topic (CONTRACT).
pub(crate) fn message(transition: &Transition) -> TopicMessage {
    let merchant: MerchantId = transition.merchant;
    let status = if transition.online { "ONLINE" } else { "OFFLINE" };
    let body = serde_json::json!({
        "id": transition.id().to_string(),
        "merchantId": merchant.to_string(),
        "status": status,
        "reason": transition.reason.code(),
        "changedAt": transition.changed_at().to_string(),
        "lastHeartbeatAt": order_model::Timestamp::from_unix_ms(transition.last_heartbeat_at_ms).to_string(),
        "sequence": transition.sequence,
    });
    let attributes = [("merchantId", merchant.to_string()), ("status", status.to_owned())];
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    TopicMessage { body: body.to_string(), attributes }
}
