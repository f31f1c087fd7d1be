//! How every request to the table is sent: with a deadline, and with one way of telling what went wrong.
//!
//! Used by the rest of `store`. Retrying is the SDK's, within the deadline.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{CatalogError, CatalogTable};

/// How long one request may take, retries of the SDK included. A page of a query is at most 1 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends one request. `Ok(Err(…))` is an answer of the service that the caller may know what to do with.
pub(super) async fn send<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<Result<T, E>, CatalogError>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(output)) => Ok(Ok(output)),
        Ok(Err(SdkError::ServiceError(error))) => Ok(Err(error.into_err())),
        Ok(Err(error)) => Err(CatalogError::Unavailable { operation, source: Some(Box::new(error)) }),
        Err(_elapsed) => Err(CatalogError::Unavailable { operation, source: None }),
    }
}

/// Sends one request for which every refusal of the service means "not now".
pub(super) async fn send_or_unavailable<T, E, R>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, CatalogError>
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
) -> CatalogError {
    CatalogError::Unavailable { operation, source: Some(Box::new(error)) }
}

/// Whether a transaction went through, and what was in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transacted {
    Done,
    /// Somebody else was at the same items, or a condition does not hold any more.
    Refused {
        /// The condition of the first item is among those that do not hold.
        first_condition: bool,
    },
}

impl CatalogTable {
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, CatalogError> {
        const NAME: &str = "TransactWriteItems";
        let transaction = self.client.transact_write_items().set_transact_items(Some(items));
        match send(NAME, transaction.send()).await? {
            Ok(_) => Ok(Transacted::Done),
            Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default()).collect();
                if codes
                    .iter()
                    .any(|code| !["None", "", "ConditionalCheckFailed", "TransactionConflict"].contains(code))
                {
                    return Err(unavailable(NAME, cancelled));
                }
                Ok(Transacted::Refused { first_condition: codes.first() == Some(&"ConditionalCheckFailed") })
            }
            Err(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Ok(Transacted::Refused { first_condition: false })
            }
            Err(error) => Err(unavailable(NAME, error)),
        }
    }
}
