//! One live stream to an order-events peer: calls go out batched, answers come back in any order.
//!
//! Made anew for every connection by [`super::remote`]. A broken link fails all its callers at once and takes no more;
//! reconnecting is deliberately absent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use prost::Message;
use proto::order_events::{ExchangeRequest, Reply, Request, reply, request};
use tokio::sync::{mpsc, oneshot};

use super::primary::PrimaryError;

/// Calls without an answer; further ones fail at once. At 300 ms a poll this is 13,000 polls/s to a peer that answers
/// none.
pub(super) const OUTSTANDING_MAX: usize = 4_096;

/// The most calls of one message: what gathers in a wakeup at full load, several times over.
const BATCH_MAX: usize = 256;

/// A message is closed when it reaches this size; one call is at most 180 KB (10,000 ids), and the peer reads 8 MiB.
const MESSAGE_BYTES: usize = 2 * 1024 * 1024;

type Waiters = HashMap<u64, oneshot::Sender<reply::Outcome>>;

/// A live stream.
pub(super) struct Link {
    open: Mutex<Option<Open>>,
    sent: AtomicU64,
    answered: AtomicU64,
}

/// What is gone once the link has broken.
struct Open {
    queue: mpsc::Sender<Request>,
    waiters: Waiters,
    next_correlation: u64,
}

impl Link {
    /// A link, and the messages to send over it. They end when the link is closed.
    pub fn new() -> (Arc<Self>, impl Stream<Item = ExchangeRequest> + Send + 'static) {
        let (queue, outgoing) = mpsc::channel(OUTSTANDING_MAX);
        let open = Open { queue, waiters: HashMap::new(), next_correlation: 1 };
        let link = Self { open: Mutex::new(Some(open)), sent: AtomicU64::new(0), answered: AtomicU64::new(0) };
        (Arc::new(link), batches(outgoing))
    }

    /// Makes one call. Dropping the future abandons it.
    pub async fn call(
        self: Arc<Self>,
        call: request::Call,
        deadline: Duration,
    ) -> Result<reply::Outcome, PrimaryError> {
        let (answer, correlation) = self.send(call)?;
        let _waiting = Waiting { link: &self, correlation };
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(PrimaryError::Disconnected),
            Err(_) => {
                Err(PrimaryError::Deadline { deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) })
            }
        }
    }

    fn send(&self, call: request::Call) -> Result<(oneshot::Receiver<reply::Outcome>, u64), PrimaryError> {
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(PrimaryError::Disconnected)?;
        if open.waiters.len() >= OUTSTANDING_MAX {
            return Err(PrimaryError::Overloaded);
        }
        let correlation = open.next_correlation;
        open.queue.try_send(Request { correlation, call: Some(call) }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PrimaryError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => PrimaryError::Disconnected,
        })?;
        open.next_correlation += 1;
        let (waiter, answer) = oneshot::channel();
        open.waiters.insert(correlation, waiter);
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok((answer, correlation))
    }

    /// Hands an answer to whoever waits for it; an answer that nobody waits for any more is counted.
    pub fn deliver(&self, reply: Reply) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let waiter = self.open.lock().as_mut().and_then(|open| open.waiters.remove(&reply.correlation));
        let delivered = match (waiter, reply.outcome) {
            (Some(waiter), Some(outcome)) => waiter.send(outcome).is_ok(),
            // Without an outcome the waiter is dropped here and its caller fails.
            (Some(_) | None, _) => false,
        };
        if !delivered {
            metrics::counter!("comanda_kitchen_api_late_replies_total").increment(1);
        }
    }

    /// Whether the peer owes an answer, to a call abandoned meanwhile too.
    pub fn is_owed(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > self.answered.load(Ordering::Relaxed)
    }

    /// Fails all callers, and every later call. The outgoing messages end.
    pub fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    /// Calls that wait for an answer.
    #[cfg(test)]
    pub fn outstanding(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.waiters.len())
    }
}

/// Forgets a call when its future ends, however it ends.
struct Waiting<'a> {
    link: &'a Link,
    correlation: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.link.open.lock().as_mut() {
            open.waiters.remove(&self.correlation);
        }
    }
}

/// Messages of whatever has gathered when the stream is polled: one wakeup, one message.
fn batches(outgoing: mpsc::Receiver<Request>) -> impl Stream<Item = ExchangeRequest> + Send + 'static {
    let start = (outgoing, std::collections::VecDeque::new());
    futures::stream::unfold(start, |(mut outgoing, mut left_over)| async move {
        if left_over.is_empty() {
            let mut gathered = Vec::with_capacity(16);
            if outgoing.recv_many(&mut gathered, BATCH_MAX).await == 0 {
                return None;
            }
            left_over.extend(gathered);
        }
        Some((next_message(&mut left_over), (outgoing, left_over)))
    })
}

/// As many of `waiting` as make up one message; at least one.
fn next_message(waiting: &mut std::collections::VecDeque<Request>) -> ExchangeRequest {
    let mut requests = Vec::with_capacity(waiting.len());
    let mut bytes = 0;
    while let Some(request) = waiting.front() {
        let request_bytes = request.encoded_len();
        if !requests.is_empty() && bytes + request_bytes > MESSAGE_BYTES {
            break;
        }
        bytes += request_bytes;
        requests.extend(waiting.pop_front());
    }
    ExchangeRequest { requests }
}
