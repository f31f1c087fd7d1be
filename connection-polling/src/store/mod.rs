//! The table `polling-index` and the only code that names it or the DynamoDB client.
//!
//! Called by everything that reads or writes the fallback feed. One file per kind of item; `requests` holds the batch
//! and page mechanics that all share. Rules are deliberately absent: items go out as they are stored.

mod acknowledgments;
mod error;
mod events;
mod fences;
#[cfg(test)]
mod hostile;
mod item;
mod merchants;
mod orders;
mod requests;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use order_model::{SharedClock, Timestamp};
use parking_lot::Mutex;

use crate::store_time::StoreTime;

pub(crate) use acknowledgments::{AcknowledgedIds, unexpired_ids};
pub use error::StoreError;
pub(crate) use events::IndexedEvent;
pub(crate) use fences::FenceLogEntry;
pub(crate) use item::{Item, partition_key};
pub(crate) use merchants::MerchantBump;
pub(crate) use requests::{ItemPage, Segment};
pub use tables::create_tables;

/// The table's name without its prefix.
pub const TABLE: &str = "polling-index";

/// One attempt of one request.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// One request with its retries: a poll that finds DynamoDB gone is refused within this much.
const CALL_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Attempts of one request, the first included: one hiccup is hidden, an outage is reported.
const ATTEMPTS_MAX: u32 = 2;

/// The table, over a client with our own timeouts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    client: Client,
    table: Arc<str>,
    time: Arc<Mutex<StoreTime>>,
    clock: SharedClock,
    clock_tolerance: Duration,
}

impl Store {
    /// Over `client` (whose endpoint, credentials and interceptors are kept) and the table with this prefix.
    pub(crate) fn new(client: &Client, prefix: &str, clock: SharedClock, clock_tolerance: Duration) -> Self {
        let time = Arc::new(Mutex::new(StoreTime::default()));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let retries =
            RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX).with_initial_backoff(Duration::from_millis(50));
        let config = client
            .config()
            .to_builder()
            .timeout_config(timeouts)
            .retry_config(retries)
            .interceptor(DateReader { time: Arc::clone(&time), clock: clock.clone() })
            .build();
        Self {
            client: Client::from_conf(config),
            table: format!("{prefix}{TABLE}").into(),
            time,
            clock,
            clock_tolerance,
        }
    }

    /// What the store's clock says.
    pub(crate) fn time(&self) -> StoreTime {
        *self.time.lock()
    }

    /// The time to judge expiry by; see [`StoreTime::judge`].
    pub(crate) fn now(&self) -> Timestamp {
        self.time().judge(self.clock.now(), self.clock.monotonic(), self.clock_tolerance)
    }

    /// The later of the wall clock and the store's: to judge lateness by, where underestimating it would lose events.
    pub(crate) fn now_at_the_latest(&self) -> Timestamp {
        let by_store = self.time().at_least(self.clock.monotonic());
        by_store.map_or_else(|| self.clock.now(), |by_store| by_store.max(self.clock.now()))
    }

    /// The clock that was passed in.
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }
}

/// Reads the `Date` of every answer.
struct DateReader {
    time: Arc<Mutex<StoreTime>>,
    clock: SharedClock,
}

impl fmt::Debug for DateReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DateReader")
    }
}

impl Intercept for DateReader {
    fn name(&self) -> &'static str {
        "DateReader"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), aws_sdk_dynamodb::error::BoxError> {
        let date = context
            .response()
            .headers()
            .get("date")
            .and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok())
            .and_then(|date| date.to_millis().ok());
        if let Some(date_ms) = date {
            self.time.lock().observe(Timestamp::from_unix_ms(date_ms), self.clock.monotonic());
        }
        Ok(())
    }
}
