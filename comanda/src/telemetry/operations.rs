//! The operations listener: `/metrics`, `/livez`, `/readyz`.
//!
//! Bound to loopback by the settings. `/livez` says that the process turns; `/readyz` asks every component and says why
//! it is not ready. Nothing here changes anything.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

/// Asks one component whether it is ready; the error says why not.
pub type ReadinessCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the listener shows.
#[derive(Clone)]
pub struct Operations {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Every component by name.
    pub components: Arc<Vec<(&'static str, ReadinessCheck)>>,
}

/// The routes.
pub fn router(operations: Operations) -> Router {
    Router::new()
        .route("/metrics", get(render_metrics))
        .route("/livez", get(|| async { Json(json!({"live": true})) }))
        .route("/readyz", get(ready))
        .with_state(operations)
}

async fn render_metrics(State(operations): State<Operations>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, operations.metrics.render()).into_response()
}

async fn ready(State(operations): State<Operations>) -> Response {
    let mut all_ready = true;
    let mut components = Vec::with_capacity(operations.components.len());
    for (name, check) in operations.components.iter() {
        components.push(match check() {
            Ok(()) => json!({"name": name, "ready": true}),
            Err(why) => {
                all_ready = false;
                json!({"name": name, "ready": false, "why": why})
            }
        });
    }
    let status = if all_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": all_ready, "components": components}))).into_response()
}
