//! What moves on one connection, noted by the socket and by the requests, and the watchdog that gives up on it.
//!
//! Used by `connection`. A connection that rests between requests is told from one that works: hyper keeps some 16 KB for each, and
//! what rests needs none of it. hyper's own header timeout also cuts idle keep-alive connections, which a POS that polls every
//! 30 s needs; hence these two: [`Watchdog`] closes a connection whose request's head takes too long, and one on which
//! nothing moved at all. On the usual path (a whole head in one read) neither costs a reading of the clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::refusal::made_by_hyper;

const READING_HEAD: u8 = 0;
const IN_REQUEST: u8 = 1;
const BETWEEN_REQUESTS: u8 = 2;

/// What a connection is doing. Written by its own task only; atomics because the task moves between threads.
#[derive(Debug)]
pub(super) struct Activity {
    phase: AtomicU8,
    heads: AtomicU64,
    moved: AtomicU64,
    /// Whether the answer was there as a whole when it was handed over; a stream may pause for as long as it likes.
    is_whole: AtomicBool,
    /// Whether the socket took less than it was given: something is left to write.
    is_blocked: AtomicBool,
    /// Whether the next thing to be written is the head of an answer of ours, not of an error that hyper makes up.
    is_answer_due: AtomicBool,
}

impl Activity {
    /// A new connection counts as reading a head: whoever connects and says nothing is given up on early.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(READING_HEAD),
            heads: AtomicU64::new(1),
            moved: AtomicU64::new(0),
            is_whole: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            is_answer_due: AtomicBool::new(false),
        })
    }

    /// Notes that a whole head has arrived.
    pub(super) fn request_started(&self) {
        self.phase.store(IN_REQUEST, Ordering::Relaxed);
    }

    /// Notes that its answer was handed over, as a whole or to be streamed.
    pub(super) fn request_answered(&self, is_whole: bool) {
        self.is_whole.store(is_whole, Ordering::Relaxed);
        self.is_answer_due.store(true, Ordering::Relaxed);
        self.phase.store(BETWEEN_REQUESTS, Ordering::Relaxed);
    }

    /// Whether nothing is being read, answered or written.
    fn is_resting(&self) -> bool {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        self.phase.load(Ordering::Relaxed) == BETWEEN_REQUESTS && is(&self.is_whole) && !is(&self.is_blocked)
    }

    fn bytes_read(&self) {
        self.bytes_moved();
        if self.phase.load(Ordering::Relaxed) == BETWEEN_REQUESTS {
            self.heads.store(self.heads.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            self.phase.store(READING_HEAD, Ordering::Relaxed);
        }
    }

    /// The status of an error with which hyper, by itself, answers a head that it cannot take, when that is what `bytes` begin.
    fn refused_by_hyper(&self, bytes: &[u8]) -> Option<StatusCode> {
        let is_ours = self.phase.load(Ordering::Relaxed) == IN_REQUEST || self.is_answer_due.load(Ordering::Relaxed);
        if is_ours { None } else { made_by_hyper(bytes) }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        self.is_blocked.store(written.is_pending(), Ordering::Relaxed);
        if written.is_ready() {
            self.is_answer_due.store(false, Ordering::Relaxed);
            self.bytes_moved();
        }
    }

    /// TLS takes what it is given and keeps what the socket does not take; flushing is when that shows. Called once all is written.
    fn flushed(&self, flushed: &Poll<io::Result<()>>) {
        self.is_blocked.store(flushed.is_pending(), Ordering::Relaxed);
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
    /// It rests between requests, and need not be kept as one that works.
    Rests,
}

/// Watches one connection.
pub(super) struct Watchdog {
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    head: Option<(u64, Pin<Box<Sleep>>)>,
    idle: Pin<Box<Sleep>>,
    moved_before: u64,
    rest: Option<Rest>,
}

/// When a connection was last seen moving, to tell whether it rests.
struct Rest {
    after: Duration,
    timer: Pin<Box<Sleep>>,
    moved_before: u64,
}

impl Watchdog {
    pub(super) fn new(activity: Arc<Activity>, header_timeout: Duration, idle_timeout: Duration) -> Self {
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Self { activity, header_timeout, idle_timeout, head: None, idle, moved_before: 0, rest: None }
    }

    /// Also says when the connection has rested for `after`, at the latest after twice that.
    pub(super) fn with_rest(mut self, after: Duration) -> Self {
        self.rest = Some(Rest { after, timer: Box::pin(tokio::time::sleep(after)), moved_before: 0 });
        self
    }

    /// From now on the connection is to end, not to rest.
    pub(super) fn without_rest(&mut self) {
        self.rest = None;
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
        let Some(rest) = &mut self.rest else { return Poll::Pending };
        while rest.timer.as_mut().poll(context).is_ready() {
            let moved = self.activity.moved.load(Ordering::Relaxed);
            if moved == rest.moved_before && self.activity.is_resting() {
                return Poll::Ready(GaveUp::Rests);
            }
            rest.moved_before = moved;
            rest.timer.as_mut().reset(Instant::now() + rest.after);
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

/// A socket that notes what moves through it, and keeps back what hyper would say by itself of a head that it cannot take.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
    /// What was read before and is to be read again.
    unread: Bytes,
    /// What was kept back.
    refused: Option<StatusCode>,
}

impl<I> Watched<I> {
    pub(super) fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity, unread: Bytes::new(), refused: None }
    }

    /// The same socket, with `unread` to be read first. Copied: a slice, even an empty one, would pin the buffer of 8 KiB that it was read into.
    pub(super) fn with_unread(self, unread: &[u8]) -> Self {
        Self { unread: Bytes::copy_from_slice(unread), ..self }
    }

    pub(super) fn is_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    pub(super) fn get_ref(&self) -> &I {
        &self.io
    }

    /// The status with which the connection ended by hyper's word, if it did: nobody has been told, and the socket is still open.
    pub(super) fn refused(&self) -> Option<StatusCode> {
        self.refused
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// Whether `bytes` are to be kept back.
    fn keeps_back(&mut self, bytes: &[u8]) -> bool {
        let refused = self.activity.refused_by_hyper(bytes);
        self.refused = self.refused.or(refused);
        self.refused.is_some()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_unread() {
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(length));
            self.activity.bytes_read();
            return Poll::Ready(Ok(()));
        }
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
        if self.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.activity.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.first().is_some_and(|first| self.keeps_back(first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.activity.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.activity.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
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
        activity.request_answered(true);
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
        activity.request_answered(true);
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

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_between_whole_answers_rests() {
        let rests = |activity: &Arc<Activity>| {
            let (activity, second) = (Arc::clone(activity), Duration::from_secs(1));
            async move {
                let mut watchdog =
                    Watchdog::new(activity, Duration::from_secs(60), Duration::from_secs(75)).with_rest(second);
                let early = tokio::time::timeout(Duration::from_secs(10), outcome(&mut watchdog)).await;
                early.is_ok_and(|gave_up| gave_up == GaveUp::Rests)
            }
        };
        let activity = Activity::new();
        assert!(!rests(&activity).await, "a head is expected");
        activity.request_started();
        assert!(!rests(&activity).await, "a request is being answered");
        activity.request_answered(false);
        assert!(!rests(&activity).await, "a stream may pause");
        activity.request_answered(true);
        assert!(rests(&activity).await);
        activity.wrote(&Poll::Pending);
        assert!(!rests(&activity).await, "something is left to write");
        activity.wrote(&Poll::Ready(Ok(1)));
        assert!(rests(&activity).await);
        activity.flushed(&Poll::Pending);
        assert!(!rests(&activity).await, "encrypted, and not yet on its way");
        activity.flushed(&Poll::Ready(Ok(())));
        assert!(rests(&activity).await);
        activity.bytes_read();
        assert!(!rests(&activity).await, "the next head has begun");
    }

    #[tokio::test]
    async fn what_was_read_before_is_read_again_first() {
        let (mut client, server) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut client, b"rest").await.unwrap();
        drop(client);
        let mut watched = Watched::new(server, Activity::new()).with_unread(b"begun, ");
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut watched, &mut text).await.unwrap();
        assert_eq!(text, "begun, rest");
        assert!(!watched.is_unread());
    }
}
