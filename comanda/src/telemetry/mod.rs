//! What operators see: logs, metrics and the operations listener.
//!
//! Called once by every command that runs services. Tracing export is deliberately absent; the trace id is in the logs.

pub mod logging;
pub mod metrics;
pub mod operations;
