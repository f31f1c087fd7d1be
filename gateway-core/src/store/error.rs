//! Why the store could not do what was asked, and whether asking again makes sense.
//!
//! Texts hold operations, tables and error codes only: a service's message may quote values of an item.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A failure of DynamoDB or of what was read from it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB could not be reached, timed out, throttled, answered 5xx or is not set up. Trying again makes sense.
    #[error("{operation}: DynamoDB is unavailable ({code})")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// DynamoDB's error code, or how the call failed below it.
        code: String,
        /// What lies below, where there is something and it holds no value of an item.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// DynamoDB refuses this very call and will refuse it again.
    #[error("{operation}: DynamoDB refused the call ({code})")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// DynamoDB's error code.
        code: String,
    },
    /// An item is not what this build writes.
    #[error("the {kind} item cannot be read: {attribute} is missing or malformed")]
    Malformed {
        /// Which kind of item.
        kind: &'static str,
        /// Which attribute.
        attribute: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Two items that are written together were read apart, again and again.
    pub(super) fn torn(operation: &'static str) -> Self {
        Self::Unavailable { operation, code: "TornRead".to_owned(), source: None }
    }

    /// DynamoDB did not do all of a batch, attempt after attempt.
    pub(super) fn throttled(operation: &'static str) -> Self {
        Self::Unavailable { operation, code: "UnprocessedKeys".to_owned(), source: None }
    }
}

/// Codes that say "this call is wrong", as opposed to "not now" or "not set up".
const REFUSALS: [&str; 4] =
    ["ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException", "RequestTooLarge"];

/// What a code that DynamoDB answered means for `operation`.
pub(super) fn from_code(operation: &'static str, code: &str) -> StoreError {
    let code = code.to_owned();
    if REFUSALS.contains(&code.as_str()) {
        StoreError::Refused { operation, code }
    } else {
        StoreError::Unavailable { operation, code, source: None }
    }
}

/// What a failed SDK call means for `operation`.
pub(super) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let unavailable = |code: &str, source| StoreError::Unavailable { operation, code: code.to_owned(), source };
    match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            match answer.err().code() {
                Some(code) if status < 500 => from_code(operation, code),
                code => unavailable(code.unwrap_or("5xx"), None),
            }
        }
        SdkError::TimeoutError(_) => unavailable("timeout", None),
        SdkError::DispatchFailure(_) => unavailable("dispatch", error.into_source().ok()),
        SdkError::ResponseError(_) => unavailable("response", None),
        SdkError::ConstructionFailure(_) => StoreError::Refused { operation, code: "construction".to_owned() },
        _ => unavailable("unknown", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_call_is_not_worth_repeating() {
        assert!(!from_code("commit", "ValidationException").is_retryable());
        for code in ["ThrottlingException", "ResourceNotFoundException", "ExpiredTokenException"] {
            assert!(from_code("commit", code).is_retryable(), "{code}");
        }
    }
}
