//! The service: built from settings and what is passed in, run until it is told to stop.
//!
//! Called by the binary and by tests. `build` makes nothing visible and asks nobody; `run` consumes the queue and looks
//! after the readiness; the [`Handle`] answers RPCs whether `run` is running or not.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use message_bus::{PacedQueue, SharedQueue};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::acknowledge::Acknowledger;
use crate::admission::Admission;
use crate::config::{Config, Dependencies};
use crate::consumer::Consumer;
use crate::fences::Fences;
use crate::gaps::GapFiller;
use crate::index::Index;
use crate::poll::Poller;
use crate::replay::{REPLAYS_MAX, Replayer};
use crate::store::Store;

/// How often the store is asked whether it is there; also keeps its `Date` fresh.
const PULSE_INTERVAL: Duration = Duration::from_secs(2);
/// How long receiving rests after a batch that was not full: nobody reads this index while the grid serves.
const FEED_PAUSE: Duration = Duration::from_millis(50);

/// Why the service cannot be built or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense.
    #[error("connection-polling: {setting} must not be zero")]
    ZeroSetting {
        /// Its name.
        setting: &'static str,
    },
    /// Work was still going on when the drain timeout ended; its messages come back by themselves.
    #[error("connection-polling: {receivers} receivers were still at work after the drain timeout")]
    NotDrained {
        /// How many.
        receivers: usize,
    },
}

/// Everything that calls are answered with.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) poller: Poller,
    pub(crate) acknowledger: Acknowledger,
    pub(crate) fences: Fences,
    pub(crate) polls: Admission,
    pub(crate) replayer: Replayer,
    pub(crate) replays: Admission,
    pub(crate) acknowledgments: Admission,
    readiness: Mutex<Result<(), String>>,
}

/// The API within this process and the implementation of the RPCs. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) parts: Arc<Parts>,
}

impl Handle {
    /// Whether polls and acknowledgments can be served; if not, why.
    ///
    /// # Errors
    /// With the reason, for `/readyz`.
    pub fn readiness(&self) -> Result<(), String> {
        self.parts.readiness.lock().clone()
    }
}

/// The service.
pub struct Service {
    handle: Handle,
    consumer: Consumer,
}

impl Service {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Error::ZeroSetting`] when a setting that must not be zero is.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        let counts = [
            ("polls_max", config.polls_max),
            ("acknowledgments_max", config.acknowledgments_max),
            ("receivers", config.receivers),
        ];
        if let Some((setting, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::ZeroSetting { setting });
        }
        let Dependencies { clock, dynamodb, table_prefix, core, feed, dead_letters } = dependencies;
        let store = Store::new(&dynamodb, &table_prefix, clock.clone(), config.clock_tolerance);
        let index = Index::over(store.clone(), config.event_id_key);
        let gaps = GapFiller::new(store.clone(), index.clone(), core, config.event_id_key);
        let admit = |running_max| Admission::new(running_max, config.polls_waiting_max, config.poll_wait_max);
        let parts = Parts {
            poller: Poller::new(store.clone(), gaps),
            acknowledger: Acknowledger::new(store.clone(), config.partition_count),
            fences: Fences::new(store.clone(), config.partition_count, config.clock_tolerance),
            polls: admit(config.polls_max),
            replayer: Replayer::new(store.clone()),
            replays: admit(REPLAYS_MAX),
            acknowledgments: admit(config.acknowledgments_max),
            readiness: Mutex::new(Err("DynamoDB has not been asked yet".to_owned())),
            store,
            config: config.clone(),
        };
        let feed = Arc::new(PacedQueue::new(feed, FEED_PAUSE));
        let consumer = Consumer { index, feed, dead_letters, clock, visibility: config.visibility };
        Ok(Self { handle: Handle { parts: Arc::new(parts) }, consumer })
    }

    /// The API.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Consumes the feed queue until `shutdown`, then finishes what is in work.
    ///
    /// # Errors
    /// [`Error::NotDrained`] when that takes longer than the drain timeout.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(self, shutdown: CancellationToken) -> Result<(), Error> {
        let config = &self.handle.parts.config;
        let mut receivers = JoinSet::new();
        for _ in 0..config.receivers {
            receivers.spawn(self.consumer.clone().run(shutdown.clone()));
        }
        tracing::info!(receivers = config.receivers, queue = self.consumer.feed.name(), "connection-polling runs");
        let pulse = pulse(Arc::clone(&self.handle.parts), Arc::clone(&self.consumer.feed));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = pulse => {}
        }
        *self.handle.parts.readiness.lock() = Err("stopping".to_owned());
        let drained = async { while receivers.join_next().await.is_some() {} };
        if tokio::time::timeout(config.drain_timeout, drained).await.is_err() {
            return Err(Error::NotDrained { receivers: receivers.len() });
        }
        tracing::info!("connection-polling drained");
        Ok(())
    }
}

/// Looks after the readiness and the gauges, for ever.
async fn pulse(parts: Arc<Parts>, feed: SharedQueue) {
    let mut was_ready = None;
    loop {
        let readiness = match parts.fences.read_all().await {
            Ok(fences) => {
                let raised = fences.fences.iter().filter(|fence| fence.raised).count();
                metrics::gauge!("comanda_connection_polling_raised_fences").set(raised as f64);
                Ok(())
            }
            Err(error) => {
                if was_ready != Some(false) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "connection-polling is not ready");
                }
                Err(error.to_string())
            }
        };
        if was_ready != Some(true) && readiness.is_ok() {
            tracing::info!("connection-polling is ready");
        }
        was_ready = Some(readiness.is_ok());
        *parts.readiness.lock() = readiness;
        if let Ok(depth) = feed.depth().await {
            metrics::gauge!("comanda_connection_polling_queue_messages").set(depth.visible as f64);
        }
        tokio::time::sleep(PULSE_INTERVAL).await;
    }
}
