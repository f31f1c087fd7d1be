//! The service: starts its parts, and drains them.
//!
//! Built and run by the binary and by tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Dependencies};
use crate::error::Error;
use crate::held::Held;
use crate::probe::PROBES_MAX;
use crate::settlement::{Fate, Settling};
use crate::worker::Worker;
use crate::{intake, probe};

/// The most of the drain that is kept for giving back.
const GIVE_BACK_MAX: Duration = Duration::from_secs(2);

/// A gateway-agent that is not running yet.
pub struct Service {
    worker: Arc<Worker>,
    running: Arc<AtomicBool>,
    settlements: mpsc::Receiver<(Held, Fate)>,
    probes: mpsc::Receiver<Held>,
}

/// What the same process may ask of a gateway-agent. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    worker: Arc<Worker>,
    running: Arc<AtomicBool>,
}

impl Handle {
    /// Whether messages are being received and committed.
    ///
    /// # Errors
    /// With the reason why not, for `/readyz`.
    pub fn readiness(&self) -> Result<(), String> {
        if !self.running.load(Ordering::Relaxed) {
            return Err("not receiving: starting or draining".to_owned());
        }
        if let Some(closed_for) = self.worker.gate.closed_for() {
            return Err(format!("gateway-core has not answered for {} s: receiving is stopped", closed_for.as_secs()));
        }
        if self.worker.receiving.is_failing() {
            return Err(format!("queue {} cannot be received from", self.worker.dependencies.orders.name()));
        }
        Ok(())
    }
}

impl Service {
    /// Checks the settings and puts the parts together. Does nothing visible.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        config.check()?;
        // A place for every message that can be held: handing over never waits.
        let (settlement, settlements) = mpsc::channel(config.in_flight_max + 2 * PROBES_MAX);
        let (probe, probes) = mpsc::channel(PROBES_MAX);
        let worker = Arc::new(Worker::new(config, dependencies, settlement, probe));
        Ok(Self { worker, running: Arc::default(), settlements, probes })
    }

    /// What the same process may ask of it.
    pub fn handle(&self) -> Handle {
        Handle { worker: Arc::clone(&self.worker), running: Arc::clone(&self.running) }
    }

    /// Receives until `shutdown`, then finishes or gives back what it holds within [`Config::drain_timeout`].
    ///
    /// # Errors
    /// When a part of it panicked.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { worker, running, settlements, probes } = self;
        let settling = Settling::new(Arc::clone(&worker.dependencies.orders), Arc::clone(&worker.held));
        let (stop, settled) = (shutdown.child_token(), CancellationToken::new());
        let mut ending = JoinSet::new();
        ending.spawn(Arc::clone(&settling).run(settlements, settled.clone()));
        let extending = {
            let (settling, visibility) = (Arc::clone(&settling), worker.config.visibility);
            AbortOnDrop(tokio::spawn(async move { settling.extend(visibility).await }))
        };
        let mut parts = JoinSet::new();
        parts.spawn(probe::run(Arc::clone(&worker), probes, stop.clone()));
        for _ in 0..worker.config.receivers {
            parts.spawn(intake::run(Arc::clone(&worker), stop.clone()));
        }
        running.store(true, Ordering::Relaxed);
        tracing::info!(queue = worker.dependencies.orders.name(), "gateway-agent receives");

        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = parts.join_next() => ended.map_err(|source| Error::Ended { part: "receiving", source }),
            Some(ended) = ending.join_next() => ended.map_err(|source| Error::Ended { part: "settling", source }),
        };
        running.store(false, Ordering::Relaxed);
        stop.cancel();
        drain(&worker, parts).await;
        settled.cancel();
        let grace = give_back_timeout(&worker.config) / 3;
        // Past it whatever is left is given back all the same; see below.
        let _ = timeout(grace, async { while ending.join_next().await.is_some() {} }).await;
        drop(extending);
        let _ = timeout(grace, settling.give_back_all()).await;
        tracing::info!("gateway-agent has drained");
        ended
    }
}

/// Lets what is in flight finish; what does not finish in time is given back.
async fn drain(worker: &Worker, mut parts: JoinSet<()>) {
    let give_back = give_back_timeout(&worker.config);
    let finishing = async {
        while parts.join_next().await.is_some() {}
        worker.tasks.close();
        worker.tasks.wait().await;
    };
    if timeout(worker.config.drain_timeout.saturating_sub(give_back), finishing).await.is_err() {
        tracing::warn!("some messages did not finish in time and are given back");
    }
    worker.abandon.cancel();
    worker.tasks.close();
    let _ = timeout(give_back / 3, worker.tasks.wait()).await;
}

fn give_back_timeout(config: &Config) -> Duration {
    (config.drain_timeout / 2).min(GIVE_BACK_MAX)
}

/// A task that must not outlive the service, however it ends.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
