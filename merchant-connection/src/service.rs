//! The service: restore, hear, sweep, carry out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use message_bus::SharedTopic;
use order_model::SharedClock;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::error::Error;
use crate::grid::PresenceGrid;
use crate::outbox::{Outbox, WAITING_MAX};
use crate::presence::Transition;
use crate::store::{Store, StoreError, StoredPresence};
use crate::sweeper::Sweeper;

/// Pause before the store is asked again at start.
const RESTORE_RETRY: Duration = Duration::from_secs(1);

/// What the service is given.
pub struct Dependencies {
    /// Time.
    pub clock: SharedClock,
    /// Owner of the `merchants` table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Prefix of the table's name.
    pub table_prefix: String,
    /// `merchant-status`.
    pub merchant_status: SharedTopic,
}

/// merchant-connection.
pub struct Service {
    handle: Handle,
    config: Config,
    outbox: Outbox,
}

/// The API in the same process, and what the RPCs are made of.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) grid: PresenceGrid,
    pub(crate) sweeper: Sweeper,
    pub(crate) store: Store,
    restored: AtomicBool,
}

impl Service {
    /// Builds it; touches nothing outside.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        for (setting, value, least) in [
            ("offline_after", config.offline_after, Duration::from_secs(1)),
            ("sweep_interval", config.sweep_interval, Duration::from_millis(100)),
        ] {
            if value < least {
                return Err(Error::Setting { setting, least });
            }
        }
        let store = Store::new(dependencies.dynamodb, &dependencies.table_prefix);
        let shared = Shared {
            grid: PresenceGrid::new(&config, Arc::clone(&dependencies.clock)),
            sweeper: Sweeper::new(&config, dependencies.clock),
            store: store.clone(),
            restored: AtomicBool::new(false),
        };
        let outbox = Outbox { store, topic: dependencies.merchant_status };
        Ok(Self { handle: Handle { shared: Arc::new(shared) }, config, outbox })
    }

    /// The API for the same process.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `shutdown`, then writes and publishes what was decided, for at most the drain timeout.
    ///
    /// # Errors
    /// None at present; the signature is that of every service.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Some(Some(unpublished)) = shutdown.run_until_cancelled(self.restore(&shutdown)).await else {
            return Ok(());
        };
        self.handle.shared.restored.store(true, Ordering::Release);
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        // Ends with this call, whatever becomes of it: what is still undone then is left for the next start.
        let carrying = AbortOnDropHandle::new(tokio::spawn(carry(self.outbox.clone(), unpublished, waiting)));
        self.sweep_until(&shutdown, &sender).await;
        drop(sender);
        if tokio::time::timeout(self.config.drain_timeout, carrying).await.is_err() {
            tracing::warn!("presence transitions were left for the next start");
        }
        Ok(())
    }

    async fn sweep_until(&self, shutdown: &CancellationToken, outbox: &mpsc::Sender<Transition>) {
        let mut interval = tokio::time::interval(self.config.sweep_interval);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
            self.handle.shared.sweeper.sweep(&self.handle.shared.grid, outbox).await;
        }
    }

    /// Takes over what is stored; gives the transitions that were written and perhaps not published.
    async fn restore(&self, shutdown: &CancellationToken) -> Option<Vec<Transition>> {
        let mut logged = false;
        while !shutdown.is_cancelled() {
            match self.try_restore().await {
                Ok(unpublished) => return Some(unpublished),
                Err(_) if std::mem::replace(&mut logged, true) => {}
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "presence cannot be restored yet; trying again");
                }
                Err(error) => tracing::error!(%error, "presence cannot be restored; trying again"),
            }
            tokio::time::sleep(RESTORE_RETRY).await;
        }
        None
    }

    async fn try_restore(&self) -> Result<Vec<Transition>, StoreError> {
        let shared = &self.handle.shared;
        let stored = shared.store.presences().await?;
        let mut unpublished = Vec::new();
        for presence in stored.iter().filter(|presence| presence.published_sequence < presence.last.sequence) {
            unpublished.extend(self.unpublished(presence).await?);
        }
        let mut by_partition = vec![Vec::new(); usize::from(shared.grid.partitions())];
        for presence in &stored {
            by_partition[usize::from(shared.grid.partition_of(presence.last.merchant()))].push(presence.last);
        }
        let now = shared.sweeper.hearing_time();
        for (partition, transitions) in (0..).zip(by_partition) {
            // Taking over counts as a beat for whoever was ONLINE: a restart of ours closes nobody.
            for transition in transitions.iter().filter(|transition| transition.online) {
                shared.grid.beat(transition.merchant(), now);
            }
            if shared.grid.replicate_transitions(partition, transitions).await.is_err() {
                return Err(StoreError::Unavailable { operation: "restore", reason: "the grid refused".to_owned() });
            }
        }
        tracing::info!(merchants = stored.len(), unpublished = unpublished.len(), "presence restored");
        Ok(unpublished)
    }

    async fn unpublished(&self, presence: &StoredPresence) -> Result<Vec<Transition>, StoreError> {
        let mut found = Vec::new();
        for sequence in presence.published_sequence + 1..=presence.last.sequence {
            found.extend(self.handle.shared.store.transition(presence.last.merchant(), sequence).await?);
        }
        Ok(found)
    }
}

async fn carry(outbox: Outbox, unpublished: Vec<Transition>, waiting: mpsc::Receiver<Transition>) {
    outbox.carry_out(unpublished).await;
    outbox.run(waiting).await;
}

impl Handle {
    /// Whether presence is restored and judged.
    ///
    /// # Errors
    /// With why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.shared.restored.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err("presence is not restored yet".to_owned())
        }
    }
}
