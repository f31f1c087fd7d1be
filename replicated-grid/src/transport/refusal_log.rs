//! Refused connections in the log: each reason once in a while, with how often it came, so that a peer that tries again
//! all the time does not fill the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a reason stays quiet after a line.
const QUIET: Duration = Duration::from_secs(10);
/// Reasons that are told apart; there are about a dozen, times the nodes they name.
const REASONS_MAX: usize = 256;

/// What was logged lately.
#[derive(Default)]
pub(super) struct RefusalLog {
    lately: Mutex<BTreeMap<String, (Instant, u64)>>,
}

impl RefusalLog {
    /// Counts a refusal of the connection from `from`, and logs it unless its reason was logged lately.
    pub(super) fn refused(&self, from: &str, reason: &str) {
        counter!("comanda_grid_connections_refused_total").increment(1);
        if let Some(unlogged) = self.due(reason, Instant::now()) {
            tracing::warn!(from, reason, unlogged, "connection between nodes refused");
        }
    }

    /// How many were not logged before this one, which is due; `None` when it is not.
    fn due(&self, reason: &str, now: Instant) -> Option<u64> {
        let mut lately = self.lately.lock();
        if let Some((logged, unlogged)) = lately.get_mut(reason) {
            if now < *logged + QUIET {
                *unlogged += 1;
                return None;
            }
            *logged = now;
            return Some(std::mem::take(unlogged));
        }
        if lately.len() >= REASONS_MAX {
            lately.retain(|_, (logged, _)| now < *logged + QUIET);
        }
        // A flood of ever new reasons is still one line for each of the first ones only.
        (lately.len() < REASONS_MAX).then(|| lately.insert(reason.to_owned(), (now, 0)))?;
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_once_in_a_while_and_says_how_often_it_was_not() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        assert_eq!(log.due("plaintext", start), Some(0));
        assert_eq!((log.due("plaintext", start), log.due("plaintext", start)), (None, None));
        assert_eq!(log.due("expired", start), Some(0));
        assert_eq!(log.due("plaintext", start + QUIET), Some(2));
    }

    #[test]
    fn a_flood_of_reasons_is_bounded() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        let logged = (0..1_000).filter(|number| log.due(&number.to_string(), start).is_some()).count();
        assert_eq!((logged, log.lately.lock().len()), (REASONS_MAX, REASONS_MAX));
        assert_eq!(log.due("new", start + QUIET), Some(0), "old ones make room");
    }
}
