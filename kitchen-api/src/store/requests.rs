//! How every request to DynamoDB is sent: with a deadline, and with one way of telling what went wrong.
//!
//! Used by the rest of `store`, by the catalog's and by that of webhooks. Retrying is the SDK's, within the deadline.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;

/// How long one request may take, retries of the SDK included. A page of a scan is at most 1 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// DynamoDB did not answer, throttled, or refused for a reason of its own; each table has its own error for it.
#[derive(Debug)]
pub(crate) struct Unavailable {
    /// The DynamoDB operation.
    pub(crate) operation: &'static str,
    /// What the SDK says; nothing when there was no answer in time.
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Sends one request. `Ok(Err(…))` is an answer of the service that the caller may know what to do with.
pub(crate) async fn send<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<Result<T, E>, Unavailable>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(output)) => Ok(Ok(output)),
        Ok(Err(SdkError::ServiceError(error))) => Ok(Err(error.into_err())),
        Ok(Err(error)) => Err(Unavailable { operation, source: Some(Box::new(error)) }),
        Err(_elapsed) => Err(Unavailable { operation, source: None }),
    }
}

/// Sends one request for which every refusal of the service means "not now".
pub(crate) async fn send_or_unavailable<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, Unavailable>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    send(operation, request).await?.map_err(|error| unavailable(operation, error))
}

/// A refusal of the service that nobody knows what to do with.
pub(crate) fn unavailable(
    operation: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Unavailable {
    Unavailable { operation, source: Some(Box::new(error)) }
}
