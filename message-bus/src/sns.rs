//! A topic of Amazon SNS, or of anything that speaks its protocol.
//!
//! Made by the binary from an SDK client that it configured; used as a [`Topic`] by everybody else. The topic's ARN is
//! looked up at the first call and kept: SNS has no call for it, so the account's topics are listed (permission
//! `sns:ListTopics`), unless the ARN is given. Deliberately absent: FIFO topics, subjects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::batch::{self, Answer, Outcome};
use crate::failure::{Failure, call};
use crate::limits;
use crate::topic::{Topic, TopicError, TopicMessage};

/// How long a call may take, retries of the SDK included: as for queues.
pub const OPERATION_TIMEOUT: Duration = crate::sqs::OPERATION_TIMEOUT;
/// Pages of 100 topics that are searched for a name: all that an account may have.
const LIST_PAGES_MAX: usize = 1000;
const DEPENDENCY: &str = "sns";

/// A topic by its name.
pub struct SnsTopic {
    client: Client,
    name: Arc<str>,
    arn: OnceCell<String>,
    operation_timeout: Duration,
}

impl SnsTopic {
    /// The topic `{prefix}{name}` of the client's account and region. Calls nothing yet.
    pub fn new(client: Client, prefix: &str, name: &str) -> Self {
        let name = format!("{prefix}{name}").into();
        Self { client, name, arn: OnceCell::new(), operation_timeout: OPERATION_TIMEOUT }
    }

    /// A topic whose ARN is known, which may be another account's and needs no `sns:ListTopics`.
    pub fn with_arn(client: Client, arn: &str) -> Self {
        let name = arn.rsplit(':').next().unwrap_or(arn).into();
        Self { client, name, arn: OnceCell::new_with(Some(arn.to_owned())), operation_timeout: OPERATION_TIMEOUT }
    }

    /// The same topic with another limit than [`OPERATION_TIMEOUT`].
    #[must_use]
    pub fn with_operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    async fn arn(&self) -> Result<&str, Failure> {
        self.arn.get_or_try_init(|| self.look_up()).await.map(String::as_str)
    }

    async fn look_up(&self) -> Result<String, Failure> {
        let ending = format!(":{}", self.name);
        let mut token = None;
        for _ in 0..LIST_PAGES_MAX {
            let request = self.client.list_topics().set_next_token(token).send();
            let page = call(DEPENDENCY, "list_topics", self.operation_timeout, request).await?;
            let mut arns = page.topics.unwrap_or_default().into_iter().filter_map(|topic| topic.topic_arn);
            if let Some(arn) = arns.find(|arn| arn.ends_with(&ending)) {
                return Ok(arn);
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        // Retryable: `comanda aws init` may still create it.
        Err(Failure::of_entry("TopicDoesNotExist"))
    }

    async fn publish_batch(&self, messages: Vec<TopicMessage>) -> Result<Answer, Failure> {
        let request = self.client.publish_batch().topic_arn(self.arn().await?);
        let entries = messages.into_iter().enumerate().map(|(position, message)| {
            let entry = PublishBatchRequestEntry::builder().id(position.to_string()).message(message.body);
            entry.set_message_attributes(Some(string_attributes(message.attributes)?)).build()
        });
        // Building one fails only if a field is missing, which none is.
        let entries = entries.collect::<Result<_, _>>().map_err(|_| Failure::of_entry("MissingParameter"))?;
        let request = request.set_publish_batch_request_entries(Some(entries)).send();
        let answer = call(DEPENDENCY, "publish", self.operation_timeout, request).await?;
        let succeeded = answer.successful.unwrap_or_default().into_iter().filter_map(|entry| entry.id);
        let failed = answer.failed.unwrap_or_default().into_iter().map(|entry| (entry.id, entry.code));
        Ok(Answer { succeeded: succeeded.collect(), failed: failed.collect() })
    }

    fn results(&self, outcomes: Vec<Outcome>) -> Vec<Result<(), TopicError>> {
        let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        self.count("ok", succeeded);
        self.count("failed", outcomes.len() - succeeded);
        outcomes.into_iter().map(|outcome| outcome.map_err(|failure| self.error(failure))).collect()
    }

    fn error(&self, failure: Failure) -> TopicError {
        let topic = self.name.to_string();
        match failure {
            Failure::Unavailable(source) => TopicError::Unavailable { topic, source: Box::new(source) },
            Failure::Refused(reason) => TopicError::Refused { topic, reason },
        }
    }

    fn count(&self, outcome: &'static str, messages: usize) {
        metrics::counter!("comanda_topic_messages_total", "topic" => self.name.to_string(), "outcome" => outcome)
            .increment(messages as u64);
    }
}

impl Topic for SnsTopic {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish(&self, messages: Vec<TopicMessage>) -> BoxFuture<'_, Vec<Result<(), TopicError>>> {
        async move {
            let refusals: Vec<_> =
                messages.iter().map(|message| limits::refusal(&message.body, &message.attributes)).collect();
            let fine = messages
                .into_iter()
                .zip(&refusals)
                .filter_map(|(message, refusal)| refusal.is_none().then_some(message));
            let size = |message: &TopicMessage| limits::size_bytes(&message.body, &message.attributes);
            let outcomes = batch::run(fine.collect(), size, |batch| self.publish_batch(batch)).await;
            self.results(batch::merged(refusals, outcomes))
        }
        .boxed()
    }
}

fn string_attributes(
    attributes: BTreeMap<String, String>,
) -> Result<HashMap<String, MessageAttributeValue>, aws_sdk_sns::error::BuildError> {
    let typed = attributes.into_iter().map(|(name, value)| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
        Ok((name, value))
    });
    typed.collect()
}
