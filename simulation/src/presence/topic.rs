//! The topic `merchant-status`: what is published is recorded, and fails while the queues do.
//!
//! An answer that is lost in an outage leaves the publisher without knowledge: the message was taken all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use message_bus::{Topic, TopicError, TopicMessage};
use order_model::{MerchantId, Timestamp};
use serde_json::Value;

use crate::feed::cloud::thawed;
use crate::feed::merchant_number;
use crate::history::Observation;
use crate::machine::Machine;
use crate::recorder::Recorder;

/// How long a message, and its answer, are on their way.
const ONE_WAY: Duration = Duration::from_millis(4);

/// The topic as one machine reaches it.
pub struct TopicModel {
    /// Where what is published goes.
    pub recorder: Recorder,
    /// Who publishes.
    pub machine: Arc<Machine>,
    /// Whether it fails; of all machines.
    pub is_down: Arc<AtomicBool>,
}

impl TopicModel {
    fn result(&self) -> Result<(), TopicError> {
        if !self.is_down.load(Ordering::SeqCst) {
            return Ok(());
        }
        let source = "the outage that was planned".into();
        Err(TopicError::Unavailable { topic: self.name().to_owned(), source })
    }
}

impl Topic for TopicModel {
    fn name(&self) -> &str {
        "merchant-status"
    }

    fn publish(&self, messages: Vec<TopicMessage>) -> BoxFuture<'_, Vec<Result<(), TopicError>>> {
        async move {
            tokio::time::sleep(ONE_WAY).await;
            thawed(&self.machine).await;
            if self.result().is_ok() {
                for message in &messages {
                    self.recorder.see(transition(&message.body).unwrap_or_else(|| Observation::Broken {
                        reason: format!("a message on {} does not read: {}", self.name(), message.body),
                    }));
                }
            }
            tokio::time::sleep(ONE_WAY).await;
            thawed(&self.machine).await;
            messages.iter().map(|_| self.result()).collect()
        }
        .boxed()
    }
}

fn transition(body: &str) -> Option<Observation> {
    let body: Value = serde_json::from_str(body).ok()?;
    let online = match body["status"].as_str()? {
        "ONLINE" => true,
        "OFFLINE" => false,
        _ => return None,
    };
    let merchant: MerchantId = body["merchantId"].as_str()?.parse().ok()?;
    let changed_at: Timestamp = body["changedAt"].as_str()?.parse().ok()?;
    Some(Observation::Transition {
        merchant: merchant_number(merchant),
        online,
        id: body["id"].as_str()?.to_owned(),
        sequence: body["sequence"].as_u64()?,
        changed_at_ms: changed_at.unix_ms(),
    })
}
