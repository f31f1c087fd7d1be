//! SQS: `rustack`'s queues behind our listener.
//!
//! Called by [`crate::endpoints`] for the JSON protocol and by [`crate::sns`] for deliveries. Mended here: a
//! `maxReceiveCount` sent as a string (which AWS takes and `rustack` refuses), and two simultaneous creations of one
//! queue. Left as `rustack` has it: memory only, 256 KiB a message (AWS has 1 MiB), no `StartMessageMoveTask`, one
//! message a group and receive of FIFO queues, policies stored and not enforced.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::Full;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::input::SendMessageInput;
use rustack_sqs_model::operations::SqsOperation;
use rustack_sqs_model::types::RedrivePolicy;
use serde_json::Value;

use crate::config::Config;
use crate::endpoints::Answer;
use crate::server::reachable;

/// The queues.
pub(crate) struct Sqs {
    queues: Arc<RustackSqs>,
    handler: RustackSqsHandler,
    /// Held while a queue is created: `rustack` looks for an existing queue first and then replaces whatever is there.
    creation: tokio::sync::Mutex<()>,
}

impl Sqs {
    pub(crate) fn new(config: &Config, address: SocketAddr) -> Self {
        let queues = Arc::new(RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: config.region.clone(),
            account_id: config.account_id.clone(),
            host: reachable(address.ip()).to_string(),
            port: address.port(),
        }));
        Self { handler: RustackSqsHandler::new(Arc::clone(&queues)), queues, creation: tokio::sync::Mutex::new(()) }
    }

    /// Answers one operation of the JSON protocol.
    pub(crate) async fn answer(&self, operation: &str, body: Bytes) -> Answer {
        let answer = match self.run(operation, body).await {
            Ok(answer) => answer,
            Err(error) => error_to_response(&error, "local-aws"),
        };
        let (mut parts, body) = answer.into_parts();
        // Some SDKs log it; none needs it to differ.
        parts.headers.entry("x-amzn-requestid").or_insert(HeaderValue::from_static("local-aws"));
        let body = match body {
            SqsResponseBody::Buffered(body) => body,
            SqsResponseBody::Empty => Full::default(),
        };
        http::Response::from_parts(parts, body)
    }

    async fn run(&self, operation: &str, body: Bytes) -> Result<http::Response<SqsResponseBody>, SqsError> {
        let operation = SqsOperation::from_name(operation).ok_or_else(|| SqsError::unknown_operation(operation))?;
        match operation {
            SqsOperation::CreateQueue => {
                let body = with_integer_receive_count(body)?;
                let _alone = self.creation.lock().await;
                self.handler.handle_operation(operation, body).await
            }
            SqsOperation::SetQueueAttributes => {
                self.handler.handle_operation(operation, with_integer_receive_count(body)?).await
            }
            _ => self.handler.handle_operation(operation, body).await,
        }
    }

    /// Puts a message into the queue with this ARN.
    pub(crate) async fn deliver(&self, queue_arn: &str, message: SendMessageInput) -> Result<(), SqsError> {
        let queue_url = self.queues.queue_url_for_arn(queue_arn)?;
        self.queues.send_message(SendMessageInput { queue_url, ..message }).await.map(|_| ())
    }

    /// Ends the task of every queue. Their messages are gone with them.
    pub(crate) async fn shutdown(&self) {
        self.queues.shutdown_all().await;
    }
}

/// Rewrites `Attributes.RedrivePolicy` into the one form that `rustack` reads and compares, with an integer
/// `maxReceiveCount`. A body that is not understood is left as it is: the operation itself says what is wrong with it.
fn with_integer_receive_count(body: Bytes) -> Result<Bytes, SqsError> {
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
        return Ok(body);
    };
    let Some(policy) = request.pointer_mut("/Attributes/RedrivePolicy") else {
        return Ok(body);
    };
    let Some(written) = policy.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return Ok(body);
    };
    let count = match &written["maxReceiveCount"] {
        Value::String(digits) => digits.parse::<i32>().ok(),
        Value::Number(number) => number.as_i64().and_then(|count| i32::try_from(count).ok()),
        _ => None,
    };
    let (Some(max_receive_count), Some(target)) = (count, written["deadLetterTargetArn"].as_str()) else {
        return Err(SqsError::invalid_parameter_value(
            "Value for parameter RedrivePolicy is invalid. Reason: it needs deadLetterTargetArn and a maxReceiveCount from 1 to 1000.",
        ));
    };
    let read = RedrivePolicy { dead_letter_target_arn: target.to_owned(), max_receive_count };
    let internal = |error: serde_json::Error| SqsError::internal_error(error.to_string());
    *policy = Value::String(serde_json::to_string(&read).map_err(internal)?);
    serde_json::to_vec(&request).map(Bytes::from).map_err(internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(policy: &str) -> Result<Value, SqsError> {
        let body = serde_json::json!({"QueueUrl": "u", "Attributes": {"RedrivePolicy": policy}}).to_string();
        let body = with_integer_receive_count(Bytes::from(body))?;
        let request: Value = serde_json::from_slice(&body).unwrap();
        Ok(serde_json::from_str(request["Attributes"]["RedrivePolicy"].as_str().unwrap()).unwrap())
    }

    #[test]
    fn a_receive_count_written_as_a_string_becomes_an_integer() {
        let policy = rewritten(r#"{"maxReceiveCount":"5","deadLetterTargetArn":"arn:x"}"#).unwrap();
        assert_eq!(policy, serde_json::json!({"deadLetterTargetArn": "arn:x", "maxReceiveCount": 5}));
    }

    #[test]
    fn a_policy_without_a_receive_count_is_refused() {
        assert!(rewritten(r#"{"deadLetterTargetArn":"arn:x"}"#).is_err());
    }

    #[test]
    fn other_bodies_pass_unchanged() {
        for body in ["{}", "not json", r#"{"Attributes":{"DelaySeconds":"1"}}"#] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(with_integer_receive_count(body.clone()).unwrap(), body);
        }
    }
}
