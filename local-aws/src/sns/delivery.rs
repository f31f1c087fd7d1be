//! From one published message to one message for each subscribed queue: a pure plan.
//!
//! Called by [`super::Sns`], which carries it out. Honours filter policies, raw delivery, `MessageStructure=json` and,
//! for FIFO topics, the group and deduplication ids of the request. Subscriptions of other protocols get nothing.

use std::collections::HashMap;

use awsim_core::AwsError;
use awsim_sns::filter::{matches_filter, matches_filter_body};
use awsim_sns::state::{SnsState, Subscription};
use rustack_sqs_model::input::SendMessageInput;
use rustack_sqs_model::types::MessageAttributeValue;
use serde_json::{Map, Value, json};

/// A message for one queue.
pub(super) struct Delivery {
    pub(super) queue_arn: String,
    /// Without the queue's URL.
    pub(super) message: SendMessageInput,
}

/// A queue failed for a reason of its own; publishing again makes sense.
pub(super) struct Undelivered {
    pub(super) queue_arn: String,
}

impl Undelivered {
    pub(super) fn into_error(self) -> AwsError {
        AwsError::internal(format!("the message could not be delivered to {}", self.queue_arn))
    }

    pub(super) fn into_failed_entry(self, id: &Value) -> Value {
        json!({ "Id": id, "Code": "InternalError", "SenderFault": false, "Message": self.into_error().message })
    }
}

/// Which queues get what. `published` is the request of `Publish` or an entry of `PublishBatch`.
pub(super) fn plan(state: &SnsState, topic_arn: &str, published: &Value, message_id: &str) -> Vec<Delivery> {
    let subscriptions = state.subscriptions.iter();
    subscriptions
        .filter(|subscription| subscription.topic_arn == topic_arn && subscription.protocol == "sqs")
        .filter(|subscription| passes_filter(subscription, published))
        .map(|subscription| Delivery {
            queue_arn: subscription.endpoint.clone(),
            message: message_for(&subscription, published, message_id),
        })
        .collect()
}

fn passes_filter(subscription: &Subscription, published: &Value) -> bool {
    let policy = subscription.attributes.get("FilterPolicy").filter(|policy| !policy.is_empty());
    let Some(policy) = policy.and_then(|policy| serde_json::from_str::<Value>(policy).ok()) else {
        return true;
    };
    if subscription.attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody") {
        let body = serde_json::from_str(published["Message"].as_str().unwrap_or_default());
        return body.is_ok_and(|body| matches_filter_body(&policy, &body));
    }
    let attributes: HashMap<String, Value> = attributes(published)
        .map(|(name, value)| (name.clone(), json!({ "DataType": value["DataType"], "Value": value["StringValue"] })))
        .collect();
    matches_filter(&policy, &attributes)
}

fn message_for(subscription: &Subscription, published: &Value, message_id: &str) -> SendMessageInput {
    let text = text_for_queues(published);
    let is_raw = subscription.attributes.get("RawMessageDelivery").is_some_and(|raw| raw.eq_ignore_ascii_case("true"));
    let string = |field: &str| published[field].as_str().map(str::to_owned);
    let mut message = SendMessageInput {
        message_group_id: string("MessageGroupId"),
        message_deduplication_id: string("MessageDeduplicationId"),
        ..SendMessageInput::default()
    };
    if is_raw {
        message.message_body = text;
        message.message_attributes = attributes(published).map(queue_attribute).collect();
    } else {
        message.message_body = envelope(subscription, published, message_id, &text).to_string();
    }
    message
}

/// The message itself, or the part of it that `MessageStructure=json` gives to queues.
fn text_for_queues(published: &Value) -> String {
    let message = published["Message"].as_str().unwrap_or_default();
    if published["MessageStructure"] == "json"
        && let Ok(by_protocol) = serde_json::from_str::<Value>(message)
        && let Some(text) = by_protocol["sqs"].as_str().or_else(|| by_protocol["default"].as_str())
    {
        return text.to_owned();
    }
    message.to_owned()
}

/// What a subscription without raw delivery receives. Unsigned: nothing local could check a signature.
fn envelope(subscription: &Subscription, published: &Value, message_id: &str, text: &str) -> Value {
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic_arn,
        "Message": text,
        "Timestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    });
    if let Some(subject) = published["Subject"].as_str() {
        envelope["Subject"] = subject.into();
    }
    let attributes: Map<String, Value> = attributes(published)
        .map(|(name, value)| (name.clone(), json!({ "Type": value["DataType"], "Value": value["StringValue"] })))
        .collect();
    if !attributes.is_empty() {
        envelope["MessageAttributes"] = Value::Object(attributes);
    }
    envelope
}

fn queue_attribute((name, value): (&String, &Value)) -> (String, MessageAttributeValue) {
    let string = |field: &str| value[field].as_str().map(str::to_owned);
    let attribute = MessageAttributeValue {
        data_type: string("DataType").unwrap_or_default(),
        string_value: string("StringValue"),
        binary_value: None,
    };
    (name.clone(), attribute)
}

fn attributes(published: &Value) -> impl Iterator<Item = (&String, &Value)> {
    published["MessageAttributes"].as_object().into_iter().flatten()
}
