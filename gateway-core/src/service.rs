//! The service: built from settings and dependencies, run until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock_guard::{Agreement, ClockGuard};
use crate::config::{Config, Dependencies};
use crate::core::{Core, REQUESTS_MAX};
use crate::deadline_reconciler::DeadlineReconciler;
use crate::error::Error;
use crate::merchants::Merchants;
use crate::planning::Rules;
use crate::relay::publisher::Publisher;
use crate::relay::reconciler::RelayReconciler;
use crate::relay::{Lanes, Relay};
use crate::serving_report::ServingReports;
use crate::store::Store;

/// The owner of orders.
pub struct Service {
    config: Config,
    core: Arc<Core>,
    lanes: Lanes,
    is_running: Arc<AtomicBool>,
}

/// The service's API within the process; `rpc` implements the gRPC trait on it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) core: Arc<Core>,
    is_running: Arc<AtomicBool>,
}

impl Service {
    /// Puts the service together. Nothing is read, written or created yet; requests are answered from now on, while
    /// events are published and deadlines acted on only once it runs.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        config.validate()?;
        let Dependencies { clock, dynamodb, table_prefix, topic, merchant_connection, rng } = dependencies;
        let guard = ClockGuard::new(clock.clone());
        let store = Arc::new(Store::new(&dynamodb, &table_prefix, &guard));
        let publisher = Arc::new(Publisher::new(topic, Arc::clone(&store), clock.clone()));
        let (relay, lanes) = Relay::new(Arc::clone(&publisher));
        let core = Core {
            rules: Rules::from(&config),
            public_url: config.public_url.as_deref().unwrap_or_default().trim_end_matches('/').to_owned(),
            relay,
            publisher,
            merchants: Merchants::new(merchant_connection, clock.clone()),
            serving: ServingReports::new(Arc::clone(&store), clock.clone(), guard.clone()),
            store,
            clock,
            guard,
            rng: Mutex::new(rng),
            permits: Semaphore::new(REQUESTS_MAX as usize),
            stopping: AtomicBool::new(false),
        };
        Ok(Self { config, core: Arc::new(core), lanes, is_running: Arc::new(AtomicBool::new(false)) })
    }

    /// The API for the same process.
    pub fn handle(&self) -> Handle {
        Handle { core: Arc::clone(&self.core), is_running: Arc::clone(&self.is_running) }
    }

    /// Publishes events and acts on deadlines until `shutdown`; then refuses new requests, lets the running ones end
    /// and publishes what they committed, within `Config::drain_timeout`.
    ///
    /// # Errors
    /// When it runs already.
    pub fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(&self, shutdown: CancellationToken) -> Result<(), Error> {
        if self.is_running.swap(true, Ordering::SeqCst) {
            return Err(Error::AlreadyRunning);
        }
        tracing::info!("gateway-core runs");
        let lanes_end = CancellationToken::new();
        let relay = RelayReconciler {
            store: Arc::clone(&self.core.store),
            publisher: Arc::clone(&self.core.publisher),
            clock: self.core.clock.clone(),
        };
        let deadlines = DeadlineReconciler { core: Arc::clone(&self.core) };
        let requests = async {
            shutdown.cancelled().await;
            self.core.stopping.store(true, Ordering::SeqCst);
            // Every permit back and none given any more: no request is left that could still commit.
            let _all = self.core.permits.acquire_many(REQUESTS_MAX).await;
            self.core.permits.close();
        };
        let commits = async {
            tokio::join!(deadlines.run(&shutdown), requests);
            lanes_end.cancel();
        };
        let work =
            async { tokio::join!(self.lanes.run(&self.core.publisher, &lanes_end), relay.run(&shutdown), commits) };
        let deadline = async {
            shutdown.cancelled().await;
            tokio::time::sleep(self.config.drain_timeout).await;
        };
        tokio::select! {
            _ = work => tracing::info!("gateway-core has stopped"),
            () = deadline => tracing::warn!("gateway-core stops with events unpublished; another core publishes them"),
        }
        Ok(())
    }
}

impl Handle {
    /// Whether requests are answered and events published.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.core.stopping.load(Ordering::Relaxed) {
            Err("gateway-core is stopping".to_owned())
        } else if !self.is_running.load(Ordering::Relaxed) {
            Err("gateway-core does not run yet".to_owned())
        } else {
            Ok(())
        }
    }

    /// What does not work right now although the service is ready: for humans, empty when all is well.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Agreement::Disagrees(skew_ms) = self.core.guard.agreement() {
            notes.push(format!("the local clock is off by {skew_ms} ms from DynamoDB's: no deadline is acted on"));
        }
        if !self.core.publisher.topic_works() {
            notes.push("the topic takes no events: they are stored and published later".to_owned());
        }
        let set_aside = self.core.publisher.set_aside();
        if set_aside > 0 {
            notes.push(format!("the topic refuses {set_aside} events: they are set aside and tried every few minutes"));
        }
        notes
    }
}
