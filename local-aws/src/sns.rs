//! SNS: `awsim`'s topics behind our listener, with deliveries of our own.
//!
//! Called by [`crate::endpoints`] for the query protocol. `awsim` keeps topics and subscriptions and judges requests;
//! its own fan-out is a lossy broadcast, so it is given no event bus, and [`delivery`] puts each message into the
//! subscribed queues before the publisher is answered. Deliberately absent: every subscription protocol but `sqs`,
//! binary message attributes (refused, never dropped silently), and any persistence.

mod delivery;
mod query;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use awsim_core::protocol::query::{serialize_error, serialize_response};
use awsim_core::{AwsError, RequestContext, ServiceHandler};
use awsim_sns::SnsService;
use awsim_sns::state::SnsState;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::config::Config;
use crate::counters::Counters;
use crate::endpoints::Answer;
use crate::sqs::Sqs;

use delivery::{Delivery, Undelivered};

/// The topics.
pub(crate) struct Sns {
    service: SnsService,
    region: String,
    account_id: String,
    sqs: Arc<Sqs>,
    counters: Arc<Counters>,
    /// Held while a subscription is made, so that looking for an existing one and making one are one step.
    subscribing: tokio::sync::Mutex<()>,
    /// Whether an undeliverable message has been logged: the first says enough, the counter has the rest.
    warned: AtomicBool,
}

impl Sns {
    pub(crate) fn new(config: &Config, sqs: Arc<Sqs>, counters: Arc<Counters>) -> Self {
        Self {
            service: SnsService::new(),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
            sqs,
            counters,
            subscribing: tokio::sync::Mutex::new(()),
            warned: AtomicBool::new(false),
        }
    }

    /// Answers one request of the query protocol.
    pub(crate) async fn answer(&self, body: &Bytes) -> Answer {
        let context = RequestContext::new_with_account("sns", self.region.as_str(), self.account_id.as_str());
        let result = match query::parse(body) {
            Ok(request) => {
                self.run(&request.operation, request.input, &context).await.map(|out| (request.operation, out))
            }
            Err(error) => Err(error),
        };
        to_answer(match &result {
            Ok((operation, output)) => serialize_response(operation, output, &context.request_id),
            Err(error) => serialize_error(error, &context.request_id),
        })
    }

    async fn run(&self, operation: &str, input: Value, context: &RequestContext) -> Result<Value, AwsError> {
        match operation {
            "Publish" => self.publish(&input, context).await,
            "PublishBatch" => self.publish_batch(&input, context).await,
            "Subscribe" => {
                let _alone = self.subscribing.lock().await;
                match self.existing_subscription(&input)? {
                    Some(arn) => Ok(json!({ "SubscriptionArn": arn })),
                    None => self.service.handle(operation, input, context).await,
                }
            }
            _ => self.service.handle(operation, input, context).await,
        }
    }

    async fn publish(&self, input: &Value, context: &RequestContext) -> Result<Value, AwsError> {
        let output = self.service.handle("Publish", input.clone(), context).await?;
        let topic = input["TopicArn"].as_str().or_else(|| input["TargetArn"].as_str()).unwrap_or_default();
        self.deliver(topic, input, &output["MessageId"]).await.map_err(|undelivered| undelivered.into_error())?;
        Ok(output)
    }

    /// Publishes each entry that `awsim` accepts; an entry whose delivery fails becomes a failed entry, so that the
    /// publisher repeats it.
    async fn publish_batch(&self, input: &Value, context: &RequestContext) -> Result<Value, AwsError> {
        let mut output = self.service.handle("PublishBatch", input.clone(), context).await?;
        let topic = input["TopicArn"].as_str().unwrap_or_default();
        let accepted = take_members(&mut output, "Successful");
        let mut failed = take_members(&mut output, "Failed");
        let mut successful = Vec::with_capacity(accepted.len());
        for result in accepted {
            let entries = input["PublishBatchRequestEntries"].as_array().map(Vec::as_slice).unwrap_or_default();
            let Some(entry) = entries.iter().find(|entry| entry["Id"] == result["Id"]) else {
                continue;
            };
            match self.deliver(topic, entry, &result["MessageId"]).await {
                Ok(()) => successful.push(result),
                Err(undelivered) => failed.push(undelivered.into_failed_entry(&result["Id"])),
            }
        }
        Ok(json!({ "Successful": { "member": successful }, "Failed": { "member": failed } }))
    }

    /// Puts one accepted message into every subscribed queue.
    async fn deliver(&self, topic: &str, published: &Value, message_id: &Value) -> Result<(), Undelivered> {
        let message_id = message_id.as_str().unwrap_or_default();
        for delivery in delivery::plan(&self.state(), topic, published, message_id) {
            let Delivery { queue_arn, message } = delivery;
            match self.sqs.deliver(&queue_arn, message).await {
                Ok(()) => self.counters.sns_deliveries.add(1),
                // AWS retries its own failures and discards what the queue refuses: so does this.
                Err(refused) if refused.code.is_sender_fault() => {
                    self.counters.sns_undeliverable.add(1);
                    if !self.warned.swap(true, Ordering::Relaxed) {
                        tracing::warn!(topic, queue_arn, code = %refused.code, "a queue refused a message from a topic");
                    }
                }
                Err(_) => return Err(Undelivered { queue_arn }),
            }
        }
        Ok(())
    }

    /// The subscription that `Subscribe` asks for, if there is one. As in AWS, asking for it with other attributes is
    /// an error.
    fn existing_subscription(&self, input: &Value) -> Result<Option<String>, AwsError> {
        let asked = |field: &str| input[field].as_str().unwrap_or_default().to_owned();
        let (topic, protocol, endpoint) = (asked("TopicArn"), asked("Protocol"), asked("Endpoint"));
        let state = self.state();
        let Some(found) = state
            .subscriptions
            .iter()
            .find(|known| known.topic_arn == topic && known.protocol == protocol && known.endpoint == endpoint)
        else {
            return Ok(None);
        };
        let differs = input["Attributes"].as_object().is_some_and(|attributes| {
            attributes.iter().any(|(name, value)| found.attributes.get(name).map(String::as_str) != value.as_str())
        });
        if differs {
            return Err(AwsError::bad_request(
                "InvalidParameter",
                "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
            ));
        }
        Ok(Some(found.arn.clone()))
    }

    fn state(&self) -> Arc<SnsState> {
        self.service.store_handle().get(&self.account_id, &self.region)
    }
}

fn take_members(output: &mut Value, list: &str) -> Vec<Value> {
    match output[list]["member"].take() {
        Value::Array(members) => members,
        _ => Vec::new(),
    }
}

fn to_answer((status, headers, body): (StatusCode, HeaderMap, Bytes)) -> Answer {
    let mut answer = http::Response::new(Full::new(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
