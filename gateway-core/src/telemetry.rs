//! The metrics of this service, under names that stay put. Labels are from small fixed sets: never an id.

use tokio::time::Instant;

/// The longest unknown code that is logged: a longer one is a sentence, which may hold anything.
const CODE_LOGGED_BYTES_MAX: usize = 8;

/// Measures one call of a dependency; a call that is dropped before it ended counts as failed.
pub(crate) struct DependencyTimer {
    dependency: &'static str,
    operation: &'static str,
    started: Instant,
    ended: bool,
}

/// Starts measuring `operation` of `dependency`.
pub(crate) fn dependency(dependency: &'static str, operation: &'static str) -> DependencyTimer {
    DependencyTimer { dependency, operation, started: Instant::now(), ended: false }
}

impl DependencyTimer {
    pub(crate) fn ok(self) {
        self.end("ok");
    }

    pub(crate) fn failed(self) {
        self.end("failed");
    }

    /// Ends as `result` says.
    pub(crate) fn result<T, E>(self, result: &Result<T, E>) {
        self.end(if result.is_ok() { "ok" } else { "failed" });
    }

    fn end(mut self, outcome: &'static str) {
        self.ended = true;
        self.record(outcome);
    }

    fn record(&self, outcome: &'static str) {
        metrics::histogram!(
            "comanda_dependency_seconds",
            "dependency" => self.dependency, "operation" => self.operation, "outcome" => outcome
        )
        .record(self.started.elapsed());
    }
}

impl Drop for DependencyTimer {
    fn drop(&mut self) {
        if !self.ended {
            self.record("dropped");
        }
    }
}

/// One answered request: its rate, its outcome and its latency.
pub(crate) fn request(endpoint: &'static str, outcome: &'static str, started: Instant) {
    metrics::histogram!("comanda_gateway_core_request_seconds", "endpoint" => endpoint, "outcome" => outcome)
        .record(started.elapsed());
}

/// A committed transition with this many events, by what caused it.
pub(crate) fn committed(cause: &'static str, events: usize) {
    metrics::counter!("comanda_gateway_core_transitions_total", "cause" => cause).increment(1);
    metrics::counter!("comanda_gateway_core_events_total").increment(events as u64);
}

/// A commit that met another one on the same order and was decided again.
pub(crate) fn conflict() {
    metrics::counter!("comanda_gateway_core_conflicts_total").increment(1);
}

/// A message that was rejected.
pub(crate) fn rejected(reason: &'static str) {
    metrics::counter!("comanda_gateway_core_rejections_total", "reason" => reason).increment(1);
}

/// A cancellation whose code is absent or not known. One that can be nothing but a code is logged: somebody may have to add it.
pub(crate) fn cancellation_code_replaced(sent: &str) {
    let sent = sent.trim();
    let kind = if sent.is_empty() { "absent" } else { "unknown" };
    metrics::counter!("comanda_gateway_core_cancellation_codes_replaced_total", "sent" => kind).increment(1);
    let is_code = sent.len() <= CODE_LOGGED_BYTES_MAX && sent.bytes().all(|byte| byte.is_ascii_digit());
    if !sent.is_empty() && is_code {
        tracing::info!(code = sent, "an order is cancelled with a code that is not known");
    }
}
