//! What moves on one connection, noted by the socket and by the requests, and the watchdog that gives up on it.
//!
//! Used by `connection`. hyper's own header timeout also cuts idle keep-alive connections, which a POS that polls every
//! 30 s needs; hence these two: [`Watchdog`] closes a connection whose request's head takes too long, and one on which
//! nothing moved at all. On the usual path (a whole head in one read) neither costs a reading of the clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

const READING_HEAD: u8 = 0;
const IN_REQUEST: u8 = 1;
const BETWEEN_REQUESTS: u8 = 2;

/// What a connection is doing. Written by its own task only; atomics because the task moves between threads.
#[derive(Debug)]
pub(super) struct Activity {
    phase: AtomicU8,
    heads: AtomicU64,
    moved: AtomicU64,
}

impl Activity {
    /// A new connection counts as reading a head: whoever connects and says nothing is given up on early.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { phase: AtomicU8::new(READING_HEAD), heads: AtomicU64::new(1), moved: AtomicU64::new(0) })
    }

    /// Notes that a whole head has arrived.
    pub(super) fn request_started(&self) {
        self.phase.store(IN_REQUEST, Ordering::Relaxed);
    }

    /// Notes that its answer was handed over.
    pub(super) fn request_answered(&self) {
        self.phase.store(BETWEEN_REQUESTS, Ordering::Relaxed);
    }

    fn bytes_read(&self) {
        self.bytes_moved();
        if self.phase.load(Ordering::Relaxed) == BETWEEN_REQUESTS {
            self.heads.store(self.heads.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            self.phase.store(READING_HEAD, Ordering::Relaxed);
        }
    }

    fn bytes_moved(&self) {
        self.moved.store(self.moved.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The head being read, numbered; `None` when none is.
    fn head(&self) -> Option<u64> {
        let reading = self.phase.load(Ordering::Relaxed) == READING_HEAD;
        reading.then(|| self.heads.load(Ordering::Relaxed))
    }
}

/// Why a connection was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// The head of a request did not arrive in time.
    HeadTimeout,
    /// Nothing moved.
    Idle,
}

/// Watches one connection.
pub(super) struct Watchdog {
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    head: Option<(u64, Pin<Box<Sleep>>)>,
    idle: Pin<Box<Sleep>>,
    moved_before: u64,
}

impl Watchdog {
    pub(super) fn new(activity: Arc<Activity>, header_timeout: Duration, idle_timeout: Duration) -> Self {
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Self { activity, header_timeout, idle_timeout, head: None, idle, moved_before: 0 }
    }

    /// To be polled after the connection was and is pending. Ready when the connection should be closed: between one
    /// and two idle timeouts after the last byte, because the clock is read only when the timer fires.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<GaveUp> {
        match self.activity.head() {
            Some(head) if self.head_timer(head).as_mut().poll(context).is_ready() => {
                return Poll::Ready(GaveUp::HeadTimeout);
            }
            Some(_) => {}
            None => self.head = None,
        }
        while self.idle.as_mut().poll(context).is_ready() {
            let moved = self.activity.moved.load(Ordering::Relaxed);
            if moved == self.moved_before {
                return Poll::Ready(GaveUp::Idle);
            }
            self.moved_before = moved;
            self.idle.as_mut().reset(Instant::now() + self.idle_timeout);
        }
        Poll::Pending
    }

    fn head_timer(&mut self, head: u64) -> &mut Pin<Box<Sleep>> {
        if self.head.as_ref().is_some_and(|(armed_for, _)| *armed_for != head) {
            self.head = None;
        }
        let timeout = self.header_timeout;
        &mut self.head.get_or_insert_with(|| (head, Box::pin(tokio::time::sleep(timeout)))).1
    }
}

/// A socket that notes what moves through it.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> Watched<I> {
    pub(super) fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.activity.bytes_moved();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        self.activity.bytes_moved();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(watchdog: &mut Watchdog) -> GaveUp {
        std::future::poll_fn(|context| watchdog.poll(context)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_end_in_time_and_the_pause_between_requests_may_be_long() {
        let activity = Activity::new();
        let mut watchdog = Watchdog::new(activity.clone(), Duration::from_secs(5), Duration::from_secs(75));
        let start = Instant::now();
        assert_eq!(outcome(&mut watchdog).await, GaveUp::HeadTimeout);
        assert_eq!(start.elapsed().as_secs(), 5);

        activity.request_started();
        activity.request_answered();
        let mut watchdog = Watchdog::new(activity.clone(), Duration::from_secs(5), Duration::from_secs(75));
        let start = Instant::now();
        assert_eq!(outcome(&mut watchdog).await, GaveUp::Idle);
        assert_eq!(start.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_gets_its_whole_time_and_movement_puts_idleness_off() {
        let activity = Activity::new();
        let mut watchdog = Watchdog::new(activity.clone(), Duration::from_secs(5), Duration::from_secs(75));
        let early = tokio::time::timeout(Duration::from_secs(4), outcome(&mut watchdog)).await;
        assert!(early.is_err());
        activity.request_started();
        activity.request_answered();
        activity.bytes_read();
        let start = Instant::now();
        assert_eq!(outcome(&mut watchdog).await, GaveUp::HeadTimeout);
        assert_eq!(start.elapsed().as_secs(), 5, "the second head has a clock of its own");

        activity.request_started();
        let mut watchdog = Watchdog::new(activity.clone(), Duration::from_secs(5), Duration::from_secs(75));
        assert!(tokio::time::timeout(Duration::from_secs(70), outcome(&mut watchdog)).await.is_err());
        activity.bytes_moved();
        assert!(tokio::time::timeout(Duration::from_secs(70), outcome(&mut watchdog)).await.is_err());
    }
}
