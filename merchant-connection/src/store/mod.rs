//! The `merchants` table, which this service alone names: profiles, the last transition of each merchant, its history.
//!
//! | pk | sk | holds |
//! |---|---|---|
//! | `m#<merchant>` | `profile` | the profile, and which version of it this is |
//! | `m#<merchant>` | `presentation` | how the operator describes it: all of its details that no POS changes |
//! | `d#<open delivery id>` | `profile` | whose Open Delivery id that is |
//! | `m#<merchant>` | `presence` | the last transition, and up to which sequence transitions were published |
//! | `m#<merchant>` | `t#<sequence>` | one transition; TTL 30 days |
//!
//! Reads are strongly consistent: a state that was lost must not be restored to before what it wrote.

#[cfg(test)]
mod hostile;
mod presence;
mod presentations;
mod profiles;
mod tables;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;

pub(crate) use presence::Segment;
pub use presence::{Recorded, StoredPresence};
pub use profiles::VersionedProfile;
pub use tables::create_tables;

/// How long one call may take before it counts as failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// An item.
type Item = HashMap<String, AttributeValue>;

/// A call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB did not answer, throttled or failed. Trying again makes sense.
    #[error("merchants table: {operation} failed: {reason}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The error's code, never a value.
        reason: String,
    },
    /// Another merchant has that Open Delivery id.
    #[error("openDeliveryId: belongs to another merchant")]
    OpenDeliveryIdTaken,
    /// An item does not read.
    #[error("merchants table: an item has no readable {field}")]
    Malformed {
        /// The attribute.
        field: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The table.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// The table under `prefix`.
    pub fn new(client: Client, prefix: &str) -> Self {
        Self { client, table: table_name(prefix) }
    }

    /// Bounds one call and names it when it fails.
    async fn call<T, E, R>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, CallFailure<E, R>> {
        let started = tokio::time::Instant::now();
        let outcome = match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(CallFailure::Refused(operation, Box::new(error))),
            Err(_) => Err(CallFailure::TimedOut(operation)),
        };
        let outcome_label = if outcome.is_ok() { "ok" } else { "error" };
        let labels = [("dependency", "dynamodb"), ("operation", operation), ("outcome", outcome_label)];
        metrics::histogram!("comanda_dependency_seconds", &labels).record(started.elapsed());
        outcome
    }
}

/// How a call failed, while its error can still be looked at.
enum CallFailure<E, R> {
    Refused(&'static str, Box<SdkError<E, R>>),
    TimedOut(&'static str),
}

impl<E: ProvideErrorMetadata, R> CallFailure<E, R> {
    fn service_error(&self) -> Option<&E> {
        match self {
            Self::Refused(_, error) => error.as_service_error(),
            Self::TimedOut(_) => None,
        }
    }
}

impl<E: ProvideErrorMetadata, R> From<CallFailure<E, R>> for StoreError {
    fn from(failure: CallFailure<E, R>) -> Self {
        match failure {
            CallFailure::TimedOut(operation) => Self::Unavailable { operation, reason: "timed out".to_owned() },
            CallFailure::Refused(operation, error) => {
                let reason = error.as_service_error().and_then(|error| error.code()).unwrap_or("no answer").to_owned();
                Self::Unavailable { operation, reason }
            }
        }
    }
}

fn table_name(prefix: &str) -> String {
    format!("{prefix}merchants")
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn read_text<'a>(item: &'a Item, field: &'static str) -> Result<&'a str, StoreError> {
    item.get(field).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or(StoreError::Malformed { field })
}

/// What is written only where it says something; `None` where it is absent, and never a guess where it is of another type.
fn read_optional<'a, T>(
    item: &'a Item,
    field: &'static str,
    read: impl FnOnce(&'a AttributeValue) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    item.get(field).map(|value| read(value).ok_or(StoreError::Malformed { field })).transpose()
}

fn read_flag(value: &AttributeValue) -> Option<bool> {
    value.as_bool().ok().copied()
}

fn read_number<N: std::str::FromStr>(item: &Item, field: &'static str) -> Result<N, StoreError> {
    let digits = item.get(field).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(StoreError::Malformed { field })
}
