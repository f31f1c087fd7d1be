//! What an SDK's error means: the broker is unavailable, or it refused what it was given.
//!
//! Called by [`crate::sqs`], [`crate::sns`] and [`crate::admin`] around every call. The line is drawn for the agent,
//! which may dead-letter a message that was refused: only codes that blame the request itself are refusals; everything
//! else, a missing queue or a denied permission included, is somebody's to repair and the message's to survive.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Codes of SQS and SNS that blame the message, the receipt or the parameters of one call.
const REFUSALS: [&str; 19] = [
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "InvalidAttributeName",
    "InvalidAttributeValue",
    "InvalidBatchEntryId",
    "InvalidMessageContents",
    "InvalidParameter",
    "InvalidParameterException",
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "MessageNotInflight",
    "MessageTooLong",
    "MissingParameter",
    "ParameterValueInvalid",
    "ReceiptHandleIsInvalid",
    "TooManyEntriesInBatchRequest",
    "UnsupportedOperation",
    "ValidationError",
];

/// A call to a broker that failed, in words that are safe to log: never a part of a message or of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// No answer within the deadline.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// No connection, or it broke off.
    #[error("no connection: {0}")]
    NotConnected(String),
    /// An answer with an error code.
    #[error("the broker answered {0}")]
    Answered(String),
    /// An answer that is not one of the protocol's.
    #[error("the broker's answer could not be read")]
    Unreadable,
    /// A request that could not be made, usually for want of credentials.
    #[error("the request could not be made: {0}")]
    NotSent(String),
    /// A batch's answer that leaves one of its entries out.
    #[error("the broker's answer leaves the entry out")]
    EntryMissing,
    /// A failure that a test or the simulation asked for.
    #[error("a failure was asked for")]
    Injected,
}

/// A failed call, shared by the entries of its batch.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Unavailable(Arc<BrokerError>),
    /// The broker's code.
    Refused(String),
}

impl Failure {
    /// What one entry of a batch failed with.
    pub(crate) fn of_entry(code: &str) -> Self {
        let code = short(code);
        if REFUSALS.contains(&code) {
            Self::Refused(code.to_owned())
        } else {
            Self::Unavailable(Arc::new(BrokerError::Answered(code.to_owned())))
        }
    }

    pub(crate) fn unavailable(error: BrokerError) -> Self {
        Self::Unavailable(Arc::new(error))
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
        }
    }
}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> From<SdkError<E, HttpResponse>> for Failure {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::unavailable(match &error {
            SdkError::ServiceError(answered) => {
                let status = answered.raw().status().as_u16();
                return match answered.err().code() {
                    Some(code) if status < 500 => Self::of_entry(code),
                    Some(code) => Self::unavailable(BrokerError::Answered(short(code).to_owned())),
                    None => Self::unavailable(BrokerError::Answered(status.to_string())),
                };
            }
            // The texts below are the client's own, about sockets and credentials.
            SdkError::DispatchFailure(failure) => {
                BrokerError::NotConnected(failure.as_connector_error().map(chain).unwrap_or_default())
            }
            SdkError::ConstructionFailure(_) => BrokerError::NotSent(chain(&error)),
            SdkError::TimeoutError(_) => BrokerError::NotConnected("the client's own timeout".to_owned()),
            // Its text may quote the answer.
            _ => BrokerError::Unreadable,
        })
    }
}

/// Makes one call, within `limit`, and counts it under `comanda_dependency_seconds`.
pub(crate) async fn call<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
    dependency: &'static str,
    operation: &'static str,
    limit: Duration,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, Failure> {
    let started = tokio::time::Instant::now();
    let result = match tokio::time::timeout(limit, request).await {
        Ok(answered) => answered.map_err(Failure::from),
        Err(_) => Err(Failure::unavailable(BrokerError::TimedOut(limit))),
    };
    let outcome = result.as_ref().map_or_else(Failure::outcome, |_| "ok");
    let labels = [("dependency", dependency), ("operation", operation), ("outcome", outcome)];
    metrics::histogram!("comanda_dependency_seconds", &labels).record(started.elapsed().as_secs_f64());
    result
}

/// The code without the namespace that SQS puts before some of them.
fn short(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

fn chain(error: &(impl std::error::Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_blame_the_request_are_refusals() {
        for code in ["InvalidMessageContents", "AWS.SimpleQueueService.BatchRequestTooLong", "MessageNotInflight"] {
            assert!(matches!(Failure::of_entry(code), Failure::Refused(_)), "{code}");
        }
        for code in ["AWS.SimpleQueueService.NonExistentQueue", "AccessDenied", "Throttling", "InternalError", "New"] {
            assert!(matches!(Failure::of_entry(code), Failure::Unavailable(_)), "{code}");
        }
    }
}
