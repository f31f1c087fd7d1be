//! Compares the local clock with the `Date` header of every DynamoDB answer.
//!
//! Deadlines never run where the two disagree by more than 2 s: one host whose clock jumps must not cancel orders. The
//! guard hangs in the DynamoDB client as an interceptor and costs one header read per answer. Asked by the deadline
//! reconciler, by serving reports and by readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use order_model::{SharedClock, Timestamp};

/// More disagreement than this stops deadlines.
pub(crate) const SKEW_MAX: Duration = Duration::from_secs(2);
/// Stands for "never compared".
const UNKNOWN: i64 = i64::MIN;

/// What the last comparison said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// No answer has come yet.
    Unknown,
    /// Within [`SKEW_MAX`].
    Agrees,
    /// The local clock is off by this many ms; positive when it is ahead.
    Disagrees(i64),
}

/// The comparison, shared by the client that feeds it and those who ask.
#[derive(Clone)]
pub(crate) struct ClockGuard {
    clock: SharedClock,
    skew_ms: Arc<AtomicI64>,
}

impl ClockGuard {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, skew_ms: Arc::new(AtomicI64::new(UNKNOWN)) }
    }

    /// What the last answer's date says about the local clock.
    pub(crate) fn agreement(&self) -> Agreement {
        match self.skew_ms.load(Ordering::Relaxed) {
            UNKNOWN => Agreement::Unknown,
            skew_ms if Duration::from_millis(skew_ms.unsigned_abs()) > SKEW_MAX => Agreement::Disagrees(skew_ms),
            _ => Agreement::Agrees,
        }
    }

    fn compare(&self, date: &str) {
        let Ok(date) = DateTime::from_str(date, DateTimeFormat::HttpDate) else { return };
        let Ok(date_ms) = date.to_millis() else { return };
        let skew_ms = skew_ms(self.clock.now(), Timestamp::from_unix_ms(date_ms));
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("comanda_gateway_core_clock_skew_seconds").set(skew_ms as f64 / 1000.0);
    }
}

impl std::fmt::Debug for ClockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClockGuard").field("agreement", &self.agreement()).finish()
    }
}

/// By how much `local` lies outside of the second that an HTTP date names, in ms; positive when it is ahead.
fn skew_ms(local: Timestamp, date: Timestamp) -> i64 {
    let behind = date.since(local);
    let ahead = local.since(date.plus(Duration::from_secs(1)));
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    ms(ahead) - ms(behind)
}

impl Intercept for ClockGuard {
    fn name(&self) -> &'static str {
        "ClockGuard"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(date) = context.response().headers().get("date") {
            self.compare(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use order_model::ManualClock;

    use super::*;

    #[test]
    fn a_clock_within_two_seconds_of_the_header_agrees() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let clock = ManualClock::new(Timestamp::from_unix_ms(784_111_777_500));
        let guard = ClockGuard::new(clock.clone());
        assert_eq!(guard.agreement(), Agreement::Unknown);
        for (jump_ms, expected) in [
            (0, Agreement::Agrees),
            (2_400, Agreement::Agrees),
            (200, Agreement::Disagrees(2_100)),
            (-5_500, Agreement::Disagrees(-2_400)),
        ] {
            clock.jump(jump_ms);
            guard.compare(date);
            assert_eq!(guard.agreement(), expected, "after a jump of {jump_ms}");
        }
        guard.compare("nonsense");
        assert_eq!(guard.agreement(), Agreement::Disagrees(-2_400));
    }
}
