//! Ctrl-C and SIGTERM: the first drains, the second ends at once.

use tokio_util::sync::CancellationToken;

/// Exit code of a process that did not wait for its drain, as shells have it for SIGINT.
const INTERRUPTED: i32 = 130;

/// Cancels the token that it gives at the first signal.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn shutdown_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        token.cancel();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(INTERRUPTED);
    });
    Ok(shutdown)
}
