//! Leading one partition for one term: take over, wait until the state is whole, then sweep and publish until it ends.
//!
//! Started and aborted by [`crate::leading`]. It may be aborted anywhere: what it decided is in the state or was not decided.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::led::Led;
use crate::presence::{Brake, Decision, Head, PresencePartition};
use crate::replicate::{Episode, NotApplied};
use crate::service::Shared;

/// Pause before a decision is proposed again.
const RETRY: Duration = Duration::from_millis(200);

/// The most transitions that are written, published and then marked together.
const BATCH_MAX: usize = 256;

/// Leads `partition` in `term`. Returns when another leader has taken over, or when everything decided was published after
/// `shutdown`.
pub(crate) async fn lead(shared: Arc<Shared>, partition: u16, term: u64, shutdown: CancellationToken) {
    let Some(Some(led)) = shutdown.run_until_cancelled(take_over(&shared, partition, term)).await else { return };
    let _place = Place::occupy(&shared, Arc::clone(&led));
    shared.restore_wanted.notify_one();
    if shutdown.run_until_cancelled(shared.until_restored(partition)).await.is_none() {
        return;
    }
    let brake = Brake::new(shared.config.offline_after, shared.config.sweep_interval);
    let Ok(brake) = shared.grid.read_without_lease(partition, |state| {
        state.extend_board(&mut led.board.write());
        brake.resumed(state.brake())
    }) else {
        return;
    };
    led.begin_to_judge();
    let swept = CancellationToken::new();
    let sweeping = async {
        if sweep_until(&shared, &led, brake, &shutdown).await.is_ok() {
            led.end();
            swept.cancel();
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = sweeping => {}
        () = publish_until(&shared, &led, &swept) => {}
    }
}

/// Tells the state that this node leads now, and takes from it what is needed; `None` when somebody else does already.
async fn take_over(shared: &Shared, partition: u16, term: u64) -> Option<Arc<Led>> {
    let mut episode = Episode::default();
    loop {
        match shared.replicate_of(partition, Head { term, hearing: 0 }, Decision::TakeOver).await {
            Ok(()) => break,
            Err(NotApplied::Superseded) => return None,
            Err(error) => {
                if episode.fails() {
                    tracing::warn!(partition, %error, "presence cannot be taken over yet; trying again");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    let now = shared.clock.monotonic();
    let led = |state: &PresencePartition| Led::take_over(partition, term, state, &shared.config, now);
    let led = shared.grid.read_without_lease(partition, led).ok()?;
    tracing::info!(partition, term, merchants = led.board.read().len(), "leading presence");
    Some(Arc::new(led))
}

/// A partition's place among those led here; free again when this is dropped.
struct Place<'a> {
    shared: &'a Shared,
    led: Arc<Led>,
}

impl<'a> Place<'a> {
    fn occupy(shared: &'a Shared, led: Arc<Led>) -> Self {
        *shared.place(led.partition).write() = Some(Arc::clone(&led));
        // What the state says is enough to answer; the leader's own lease says for how long.
        shared.grid.serve_until(led.partition, led.term, Duration::MAX);
        Self { shared, led }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut place = self.shared.place(self.led.partition).write();
        // The next term may have begun already.
        if place.as_ref().is_some_and(|led| Arc::ptr_eq(led, &self.led)) {
            *place = None;
        }
    }
}

async fn sweep_until(
    shared: &Shared,
    led: &Led,
    mut brake: Brake,
    shutdown: &CancellationToken,
) -> Result<(), NotApplied> {
    let mut interval = tokio::time::interval(shared.config.sweep_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut episode = Episode::default();
    while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
        match shared.sweep(led, &mut brake).await {
            Ok(()) => {
                if episode.succeeds() {
                    tracing::info!(partition = led.partition, "presence is replicated again");
                }
            }
            Err(NotApplied::Superseded) => return Err(NotApplied::Superseded),
            Err(error) => {
                metrics::counter!("comanda_merchant_connection_sweeps_failed_total").increment(1);
                if episode.fails() {
                    tracing::warn!(partition = led.partition, %error, "presence is not replicated; the next sweep tries again");
                }
            }
        }
    }
    Ok(())
}

/// Writes and publishes what the state says is to be, oldest first, until `swept` and nothing is left, or another leader
/// has taken over.
async fn publish_until(shared: &Shared, led: &Led, swept: &CancellationToken) {
    loop {
        let oldest = shared.grid.read_without_lease(led.partition, |state| state.outbox(BATCH_MAX));
        let Ok((transitions, through)) = oldest else { return };
        if transitions.is_empty() {
            tokio::select! {
                () = led.decided.notified() => {}
                // Whoever waits for the end has decided everything before.
                () = swept.cancelled() => return,
            }
            continue;
        }
        shared.outbox.carry_out(transitions).await;
        if mark(shared, led, through).await.is_err() {
            return;
        }
    }
}

/// Has it replicated that transitions were published.
async fn mark(shared: &Shared, led: &Led, through: u64) -> Result<(), NotApplied> {
    loop {
        let hearing = shared.grid.read_without_lease(led.partition, PresencePartition::hearing).unwrap_or_default();
        match shared.replicate(led, hearing, Decision::Published(through)).await {
            Err(NotApplied::Grid(error)) if error.is_retryable() => tokio::time::sleep(RETRY).await,
            outcome => return outcome,
        }
    }
}
