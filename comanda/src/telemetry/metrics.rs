//! The process-wide metrics recorder and its text form.
//!
//! Services record through the `metrics` facade; the operations listener renders. Histograms are buckets, so that
//! several instances can be added up.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds in seconds: fine where a poll lives (0.1 to 10 ms), coarse up to the longest timeout.
const BUCKETS_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0];

/// Histograms gather samples until they are rendered or drained; draining this often bounds them.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder. Must come before any service creates its metrics.
///
/// # Errors
/// When a recorder is already installed.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS_SECONDS)?
        .install_recorder()
}

/// Keeps the recorder bounded until `shutdown`.
pub async fn keep_up(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
        handle.run_upkeep();
    }
}
