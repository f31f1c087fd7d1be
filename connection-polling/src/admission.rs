//! Admission control: a bounded number of calls at once, a bounded queue before them, and a prompt refusal beyond.
//!
//! A fallback is asked by everybody at once when the primary fails. Taking them all would make all of them late;
//! refusing the excess at once lets kitchen-api try elsewhere.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// One kind of call.
#[derive(Debug)]
pub(crate) struct Admission {
    /// A place among those running or waiting.
    places: Semaphore,
    running: Semaphore,
    wait_max: Duration,
}

/// Too many calls; nothing was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls at once")]
pub(crate) struct Overloaded;

/// Holds a place until it is dropped.
pub(crate) struct Admitted<'a> {
    _place: SemaphorePermit<'a>,
    _running: SemaphorePermit<'a>,
}

impl Admission {
    /// At most `running_max` at once and `waiting_max` before them, each waiting at most `wait_max`.
    pub(crate) fn new(running_max: usize, waiting_max: usize, wait_max: Duration) -> Self {
        let running_max = running_max.clamp(1, Semaphore::MAX_PERMITS / 2);
        let waiting_max = waiting_max.min(Semaphore::MAX_PERMITS / 2);
        Self { places: Semaphore::new(running_max + waiting_max), running: Semaphore::new(running_max), wait_max }
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Result<Admitted<'_>, Overloaded> {
        let place = self.places.try_acquire().map_err(|_| Overloaded)?;
        match tokio::time::timeout(self.wait_max, self.running.acquire()).await {
            Ok(Ok(running)) => Ok(Admitted { _place: place, _running: running }),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_excess_is_refused_and_a_freed_place_is_taken() {
        let admission = Admission::new(1, 1, Duration::from_millis(20));
        let first = admission.enter().await.unwrap();
        let (second, third) = tokio::join!(admission.enter(), admission.enter());
        assert!(second.is_err() && third.is_err(), "one waited in vain, one had nowhere to wait");
        drop(first);
        assert!(admission.enter().await.is_ok());
    }
}
