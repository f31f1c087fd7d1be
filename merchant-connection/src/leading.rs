//! Which partitions this node leads: their terms are started and ended here, and everybody asks here.

use std::collections::BTreeMap;
use std::sync::Arc;

use order_model::{MerchantId, PartitionId, RoutingHash};
use parking_lot::RwLock;
use replicated_grid::Leadership;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::led::Led;
use crate::presence::PresencePartition;
use crate::service::{Handle, Shared};
use crate::{restore, term, totals};

/// This node does not take beats of a partition or answer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotLedHere;

impl Shared {
    pub(crate) fn partition_of(&self, merchant: MerchantId) -> u16 {
        let PartitionId(partition) = RoutingHash::of(merchant).partition(self.partitions);
        partition
    }

    /// Who leads `partition`, as far as this node knows.
    pub(crate) fn leadership_of(&self, partition: u16) -> Leadership {
        self.leadership.borrow().get(usize::from(partition)).copied().unwrap_or_default()
    }

    pub(crate) fn place(&self, partition: u16) -> &RwLock<Option<Arc<Led>>> {
        &self.led[usize::from(partition)]
    }

    /// What is led here, in order.
    pub(crate) fn all_led(&self) -> Vec<Arc<Led>> {
        self.led.iter().filter_map(|place| place.read().clone()).collect()
    }

    /// Looks at a partition within the leader's lease, together with what the leader keeps beside the state. After an
    /// error nothing that `look` saw or did may count.
    pub(crate) fn with_led<R>(
        &self,
        partition: u16,
        look: impl FnOnce(&Led, &PresencePartition) -> R,
    ) -> Result<R, NotLedHere> {
        let led = self.led.get(usize::from(partition)).and_then(|place| place.read().clone()).ok_or(NotLedHere)?;
        let looked = self.grid.read(partition, |state| look(&led, state)).map_err(|_| NotLedHere)?;
        // A lease that holds may be that of another term.
        let is_same = self.place(partition).read().as_ref().is_some_and(|now| Arc::ptr_eq(now, &led));
        if is_same { Ok(looked) } else { Err(NotLedHere) }
    }

    /// Whether the state of `partition`, as it is here, is whole.
    pub(crate) fn is_restored(&self, partition: u16) -> bool {
        self.grid.read_without_lease(partition, PresencePartition::is_restored).unwrap_or(false)
    }

    /// Waits until the state of `partition` is whole.
    pub(crate) async fn until_restored(&self, partition: u16) {
        // The sender lives as long as this value.
        let _ = self.restores.subscribe().wait_for(|_| self.is_restored(partition)).await;
    }
}

/// Starts a term whenever a leadership is gained and ends it when it is lost, until `shutdown`; then lets those that run
/// publish what they decided, within the drain timeout.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) -> Result<(), Error> {
    let mut leadership = shared.leadership.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(restore::run(Arc::clone(&shared), shutdown.clone()));
    let mut terms: BTreeMap<u16, (u64, AbortHandle)> = BTreeMap::new();
    while !shutdown.is_cancelled() {
        let now = Arc::clone(&leadership.borrow_and_update());
        for (partition, of) in (0..).zip(now.iter()) {
            let term = of.is_ours.then_some(of.term);
            if terms.get(&partition).map(|(term, _)| *term) == term {
                continue;
            }
            if let Some((_, ended)) = terms.remove(&partition) {
                ended.abort();
                totals::forget(partition);
            }
            if let Some(term) = term {
                let leading = term::lead(Arc::clone(&shared), partition, term, shutdown.clone());
                terms.insert(partition, (term, tasks.spawn(leading)));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            changed = leadership.changed() => if changed.is_err() { shutdown.cancelled().await },
            Some(ended) = tasks.join_next() => unless_panicked(ended)?,
        }
    }
    let draining = async {
        while let Some(ended) = tasks.join_next().await {
            unless_panicked(ended)?;
        }
        Ok(())
    };
    tokio::time::timeout(shared.config.drain_timeout, draining).await.unwrap_or_else(|_| {
        tracing::warn!("presence transitions were left for whoever leads next");
        Ok(())
    })
}

fn unless_panicked(ended: Result<(), tokio::task::JoinError>) -> Result<(), Error> {
    match ended {
        Err(error) if error.is_panic() => Err(Error::Task(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Handle {
    /// Whether everything led here is restored and judged, and of everything else a leader is known.
    ///
    /// # Errors
    /// With why not.
    pub fn readiness(&self) -> Result<(), String> {
        let shared = &self.shared;
        let known: Vec<Leadership> = (0..shared.partitions.0.get()).map(|one| shared.leadership_of(one)).collect();
        let leaderless = known.iter().filter(|of| of.leader.is_none()).count();
        if leaderless > 0 {
            return Err(format!("no leader is known of {leaderless} partitions"));
        }
        let ours = known.iter().filter(|of| of.leader == Some(shared.node)).count();
        let judged = shared.all_led().iter().filter(|led| led.is_judging()).count();
        if judged < ours {
            let items = shared.restored_items.load(std::sync::atomic::Ordering::Relaxed);
            return Err(format!("presence of {} partitions is not restored yet ({items} items read)", ours - judged));
        }
        Ok(())
    }
}
