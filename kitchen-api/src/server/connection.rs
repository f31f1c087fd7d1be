//! One connection from its handshake to its end.
//!
//! Called by the accept loop, in a task of its own. The protocol is hyper's; giving up and draining are decided here. Most of the time
//! most connections rest: a POS polls every 30 s. In cleartext such a one is taken from hyper, which would keep its buffers, and given
//! to a new one when more comes; ten thousand that say nothing cost a socket and a small task each.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::Options;
use super::activity::{Activity, GaveUp, Watchdog, Watched};
use super::registry::Admission;
use super::request::answer;

/// hyper's buffer for one HTTP/1 connection: holds the largest head we answer ourselves (headers and URI), with room
/// so that what is somewhat larger still gets our own error body.
const BUFFER_MAX_BYTES: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// How long a connection rests at most before it gives back its buffers where there are very many: ten thousand that come within a
/// second do not hold theirs together, some 17 KB each.
const CROWDED_REST: Duration = Duration::from_millis(50);
/// Streams that a client opened and reset before we saw them; more is the rapid-reset attack.
const PENDING_RESETS_MAX: usize = 20;
/// How often an HTTP/2 client is asked whether it is still there.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Metrics of the accept loop.
pub(super) struct Metrics {
    pub(super) accept_failed: metrics::Counter,
    pub(super) refused_full: metrics::Counter,
    pub(super) refused_address: metrics::Counter,
    handshake_failed: metrics::Counter,
    head_timeout: metrics::Counter,
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
        drain: oneshot::Receiver<()>,
    ) {
        // Answers are small and leave in one write; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        self.give_up_on_who_is_gone(&stream);
        let Some(acceptor) = self.options.tls.clone() else {
            return self.drive_cleartext(stream, peer, admission, drain).await;
        };
        // Boxed: what encryption needs is no part of a cleartext connection's task.
        Box::pin(self.drive_tls(acceptor, stream, peer, drain)).await;
    }

    async fn drive_tls(
        self: Arc<Self>,
        acceptor: TlsAcceptor,
        stream: TcpStream,
        peer: IpAddr,
        mut drain: oneshot::Receiver<()>,
    ) {
        match tokio::time::timeout(self.options.config.header_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.drive_http2(stream, peer, drain).await;
            }
            Ok(Ok(stream)) => {
                let activity = Activity::new();
                let io = Watched::new(stream, Arc::clone(&activity));
                let watchdog = self.watchdog(&activity);
                self.drive_http1(io, peer, &activity, watchdog, &mut drain).await;
            }
            Ok(Err(_)) | Err(_) => self.metrics.handshake_failed.increment(1),
        }
    }

    /// A peer that acknowledges nothing for as long as a connection may idle is gone, whatever is still being written to it:
    /// a stream of events would otherwise be written, and its restaurants count as there, for a quarter of an hour.
    fn give_up_on_who_is_gone(&self, stream: &TcpStream) {
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(self.options.config.idle_timeout));
        #[cfg(not(target_os = "linux"))]
        let _ = stream;
    }

    /// Waits for each burst of requests outside hyper.
    async fn drive_cleartext(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        admission: &Admission,
        mut drain: oneshot::Receiver<()>,
    ) {
        let config = &self.options.config;
        let activity = Activity::new();
        let mut io = Watched::new(stream, Arc::clone(&activity));
        // Whoever connects and says nothing is given up on early.
        let (mut limit, mut given_up) = (config.header_timeout, &self.metrics.head_timeout);
        let mut first = [0];
        loop {
            if !io.is_unread() {
                let _resting = admission.rest();
                let more = tokio::select! {
                    // A request that has come before we are to end is answered.
                    biased;
                    // Not `readable`, which a connection that was just accepted is taken to be.
                    peeked = io.get_ref().peek(&mut first) => peeked.is_ok_and(|bytes| bytes > 0),
                    () = tokio::time::sleep(limit) => {
                        given_up.increment(1);
                        false
                    }
                    _ = &mut drain => false,
                };
                if !more {
                    return;
                }
            }
            let rest_after =
                if admission.is_crowded() { config.rest_after.min(CROWDED_REST) } else { config.rest_after };
            let watchdog = self.watchdog(&activity).with_rest(rest_after);
            let Some(resting) = self.drive_http1(io, peer, &activity, watchdog, &mut drain).await else { return };
            io = resting;
            (limit, given_up) = (config.idle_timeout, &self.metrics.idle);
        }
    }

    fn watchdog(&self, activity: &Arc<Activity>) -> Watchdog {
        Watchdog::new(Arc::clone(activity), self.options.config.header_timeout, self.options.config.idle_timeout)
    }

    /// Serves until the connection ends, or rests: then its socket is given back.
    async fn drive_http1<I>(
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
        let mut connection = Box::new(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(BUFFER_MAX_BYTES)
                .serve_connection(TokioIo::new(io), service),
        );
        match self.supervise(Pin::new(&mut *connection), watchdog, drain).await {
            Supervised::Ended => None,
            Supervised::Rests => {
                let parts = connection.into_parts();
                Some(parts.io.into_inner().with_unread(&parts.read_buf))
            }
        }
    }

    async fn drive_http2<I>(self: Arc<Self>, io: I, peer: IpAddr, mut drain: oneshot::Receiver<()>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        // Requests overlap here, so the head timeout does not apply: h2 bounds heads itself, and idleness is watched.
        activity.request_started();
        let io = TokioIo::new(Watched::new(io, Arc::clone(&activity)));
        let driver = Arc::clone(&self);
        let service = service_fn(move |request| {
            let driver = Arc::clone(&driver);
            async move { driver.answer(request, peer, None).await }
        });
        let headers_max_bytes = u32::try_from(self.options.config.headers_max_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_header_list_size(headers_max_bytes)
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

/// How watching over a connection came to an end.
enum Supervised {
    /// The connection has ended, or is to be dropped.
    Ended,
    /// It waits for its next request.
    Rests,
}
