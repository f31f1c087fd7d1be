//! What an operator sees of each role: readiness and metrics.

use bytes::Bytes;
use comanda::kitchen_client::{Answer, KitchenClient};
use http::{Method, StatusCode};

use super::{Deployment, STARTED_LIMIT};
use crate::platform::eventually;

impl Deployment {
    /// `path` of the operations listener of a role.
    pub async fn operations(&self, role: &str, path: &str) -> Option<Answer> {
        let base = format!("http://{}", self.addresses.ops[role]);
        let client = KitchenClient::new(&base, "none", "none").unwrap();
        client.call(Method::GET, path, &[], Bytes::new()).await.ok()
    }

    /// The metrics of a role as text; empty when it is down.
    pub async fn metrics(&self, role: &str) -> String {
        let answer = self.operations(role, "/metrics").await;
        answer.map(|answer| String::from_utf8(answer.body.to_vec()).unwrap()).unwrap_or_default()
    }

    /// The value of the one series of `role` that starts like this, e.g. `comanda_x_total{outcome="ok"}`; 0 when absent.
    pub async fn metric(&self, role: &str, series: &str) -> f64 {
        let metrics = self.metrics(role).await;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits until `/readyz` of a role says that all is well.
    pub async fn wait_until_ready(&self, role: &str) {
        eventually(&format!("{role} is ready"), STARTED_LIMIT, async || {
            self.operations(role, "/readyz").await.filter(|answer| answer.status == StatusCode::OK)
        })
        .await;
    }
}
