//! One connection from its handshake to its end.
//!
//! Called by the accept loop, in a task of its own. The protocol is hyper's; giving up and draining are decided here. Most of the time
//! most connections rest: a POS polls every 30 s. In HTTP/1.1 such a one is taken from hyper, which would keep its buffers, and given
//! to a new one when more comes; ten thousand that say nothing cost a socket, the state of TLS and a small task each: what serving takes
//! is in boxes of its own. HTTP/2 connections stay with hyper.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

use super::Options;
use super::activity::{Activity, GaveUp, Watchdog, Watched};
use super::refusal::head_refused;
use super::registry::{Admission, Rest};
use super::request::answer;
use super::streams::{Caller, Streams};
use super::tls::{self, HTTP2};

/// hyper's buffer for one HTTP/1 connection: holds the largest head we answer ourselves (headers and URI), with room
/// so that what is somewhat larger still gets our own error body.
const BUFFER_MAX_BYTES: usize = 64 * 1024;
/// The same for the headers of one HTTP/2 request.
const HEADER_LIST_MAX_BYTES: u32 = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// How long a connection rests at most before it gives back its buffers where there are very many: ten thousand that come within a
/// second do not hold theirs together, some 17 KB each.
const CROWDED_REST: Duration = Duration::from_millis(50);
/// How long the last message to a peer may take.
const PARTING_MAX: Duration = Duration::from_secs(1);
/// How much is read at most, and thrown away, of what a client sends on after its head was refused.
const LINGER_MAX_BYTES: u64 = 1024 * 1024;
/// Streams that a client opened and reset before we saw them; more is the rapid-reset attack.
const PENDING_RESETS_MAX: usize = 20;
/// Bytes of answers that the system takes for one connection beyond those on their way.
#[cfg(target_os = "linux")]
const UNSENT_MAX_BYTES: u32 = 64 * 1024;
/// How often an HTTP/2 client is asked whether it is still there.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Metrics of the accept loop.
pub(super) struct Metrics {
    pub(super) accept_failed: metrics::Counter,
    pub(super) refused_full: metrics::Counter,
    pub(super) refused_address: metrics::Counter,
    handshake_failed: metrics::Counter,
    head_timeout: metrics::Counter,
    head_refused: metrics::Counter,
    idle: metrics::Counter,
}

impl Metrics {
    fn new() -> Self {
        let refused = "comanda_kitchen_api_connections_refused_total";
        let closed = "comanda_kitchen_api_connections_closed_total";
        Self {
            accept_failed: metrics::counter!(refused, "reason" => "accept_failed"),
            refused_full: metrics::counter!(refused, "reason" => "full"),
            refused_address: metrics::counter!(refused, "reason" => "address_full"),
            handshake_failed: metrics::counter!(closed, "reason" => "handshake_failed"),
            head_timeout: metrics::counter!(closed, "reason" => "head_timeout"),
            head_refused: metrics::counter!(closed, "reason" => "head_refused"),
            idle: metrics::counter!(closed, "reason" => "idle"),
        }
    }
}

/// What every connection shares.
pub(super) struct Driver<S> {
    options: Options,
    service: S,
    pub(super) metrics: Metrics,
}

impl<S> Driver<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    pub(super) fn new(options: Options, service: S) -> Self {
        Self { options, service, metrics: Metrics::new() }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.options.tls.is_some()
    }

    /// Serves one connection until it ends, is given up on, or was drained.
    pub(super) async fn drive(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        admission: &Admission,
        mut drain: oneshot::Receiver<()>,
    ) {
        self.set_up(&stream);
        // Each boxed: what encryption and HTTP/2 need is no part of another connection's task, and a handshake's none of what follows it.
        let Some(acceptor) = self.options.tls.clone() else {
            return Box::pin(self.drive_http1(stream, peer, admission, drain)).await;
        };
        let shaken = Box::pin(self.shake_hands(acceptor, stream, admission, &mut drain)).await;
        let Some((stream, rest)) = shaken else { return };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            Box::pin(self.drive_http2(stream, peer, Streams::new(admission.place().clone(), rest), drain)).await;
        } else {
            drop(rest);
            Box::pin(self.drive_http1(stream, peer, admission, drain)).await;
        }
    }

    /// Whoever does not come to an end with the handshake gives its place to others like one that rests, which it does when it has.
    async fn shake_hands(
        &self,
        acceptor: tls::Acceptor,
        stream: TcpStream,
        admission: &Admission,
        drain: &mut oneshot::Receiver<()>,
    ) -> Option<(Encrypted, Rest)> {
        let mut rest = admission.place().rest();
        let has_room = || {
            let stranger = admission.place().begin_as_stranger();
            stranger.map(|stranger| rest = stranger).is_some()
        };
        let accepted = tokio::select! {
            biased;
            accepted = tokio::time::timeout(self.options.config.header_timeout, acceptor.accept(stream, has_room)) => accepted,
            _ = drain => return None,
        };
        let Ok(Ok(stream)) = accepted else {
            self.metrics.handshake_failed.increment(1);
            return None;
        };
        Some((Box::new(stream), rest))
    }

    /// A peer that acknowledges nothing for as long as a connection may idle is gone, whatever is still being written to it:
    /// a stream of events would otherwise be written, and its restaurants count as there, for a quarter of an hour. And who reads slowly
    /// has little of its answer copied for it: by itself the system takes megabytes for each.
    fn set_up(&self, stream: &TcpStream) {
        // Answers are small and leave in one write; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(stream);
            let _ = socket.set_tcp_user_timeout(Some(self.options.config.idle_timeout));
            let _ = socket.set_tcp_notsent_lowat(UNSENT_MAX_BYTES);
        }
    }

    /// Waits for each burst of requests outside hyper.
    async fn drive_http1<I: Restable>(
        &self,
        stream: I,
        peer: IpAddr,
        admission: &Admission,
        mut drain: oneshot::Receiver<()>,
    ) {
        let config = &self.options.config;
        let activity = Activity::new();
        let mut io = Watched::new(stream, Arc::clone(&activity));
        // Whoever connects and says nothing is given up on early.
        let (mut limit, mut given_up) = (config.header_timeout, &self.metrics.head_timeout);
        loop {
            if !io.is_unread() && io.get_ref().is_drained() {
                let more = {
                    let _resting = admission.place().rest();
                    tokio::select! {
                        // A request that has come before we are to end is answered.
                        biased;
                        more = has_more(io.get_ref().socket()) => more,
                        () = tokio::time::sleep(limit) => {
                            given_up.increment(1);
                            false
                        }
                        _ = &mut drain => false,
                    }
                };
                if !more {
                    return part_from(io).await;
                }
            }
            let rest_after =
                if admission.is_crowded() { config.rest_after.min(CROWDED_REST) } else { config.rest_after };
            let watchdog = self.watchdog(&activity).with_rest(rest_after);
            // Boxed: there while there is something to serve.
            let burst = Box::pin(self.serve_burst(io, peer, &activity, watchdog, &mut drain));
            let Some(resting) = burst.await else { return };
            io = resting;
            (limit, given_up) = (config.idle_timeout, &self.metrics.idle);
        }
    }

    fn watchdog(&self, activity: &Arc<Activity>) -> Watchdog {
        Watchdog::new(Arc::clone(activity), self.options.config.header_timeout, self.options.config.idle_timeout)
    }

    /// Serves until the connection ends, or rests: then its socket is given back.
    async fn serve_burst<I>(
        &self,
        io: Watched<I>,
        peer: IpAddr,
        activity: &Arc<Activity>,
        watchdog: Watchdog,
        drain: &mut oneshot::Receiver<()>,
    ) -> Option<Watched<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| self.answer(request, peer, Some(activity)));
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(BUFFER_MAX_BYTES)
            .serve_connection(TokioIo::new(io), service);
        let supervised = self.supervise(Pin::new(&mut connection), watchdog, drain).await;
        let parts = connection.into_parts();
        let io = parts.io.into_inner();
        match supervised {
            Supervised::Rests => return Some(io.with_unread(&parts.read_buf)),
            Supervised::Ended => {}
        }
        if let Some(status) = io.refused() {
            self.metrics.head_refused.increment(1);
            say_why(io.into_inner(), status).await;
        }
        None
    }

    async fn drive_http2<I>(
        self: Arc<Self>,
        io: I,
        peer: IpAddr,
        streams: Arc<Streams>,
        mut drain: oneshot::Receiver<()>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        // Requests overlap here, so the head timeout does not apply: h2 bounds heads itself, and idleness is watched.
        activity.request_started();
        let io = TokioIo::new(Watched::new(io, Arc::clone(&activity)));
        let driver = Arc::clone(&self);
        let service = service_fn(move |request| {
            let (driver, in_flight) = (Arc::clone(&driver), streams.begin());
            let mut request: Request<Incoming> = request;
            request.extensions_mut().insert(Caller(Arc::clone(&streams)));
            async move {
                let answer = driver.answer(request, peer, None).await?;
                Ok::<_, Infallible>(answer.map(|body| in_flight.until_the_end_of(body)))
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_header_list_size(HEADER_LIST_MAX_BYTES)
            .keep_alive_interval(H2_KEEP_ALIVE)
            .serve_connection(io, service);
        self.supervise(pin!(connection), self.watchdog(&activity), &mut drain).await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        activity: Option<&Activity>,
    ) -> Result<Response<Body>, Infallible> {
        if let Some(activity) = activity {
            activity.request_started();
        }
        let response = answer(self.service.clone(), request, peer, &self.options).await;
        if let Some(activity) = activity {
            activity.request_answered(response.body().size_hint().exact().is_some());
        }
        Ok(response)
    }

    async fn supervise<C>(
        &self,
        mut connection: Pin<&mut C>,
        mut watchdog: Watchdog,
        drain: &mut oneshot::Receiver<()>,
    ) -> Supervised
    where
        C: GracefulConnection,
    {
        let mut is_draining = false;
        let gave_up = poll_fn(|context| {
            loop {
                // An error ends the connection like its end does: the client went away or sent what is not HTTP.
                if connection.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                if is_draining || Pin::new(&mut *drain).poll(context).is_pending() {
                    return watchdog.poll(context).map(Some);
                }
                is_draining = true;
                watchdog.without_rest();
                connection.as_mut().graceful_shutdown();
            }
        })
        .await;
        match gave_up {
            Some(GaveUp::HeadTimeout) => self.metrics.head_timeout.increment(1),
            Some(GaveUp::Idle) => self.metrics.idle.increment(1),
            Some(GaveUp::Rests) => return Supervised::Rests,
            None => {}
        }
        Supervised::Ended
    }
}

/// A connection that can be taken from hyper between two requests and given to another one later.
trait Restable: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Where the next bytes come from.
    fn socket(&self) -> &TcpStream;

    /// Whether all that has come from the socket was read.
    fn is_drained(&self) -> bool;
}

impl Restable for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn is_drained(&self) -> bool {
        true
    }
}

/// In a box: it is large, and moves with every burst of requests.
type Encrypted = Box<TlsStream<TcpStream>>;

impl Restable for Encrypted {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }

    /// The first request may have come with the end of the handshake, and is decrypted by then.
    fn is_drained(&self) -> bool {
        self.get_ref().1.wants_read()
    }
}

/// Waits for bytes; false when the peer has closed. Not `readable`, which a connection that was just accepted is taken to be.
async fn has_more(socket: &TcpStream) -> bool {
    socket.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0)
}

/// Says that this is the end, which TLS has a message for; one that does not take it is left alone.
async fn part_from<I: Restable>(mut io: Watched<I>) {
    let _ = tokio::time::timeout(PARTING_MAX, io.shutdown()).await;
}

/// Answers a head that hyper cannot take. What still comes is read for a moment: closing on it would reset the connection, and the client
/// would see that instead of the answer.
async fn say_why<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, status: StatusCode) {
    let said = async {
        io.write_all(&head_refused(status)).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(LINGER_MAX_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(PARTING_MAX, said).await;
}

/// How watching over a connection came to an end.
enum Supervised {
    /// The connection has ended, or is to be dropped.
    Ended,
    /// It waits for its next request.
    Rests,
}
