//! Rate, errors and latency of every endpoint, through handles that are made once.
//!
//! Used by the routes. The handles bind to the recorder that is installed when the service is built, so the binary installs
//! it before. Labels are the endpoint's name and the class of the status, never an id.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use metrics::{Counter, Histogram};
use order_model::SharedClock;

const REQUESTS: &str = "comanda_kitchen_api_requests_total";

/// What is measured of one endpoint.
pub(crate) struct EndpointMetrics {
    ok: Counter,
    client_error: Counter,
    server_error: Counter,
    abandoned: Counter,
    seconds: Histogram,
    clock: SharedClock,
}

impl EndpointMetrics {
    pub(crate) fn new(endpoint: &'static str, clock: SharedClock) -> Self {
        let requests = |status| metrics::counter!(REQUESTS, "endpoint" => endpoint, "status" => status);
        Self {
            ok: requests("2xx"),
            client_error: requests("4xx"),
            server_error: requests("5xx"),
            abandoned: requests("abandoned"),
            seconds: metrics::histogram!("comanda_kitchen_api_request_seconds", "endpoint" => endpoint),
            clock,
        }
    }

    /// Measures one request until its answer is there. One that is dropped before (the client left, or it took too
    /// long) counts as abandoned.
    pub(crate) async fn measure(&self, answer: impl Future<Output = Response>) -> Response {
        self.measure_from(self.now(), answer).await
    }

    /// The same of a request that was begun at `started_at`, as [`EndpointMetrics::now`] told it.
    pub(crate) async fn measure_from(&self, started_at: Duration, answer: impl Future<Output = Response>) -> Response {
        let mut running = Running { metrics: self, started_at, status: None };
        let response = answer.await;
        running.status = Some(response.status());
        response
    }

    /// Notes a request that was answered in one piece.
    pub(crate) fn answered(&self, started_at: Duration, status: StatusCode) {
        drop(Running { metrics: self, started_at, status: Some(status) });
    }

    /// The clock that requests are measured by.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

struct Running<'a> {
    metrics: &'a EndpointMetrics,
    started_at: Duration,
    status: Option<StatusCode>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let counter = match self.status {
            None => &self.metrics.abandoned,
            Some(status) if status.is_server_error() => &self.metrics.server_error,
            Some(status) if status.is_client_error() => &self.metrics.client_error,
            Some(_) => &self.metrics.ok,
        };
        counter.increment(1);
        let elapsed = self.metrics.clock.monotonic().saturating_sub(self.started_at);
        self.metrics.seconds.record(elapsed.as_secs_f64());
    }
}
