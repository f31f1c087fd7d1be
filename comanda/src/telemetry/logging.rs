//! Structured logs on stderr: pretty on a terminal, one JSON object a line otherwise.
//!
//! Called once, before anything can log. What may be logged is decided where it is logged: never a body, never a secret.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::typed::LogFormat;

/// The log filter could not be read.
#[derive(Debug, thiserror::Error)]
#[error("log: expected a filter such as info or kitchen_api=debug,info")]
pub struct InvalidFilter {
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging. A second call in one process changes nothing.
///
/// # Errors
/// When `filter` is not a log filter.
pub fn start(filter: &str, format: LogFormat) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::try_new(with_quiet_dependencies(filter)).map_err(|source| InvalidFilter { source })?;
    let pretty = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second start, as in tests that run several commands in one process, keeps the first.
    let _ = if pretty {
        registry.with(lines.with_target(true).with_ansi(std::io::stderr().is_terminal())).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
    };
    Ok(())
}

/// Dependencies log request bodies at debug and trace, so a bare level applies to our own crates only.
fn with_quiet_dependencies(filter: &str) -> String {
    let bare_level = ["trace", "debug", "info", "warn", "error"].contains(&filter);
    if !bare_level {
        return filter.to_owned();
    }
    let ours = [
        "comanda",
        "gateway_agent",
        "gateway_core",
        "order_events",
        "merchant_connection",
        "connection_polling",
        "kitchen_api",
        "message_bus",
        "replicated_grid",
        "local_aws",
        "proto",
    ];
    let ours: Vec<String> = ours.iter().map(|name| format!("{name}={filter}")).collect();
    // openraft warns with every message that a lost node does not take, a thousand times a second; that the node is lost
    // replicated_grid says once.
    format!("warn,openraft=error,{}", ours.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_leaves_dependencies_at_warn() {
        assert!(with_quiet_dependencies("debug").starts_with("warn,openraft=error,comanda=debug,"));
        assert_eq!(with_quiet_dependencies("hyper=trace"), "hyper=trace");
        assert!(start("comanda=nonsense", LogFormat::Json).is_err());
    }
}
