//! One live connection to an order-events peer: calls of many tasks go out together, answers come back in any order.
//!
//! A caller puts its request into a shared buffer; the one task that owns the connection ([`Carrier`]) writes what has
//! gathered there in one go, reads, and wakes callers with their answers: nothing in between. Made anew for every connection
//! by [`super::remote`]. A broken link fails all its callers at once and takes no more; reconnecting is deliberately absent.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use proto::conversions;
use proto::frames::{FRAME_BYTES_MAX, FrameError, Incoming, Outgoing};
use proto::order_events::{Reply, Request, reply, request};
use proto::transport::BoxedConnection;
use tokio::sync::oneshot;

use super::news::News;
use super::primary::PrimaryError;

/// Calls without an answer; further ones fail at once. At 300 ms a poll this is 13,000 polls/s to a peer that answers
/// none.
pub(super) const OUTSTANDING_MAX: usize = 4_096;

/// Requests that the peer has not read yet hold no more memory than this: thousands of polls, dozens of the largest
/// acknowledgments.
const OUTGOING_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// From so many outstanding calls on, more are about to be made: those ready to run go first, so that they share a write.
const CROWD: usize = 2;

/// The correlation of a sign of life, which nobody waits for.
const SIGN_OF_LIFE: u64 = 0;

/// A live connection, as callers see it.
pub(super) struct Link {
    open: Mutex<Option<Open>>,
    carrier: AtomicWaker,
    sent: AtomicU64,
    answered: AtomicU64,
    /// Where news go that the peer tells.
    news: OnceLock<News>,
}

/// What is gone once the link has broken.
struct Open {
    outgoing: Outgoing,
    waiters: HashMap<u64, oneshot::Sender<reply::Outcome>>,
    next_correlation: u64,
}

/// Why nothing is carried any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the peer ended it")]
    Ended,
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the peer does not speak this protocol")]
    Frame(#[from] FrameError),
}

impl Link {
    /// A link, and what carries it over `io`.
    pub fn new(io: BoxedConnection) -> (Arc<Self>, Carrier) {
        let open = Open { outgoing: Outgoing::default(), waiters: HashMap::new(), next_correlation: SIGN_OF_LIFE + 1 };
        let link = Arc::new(Self {
            open: Mutex::new(Some(open)),
            carrier: AtomicWaker::new(),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            news: OnceLock::new(),
        });
        let carrier =
            Carrier { io, link: Arc::clone(&link), outgoing: Outgoing::default(), incoming: Incoming::default() };
        (link, carrier)
    }

    /// Passes on what the peer tells unasked.
    pub fn pass_news_to(&self, news: News) {
        // A link has one place for them; a second would be the same.
        let _ = self.news.set(news);
    }

    /// Makes one call. Dropping the future abandons it; without that it waits for as long as the link stands.
    pub async fn call(self: Arc<Self>, call: request::Call) -> Result<reply::Outcome, PrimaryError> {
        self.ask(Some(call)).await
    }

    /// Ends as soon as the peer has answered something.
    pub async fn greet(self: Arc<Self>) -> Result<(), PrimaryError> {
        self.ask(None).await.map(drop)
    }

    async fn ask(self: Arc<Self>, call: Option<request::Call>) -> Result<reply::Outcome, PrimaryError> {
        let (answer, correlation) = self.send(call)?;
        let _waiting = Waiting { link: &self, correlation };
        answer.await.map_err(|_| PrimaryError::Disconnected)
    }

    fn send(&self, call: Option<request::Call>) -> Result<(oneshot::Receiver<reply::Outcome>, u64), PrimaryError> {
        let (waiter, answer) = oneshot::channel();
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(PrimaryError::Disconnected)?;
        let correlation = open.next_correlation;
        if open.waiters.len() >= OUTSTANDING_MAX || !open.put(correlation, call) {
            return Err(PrimaryError::Overloaded);
        }
        open.next_correlation += 1;
        open.waiters.insert(correlation, waiter);
        drop(guard);
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.carrier.wake();
        Ok((answer, correlation))
    }

    /// Has the peer answer something, so that its silence can be told from there being nothing to say.
    pub fn ask_for_a_sign_of_life(&self) {
        let is_sent = self.open.lock().as_mut().is_some_and(|open| open.put(SIGN_OF_LIFE, None));
        if is_sent {
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.carrier.wake();
        }
    }

    /// Hands an answer to whoever waits for it; an answer that nobody waits for any more is counted.
    fn deliver(&self, reply: Reply) {
        if let Some(reply::Outcome::News(told)) = &reply.outcome {
            return self.tell(told);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        let waiter = self.open.lock().as_mut().and_then(|open| open.waiters.remove(&reply.correlation));
        let delivered = match (waiter, reply.outcome) {
            (Some(waiter), Some(outcome)) => waiter.send(outcome).is_ok(),
            // Without an outcome the waiter is dropped here and its caller fails.
            (Some(_) | None, _) => reply.correlation == SIGN_OF_LIFE,
        };
        if !delivered {
            metrics::counter!("comanda_kitchen_api_late_replies_total").increment(1);
        }
    }

    /// Passes on what was told; it answers nothing, so it counts as no answer.
    fn tell(&self, told: &proto::order_events::News) {
        let Some(news) = self.news.get() else { return };
        let merchants: Vec<_> = told.merchant_ids.iter().filter_map(|id| conversions::merchant_id(id).ok()).collect();
        news.tell(&merchants);
        if told.is_cut || merchants.len() < told.merchant_ids.len() {
            news.doubt();
        }
    }

    /// Whether the peer owes an answer, to a call abandoned meanwhile too.
    pub fn is_owed(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > self.answered()
    }

    /// How many answers have come.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Fails all callers, and every later call.
    pub fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    /// Whether requests wait to be carried, and whether they are of several callers.
    fn waiting(&self) -> (bool, bool) {
        self.open
            .lock()
            .as_ref()
            .map_or((false, false), |open| (!open.outgoing.is_empty(), open.waiters.len() >= CROWD))
    }

    /// Calls that wait for an answer.
    #[cfg(test)]
    pub fn outstanding(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.waiters.len())
    }
}

impl Open {
    /// Whether there was room for it.
    fn put(&mut self, correlation: u64, call: Option<request::Call>) -> bool {
        self.outgoing.len() < OUTGOING_BYTES_MAX && self.outgoing.add(&Request { correlation, call })
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

/// Carries a link's requests and answers. It reads while it writes, always: of two sides that only write neither would
/// get on.
pub(super) struct Carrier {
    io: BoxedConnection,
    link: Arc<Link>,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Carrier {
    /// Carries until the connection ends. Dropping the future loses nothing: another goes on.
    pub async fn carry(&mut self) -> Broken {
        loop {
            if let Err(broken) = poll_fn(|context| self.poll_carry(context)).await {
                return broken;
            }
            if self.link.waiting().1 {
                tokio::task::yield_now().await;
            }
            if let Some(open) = self.link.open.lock().as_mut() {
                std::mem::swap(&mut open.outgoing, &mut self.outgoing);
            }
        }
    }

    /// Ready when everything is written and there is more to write.
    fn poll_carry(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let is_written = self.outgoing.poll_write(Pin::new(&mut self.io), context)?.is_ready();
        while let Poll::Ready(read) = self.incoming.poll_read(Pin::new(&mut self.io), context)? {
            if read == 0 {
                return Poll::Ready(Err(Broken::Ended));
            }
            while let Some(reply) = self.incoming.take()? {
                self.link.deliver(reply);
            }
        }
        self.link.carrier.register(context.waker());
        if is_written && self.link.waiting().0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}
