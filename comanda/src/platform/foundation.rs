//! What stands under the services of a process: operations, the benchmark's empty handler, waiting until all is ready.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::members::{Members, Stage};
use crate::failure::Failure;
use crate::telemetry::metrics;
use crate::telemetry::operations::ReadinessCheck;

/// How often readiness is looked at while a platform starts.
const READINESS_PAUSE: Duration = Duration::from_millis(5);

/// Serves the operations listener and keeps the metrics bounded.
pub fn add_operations(members: &mut Members, listener: TcpListener, router: Router, recorder: PrometheusHandle) {
    members.add("operations", Stage::Foundation, move |token| async move {
        kitchen_api::server::serve(listener, kitchen_api::server::Options::cleartext(), router, token).await;
        Ok::<(), Infallible>(())
    });
    members.add("metrics", Stage::Foundation, move |token| async move {
        metrics::keep_up(recorder, token).await;
        Ok::<(), Infallible>(())
    });
}

/// Serves an empty handler behind the accept loop of the public API: the yardstick of the benchmark.
pub fn add_yardstick(members: &mut Members, listener: TcpListener) {
    let router = Router::new().route("/", axum::routing::get(|| async { http::StatusCode::NO_CONTENT }));
    members.add("yardstick", Stage::Foundation, move |token| async move {
        kitchen_api::server::serve(listener, kitchen_api::server::Options::cleartext(), router, token).await;
        Ok::<(), Infallible>(())
    });
}

/// Waits until every check passes, the process is told to stop, or it ended.
pub async fn wait_until_ready(
    checks: &[(&'static str, ReadinessCheck)],
    shutdown: &CancellationToken,
    running: &JoinHandle<Result<(), Failure>>,
) {
    while !shutdown.is_cancelled() && !running.is_finished() && checks.iter().any(|(_, check)| check().is_err()) {
        tokio::time::sleep(READINESS_PAUSE).await;
    }
}
