//! Creates the queues, topics and subscriptions that the platform uses.
//!
//! Called by `comanda aws init` and by the dev platform. Every function is idempotent: it creates what is missing, sets
//! what differs, and deletes nothing. Takes the SDK clients as [`crate::sqs`] and [`crate::sns`] do.

mod policy;

use std::time::Duration;

use aws_sdk_sns::Client as SnsClient;
use aws_sdk_sqs::Client as SqsClient;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::failure::{BrokerError, Failure, call};
use crate::queue::MESSAGE_BYTES_MAX;

/// How long each call may take. Creating is slower than sending.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// Pages of 100 subscriptions of one topic that are searched for one.
const LIST_PAGES_MAX: usize = 100;

/// How a queue is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How often a message is received before SQS itself moves it to the dead-letter queue, 1 to 1000. Default 1000, the
    /// most there is: consumers dead-letter a message themselves, with the reason; this is the last resort.
    pub max_receive_count: u16,
    /// How long a received message is hidden if the receiver does not say, default 30 s. Ours always say.
    pub visibility_timeout: Duration,
    /// How long a message is kept, default 7 days. Its age moves to the dead-letter queue with it, which keeps
    /// messages for 14 days, the most there is, so that a redriven message has at least a week left.
    pub retention: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            max_receive_count: 1000,
            visibility_timeout: Duration::from_secs(30),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A queue that exists now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedQueue {
    /// Its full name.
    pub name: String,
    /// What SQS calls it.
    pub url: String,
    /// What policies and subscriptions call it.
    pub arn: String,
}

/// Something could not be created.
#[derive(Debug, thiserror::Error)]
#[error("{step} failed for {name}")]
pub struct AdminError {
    /// What was tried, e.g. `create the queue`.
    pub step: &'static str,
    /// The queue or topic.
    pub name: String,
    /// What the broker said.
    #[source]
    pub source: BrokerError,
    /// Whether the same call may succeed later.
    pub is_retryable: bool,
}

/// Creates the queue `{prefix}{name}` and its dead-letter queue `{prefix}{name}-dlq`, or brings existing ones to these
/// settings. Answers the queue and its dead-letter queue.
///
/// # Errors
/// The first step that failed; running it again continues there.
pub async fn create_queue(
    sqs: &SqsClient,
    prefix: &str,
    name: &str,
    settings: &QueueSettings,
) -> Result<(CreatedQueue, CreatedQueue), AdminError> {
    let dead_letters = create_bare_queue(sqs, format!("{prefix}{name}-dlq")).await?;
    let largest = MESSAGE_BYTES_MAX.to_string();
    let common = [(QueueAttributeName::MaximumMessageSize, largest)];
    let mut attributes = common.to_vec();
    attributes.push((QueueAttributeName::MessageRetentionPeriod, DEAD_LETTER_RETENTION.as_secs().to_string()));
    set_attributes(sqs, &dead_letters, attributes).await?;

    let queue = create_bare_queue(sqs, format!("{prefix}{name}")).await?;
    let redrive =
        serde_json::json!({ "deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": settings.max_receive_count });
    let mut attributes = common.to_vec();
    attributes.push((QueueAttributeName::MessageRetentionPeriod, settings.retention.as_secs().to_string()));
    attributes.push((QueueAttributeName::VisibilityTimeout, settings.visibility_timeout.as_secs().to_string()));
    attributes.push((QueueAttributeName::RedrivePolicy, redrive.to_string()));
    set_attributes(sqs, &queue, attributes).await?;
    Ok((queue, dead_letters))
}

/// Creates the topic `{prefix}{name}`, or finds it. Answers its ARN.
///
/// # Errors
/// What SNS said.
pub async fn create_topic(sns: &SnsClient, prefix: &str, name: &str) -> Result<String, AdminError> {
    let name = format!("{prefix}{name}");
    let error = |failure| admin_error("create the topic", &name, failure);
    let request = sns.create_topic().name(&name).send();
    let answer = call("sns", "create_topic", OPERATION_TIMEOUT, request).await.map_err(error)?;
    answer.topic_arn.ok_or_else(|| error(Failure::unavailable(BrokerError::Unreadable)))
}

/// Lets the topic send to the queue, and subscribes the queue with raw delivery. A subscription without raw delivery
/// is changed into one with it.
///
/// # Errors
/// The first step that failed; running it again continues there.
pub async fn subscribe(
    sns: &SnsClient,
    sqs: &SqsClient,
    topic_arn: &str,
    queue: &CreatedQueue,
) -> Result<(), AdminError> {
    allow_topic(sqs, topic_arn, queue).await?;
    let request = sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(&queue.arn);
    let request = request.attributes("RawMessageDelivery", "true").return_subscription_arn(true).send();
    let subscribed = match call("sns", "subscribe", OPERATION_TIMEOUT, request).await {
        Ok(answer) => answer.subscription_arn,
        // It is subscribed already, with other attributes.
        Err(Failure::Refused(_)) => None,
        Err(failure) => return Err(admin_error("subscribe the queue", &queue.name, failure)),
    };
    let subscription = match subscribed {
        Some(arn) => arn,
        None => find_subscription(sns, topic_arn, queue).await?,
    };
    // Not every implementation compares the attributes of an existing subscription.
    deliver_raw(sns, &subscription, queue).await
}

async fn create_bare_queue(sqs: &SqsClient, name: String) -> Result<CreatedQueue, AdminError> {
    let error = |failure| admin_error("create the queue", &name, failure);
    // Without attributes: with them, SQS refuses to "create" an existing queue that differs in one.
    let request = sqs.create_queue().queue_name(&name).send();
    let answer = call("sqs", "create_queue", OPERATION_TIMEOUT, request).await.map_err(error)?;
    let url = answer.queue_url.ok_or_else(|| error(Failure::unavailable(BrokerError::Unreadable)))?;
    let arn = attribute(sqs, &url, QueueAttributeName::QueueArn).await.map_err(error)?;
    let arn = arn.ok_or_else(|| error(Failure::unavailable(BrokerError::Unreadable)))?;
    Ok(CreatedQueue { name, url, arn })
}

async fn attribute(sqs: &SqsClient, url: &str, name: QueueAttributeName) -> Result<Option<String>, Failure> {
    let request = sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send();
    let answer = call("sqs", "get_queue_attributes", OPERATION_TIMEOUT, request).await?;
    Ok(answer.attributes.and_then(|mut attributes| attributes.remove(&name)))
}

async fn set_attributes(
    sqs: &SqsClient,
    queue: &CreatedQueue,
    attributes: Vec<(QueueAttributeName, String)>,
) -> Result<(), AdminError> {
    let request = sqs.set_queue_attributes().queue_url(&queue.url);
    let request = request.set_attributes(Some(attributes.into_iter().collect())).send();
    let set = call("sqs", "set_queue_attributes", OPERATION_TIMEOUT, request).await;
    set.map(|_| ()).map_err(|failure| admin_error("set the attributes of the queue", &queue.name, failure))
}

async fn allow_topic(sqs: &SqsClient, topic_arn: &str, queue: &CreatedQueue) -> Result<(), AdminError> {
    let error = |failure| admin_error("read the policy of the queue", &queue.name, failure);
    let current = attribute(sqs, &queue.url, QueueAttributeName::Policy).await.map_err(error)?;
    match policy::allowing(current.as_deref(), topic_arn, &queue.arn) {
        Some(policy) => set_attributes(sqs, queue, vec![(QueueAttributeName::Policy, policy)]).await,
        None => Ok(()),
    }
}

async fn find_subscription(sns: &SnsClient, topic_arn: &str, queue: &CreatedQueue) -> Result<String, AdminError> {
    let error = |failure| admin_error("find the subscription of the queue", &queue.name, failure);
    let mut token = None;
    for _ in 0..LIST_PAGES_MAX {
        let request = sns.list_subscriptions_by_topic().topic_arn(topic_arn).set_next_token(token).send();
        let page = call("sns", "list_subscriptions", OPERATION_TIMEOUT, request).await.map_err(error)?;
        let mut subscriptions = page.subscriptions.unwrap_or_default().into_iter();
        if let Some(found) = subscriptions.find(|subscription| subscription.endpoint.as_ref() == Some(&queue.arn)) {
            return Ok(found.subscription_arn.unwrap_or_default());
        }
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    Err(error(Failure::Refused("SubscriptionDoesNotExist".to_owned())))
}

async fn deliver_raw(sns: &SnsClient, subscription_arn: &str, queue: &CreatedQueue) -> Result<(), AdminError> {
    let request = sns.set_subscription_attributes().subscription_arn(subscription_arn);
    let request = request.attribute_name("RawMessageDelivery").attribute_value("true").send();
    let set = call("sns", "set_subscription_attributes", OPERATION_TIMEOUT, request).await;
    set.map(|_| ()).map_err(|failure| admin_error("set raw delivery to the queue", &queue.name, failure))
}

fn admin_error(step: &'static str, name: &str, failure: Failure) -> AdminError {
    let (source, is_retryable) = match failure {
        Failure::Refused(code) => (BrokerError::Answered(code), false),
        Failure::Unavailable(error) => (BrokerError::clone(&error), true),
    };
    AdminError { step, name: name.to_owned(), source, is_retryable }
}
