//! How every request to the table is sent: with a deadline, and with one way of telling what went wrong.
//!
//! Used by the rest of this store. Retrying is the SDK's, within the deadline.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;

use super::WebhookStoreError;

/// How long one request may take, retries of the SDK included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Sends one request. `Ok(Err(…))` is an answer of the service that the caller may know what to do with.
pub(super) async fn send<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<Result<T, E>, WebhookStoreError>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(output)) => Ok(Ok(output)),
        Ok(Err(SdkError::ServiceError(error))) => Ok(Err(error.into_err())),
        Ok(Err(error)) => Err(unavailable(operation, error)),
        Err(_elapsed) => Err(WebhookStoreError::Unavailable { operation, source: None }),
    }
}

/// Sends one request for which every refusal of the service means "not now".
pub(super) async fn send_or_unavailable<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, WebhookStoreError>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    send(operation, request).await?.map_err(|error| unavailable(operation, error))
}

/// A refusal of the service that nobody knows what to do with.
pub(super) fn unavailable(
    operation: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> WebhookStoreError {
    WebhookStoreError::Unavailable { operation, source: Some(Box::new(error)) }
}
