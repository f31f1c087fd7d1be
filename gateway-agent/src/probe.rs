//! Finds out when the core answers again, with a few held messages, and then lets the agent resume.
//!
//! Runs beside the receivers. Several messages take turns, so that one which makes the core fail cannot keep the agent
//! closed; they are held rather than received anew, so that an outage of days does not use up the queue's count of
//! receives.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::decision::exponential;
use crate::held::Held;
use crate::settlement::Fate;
use crate::telemetry;
use crate::worker::{Next, Worker};

/// How many messages take turns.
pub(crate) const PROBES_MAX: usize = 4;
/// The first delay before a probe.
const PROBE_DELAY_MIN: Duration = Duration::from_millis(500);
/// The longest one: how late a recovery may be noticed.
const PROBE_DELAY_MAX: Duration = Duration::from_secs(15);
/// How long one message is held: 1000 receives, the queue's last resort, are then a week.
const PROBE_HELD_MAX: Duration = Duration::from_secs(600);
/// How long to wait for a message to probe with when none is held.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// Runs until `shutdown`; then gives back what it holds.
pub(crate) async fn run(worker: Arc<Worker>, mut inbox: mpsc::Receiver<Held>, shutdown: CancellationToken) {
    let mut probe = Probe { held: VecDeque::new(), places: Arc::new(Semaphore::new(PROBES_MAX)), worker };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(held) = inbox.recv() => probe.held.push_back(held),
            () = probe.worker.gate.wait(true) => {}
        }
        if probe.worker.gate.is_closed() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = probe.until_answered(&mut inbox) => {}
            }
        }
        // Also a message that came just after the core had answered again.
        probe.held.drain(..).for_each(|held| probe.worker.start(held));
    }
    inbox.close();
    let waiting = std::iter::from_fn(|| inbox.try_recv().ok());
    for held in probe.held.drain(..).chain(waiting) {
        probe.worker.settle(held, Fate::GiveBack(Duration::ZERO)).await;
    }
}

struct Probe {
    worker: Arc<Worker>,
    held: VecDeque<Held>,
    /// Places of its own: the receivers' may all be taken.
    places: Arc<Semaphore>,
}

impl Probe {
    /// Probes until the core judges a message, then opens the gate.
    async fn until_answered(&mut self, inbox: &mut mpsc::Receiver<Held>) {
        for step in 0.. {
            tokio::time::sleep(exponential(step, PROBE_DELAY_MIN, PROBE_DELAY_MAX)).await;
            while let Ok(held) = inbox.try_recv() {
                self.held.push_back(held);
            }
            self.top_up().await;
            if self.attempt_next().await {
                break;
            }
        }
        let paused_for = self.worker.gate.open();
        telemetry::intake(false);
        tracing::info!(paused_s = paused_for.as_secs(), "gateway-core answers again: receiving resumes");
    }

    /// Receives messages up to [`PROBES_MAX`], so that there is always another one to try with.
    async fn top_up(&mut self) {
        let wanted = PROBES_MAX.saturating_sub(self.held.len());
        let mut places: Vec<_> =
            std::iter::from_fn(|| Arc::clone(&self.places).try_acquire_owned().ok()).take(wanted).collect();
        if places.is_empty() {
            return;
        }
        let (config, clock) = (&self.worker.config, &self.worker.dependencies.clock);
        let wait = if self.held.is_empty() { PROBE_WAIT.min(config.receive_wait) } else { Duration::ZERO };
        match self.worker.dependencies.orders.receive(places.len(), wait, config.visibility).await {
            Ok(messages) => {
                self.worker.receiving.succeeded();
                for (message, place) in messages.into_iter().zip(places.drain(..)) {
                    self.held.push_back(self.worker.held.take(message, clock.monotonic(), place));
                }
            }
            Err(error) => self.worker.receiving.failed(&error),
        }
    }

    /// Attempts the message whose turn it is; whether the core judged it.
    async fn attempt_next(&mut self) -> bool {
        // It stays in the list while it is attempted: a shutdown in between must find it there.
        let Some(first) = self.held.front() else { return false };
        let attempted = self.worker.attempt(first).await;
        let Some(held) = self.held.pop_front() else {
            return false;
        };
        let held_for = self.worker.dependencies.clock.monotonic().saturating_sub(held.received_at);
        match attempted.next {
            Next::Settle(fate) => self.worker.settle(held, fate).await,
            Next::Probe(_) if held_for > PROBE_HELD_MAX => {
                self.worker.settle(held, Fate::GiveBack(Duration::ZERO)).await;
            }
            Next::Probe(_) => self.held.push_back(held),
        }
        attempted.core_works
    }
}
