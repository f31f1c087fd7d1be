//! Why the table did not do what was asked, told apart by what the caller can do about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A step on `polling-index` failed. No value of an item is ever in the text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB could not be reached, timed out, throttled, answered 5xx or has no such table. Trying again makes sense.
    #[error("polling-index: {operation} failed, DynamoDB is unavailable")]
    Unavailable {
        /// What was tried, e.g. `BatchGetItem`.
        operation: &'static str,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB refused this very request and will again.
    #[error("polling-index: {operation} was refused")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A conditional write found another state than the one it was decided on.
    #[error("polling-index: the condition of {operation} did not hold")]
    ConditionFailed {
        /// What was tried.
        operation: &'static str,
    },
    /// A stored item is not what its key says: written by another version, or by hand.
    #[error("polling-index: an item has no readable {what}")]
    Malformed {
        /// What could not be read.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::ConditionFailed { .. })
    }

    pub(crate) fn from_sdk<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
        match code {
            "ConditionalCheckFailedException" => Self::ConditionFailed { operation },
            // Everything else, a missing table or permission included, can be put right without changing the request.
            "ValidationException" | "ItemCollectionSizeLimitExceededException" => {
                Self::Refused { operation, source: Box::new(error) }
            }
            _ => Self::Unavailable { operation, source: Box::new(error) },
        }
    }

    pub(crate) fn unavailable(operation: &'static str, why: &'static str) -> Self {
        Self::Unavailable { operation, source: why.into() }
    }
}
