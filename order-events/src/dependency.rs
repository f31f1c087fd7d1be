//! One way to call another service: a deadline and a measurement around every RPC.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Response, Status};

/// How long any unary call may take. Reading fences must fail well within FENCE (3 s), so that a second try fits.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1_500);

/// How long one message of a stream may take to arrive.
pub(crate) const CHUNK_DEADLINE: Duration = Duration::from_secs(10);

/// Runs `call` within `deadline` and records how long it took and how it ended.
pub(crate) async fn call<T>(
    dependency: &'static str,
    operation: &'static str,
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    let started = Instant::now();
    let result = match tokio::time::timeout(deadline, call).await {
        Ok(result) => result.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("{operation} did not answer in time"))),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(status) if status.code() == tonic::Code::NotFound => "not_found",
        Err(_) => "error",
    };
    let seconds = metrics::histogram!(
        "comanda_dependency_seconds", "dependency" => dependency, "operation" => operation, "outcome" => outcome
    );
    seconds.record(started.elapsed());
    result
}

/// Logs the first failure of an outage and its end, and nothing between.
#[derive(Debug, Default)]
pub(crate) struct Episode {
    failing: bool,
}

impl Episode {
    /// Whether this failure is the first since the last success.
    pub(crate) fn fails(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    /// Whether this success ends an outage.
    pub(crate) fn succeeds(&mut self) -> bool {
        std::mem::replace(&mut self.failing, false)
    }
}
