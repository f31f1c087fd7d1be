//! Long polling: takes messages off the queue while there are places for them and the core answers.
//!
//! Several of these run side by side. What happens to a message is [`crate::worker`]'s.

use std::sync::Arc;
use std::time::Duration;

use message_bus::BATCH_MAX;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::decision::exponential;
use crate::settlement::Fate;
use crate::worker::Worker;

/// The first pause after the queue could not be received from.
const RECEIVE_DELAY_MIN: Duration = Duration::from_millis(250);
/// The longest one.
const RECEIVE_DELAY_MAX: Duration = Duration::from_secs(10);

/// Receives until `shutdown`.
pub(crate) async fn run(worker: Arc<Worker>, shutdown: CancellationToken) {
    let mut failures = 0;
    let receiving = async {
        loop {
            worker.gate.wait(false).await;
            let places = places(&worker).await;
            if receive(&worker, places).await {
                failures = 0;
            } else {
                tokio::time::sleep(exponential(failures, RECEIVE_DELAY_MIN, RECEIVE_DELAY_MAX)).await;
                failures += 1;
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = receiving => {}
    }
}

/// Waits for one place and takes up to a batch of them.
async fn places(worker: &Worker) -> Vec<OwnedSemaphorePermit> {
    // The semaphore is never closed.
    let first = Arc::clone(&worker.places).acquire_owned().await.ok();
    let more = std::iter::from_fn(|| Arc::clone(&worker.places).try_acquire_owned().ok());
    first.into_iter().chain(more.take(BATCH_MAX - 1)).collect()
}

/// One long poll; whether the queue answered.
async fn receive(worker: &Arc<Worker>, mut places: Vec<OwnedSemaphorePermit>) -> bool {
    let (config, clock) = (&worker.config, &worker.dependencies.clock);
    let received = worker.dependencies.orders.receive(places.len(), config.receive_wait, config.visibility).await;
    let messages = match received {
        Ok(messages) => messages,
        Err(error) => {
            worker.receiving.failed(&error);
            return false;
        }
    };
    worker.receiving.succeeded();
    for message in messages {
        let Some(place) = places.pop() else { break };
        let held = worker.held.take(message, clock.monotonic(), place);
        // Received by a long poll that began before the pause.
        if worker.gate.is_closed() {
            worker.settle(held, Fate::GiveBack(Duration::ZERO)).await;
        } else {
            worker.start(held);
        }
    }
    true
}
