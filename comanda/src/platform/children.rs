//! Processes of our own that `dev` starts, starts again when they end, and takes along when it ends itself.
//!
//! A child reads its standard input, which nobody writes to: when the parent dies, however it dies, the pipe closes and
//! the child drains. That needs no signal and leaves nothing behind.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// A child cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("{child} cannot be started")]
pub struct StartError {
    child: String,
    #[source]
    source: std::io::Error,
}

/// How long a child that ended is left before it is started again, doubled by each start that fails at once.
const RESTART_AFTER: Duration = Duration::from_millis(100);
const RESTART_AFTER_MAX: Duration = Duration::from_secs(5);

/// A child that has run this long counts as started well.
const STARTED_WELL: Duration = Duration::from_secs(10);

/// How long a child may take to end beyond its own drain before it is killed.
const END_MARGIN: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// For log lines.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables added to ours.
    pub environment: Vec<(String, String)>,
    /// How long it may drain.
    pub drain_timeout: Duration,
}

/// A child that is kept running.
#[derive(Debug, Clone)]
pub struct KeptChild {
    spec: ChildSpec,
    pid: Arc<Mutex<Option<u32>>>,
}

impl KeptChild {
    /// Not started yet.
    pub fn new(spec: ChildSpec) -> Self {
        Self { spec, pid: Arc::default() }
    }

    /// The id of its process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        *self.pid.lock()
    }

    /// Keeps it running until `shutdown`, then lets it drain.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StartError> {
        let mut pause = RESTART_AFTER;
        loop {
            let started = tokio::time::Instant::now();
            let mut child = self.start()?;
            // Taken out: waiting for a child would close it.
            let input = child.stdin.take();
            *self.pid.lock() = child.id();
            let ended = tokio::select! {
                ended = child.wait() => ended,
                () = shutdown.cancelled() => {
                    drop(input);
                    end(&mut child, self.spec.drain_timeout + END_MARGIN).await;
                    *self.pid.lock() = None;
                    return Ok(());
                }
            };
            *self.pid.lock() = None;
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            pause = if started.elapsed() < STARTED_WELL { (pause * 2).min(RESTART_AFTER_MAX) } else { RESTART_AFTER };
            tracing::warn!(child = self.spec.name, how, "a child ended; it is started again in {pause:?}");
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn start(&self) -> Result<Child, StartError> {
        let mut command = Command::new(&self.spec.program);
        command.args(&self.spec.arguments).envs(self.spec.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        // A Ctrl-C on the terminal is ours; the child learns of it through its standard input, in the right order.
        command.process_group(0);
        let mut child = command.spawn().map_err(|source| StartError { child: self.spec.name.clone(), source })?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(discard(output, self.spec.name.clone()));
        }
        Ok(child)
    }
}

/// Waits for a child that was told to drain, and kills it when it takes too long.
async fn end(child: &mut Child, patience: Duration) {
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        tracing::warn!("a child did not end in {patience:?}; it is killed");
        // It may have ended in between.
        let _ = child.kill().await;
    }
}

/// A child's standard output is not ours: data goes there, and the parent has its own.
async fn discard(output: tokio::process::ChildStdout, name: String) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(child = name, line, "a child said");
    }
}

/// Cancels `shutdown` when standard input ends: what a child of [`KeptChild`] does.
pub fn end_with_standard_input(shutdown: CancellationToken) {
    tokio::spawn(async move {
        let mut input = tokio::io::stdin();
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored).await, Ok(1..)) {}
        shutdown.cancel();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cat() -> KeptChild {
        KeptChild::new(ChildSpec {
            name: "cat".to_owned(),
            program: "cat".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            drain_timeout: Duration::from_secs(1),
        })
    }

    async fn next_pid(child: &KeptChild, not: Option<u32>) -> u32 {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            match child.pid() {
                Some(pid) if Some(pid) != not => return pid,
                _ => assert!(tokio::time::Instant::now() < deadline, "it was never started"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_child_that_is_killed_is_started_again_and_ends_with_its_parent() {
        let (child, shutdown) = (cat(), CancellationToken::new());
        let running = tokio::spawn(child.clone().run(shutdown.clone()));
        let first = next_pid(&child, None).await;
        let killed = std::process::Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
        assert!(killed.success());
        next_pid(&child, Some(first)).await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(child.pid(), None);
    }
}
