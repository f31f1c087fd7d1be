//! One connection from its handshake to its end.
//!
//! Called by the accept loop, in a task of its own. The protocol is hyper's; giving up and draining are decided here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::Options;
use super::activity::{Activity, GaveUp, Watchdog, Watched};
use super::request::answer;

/// hyper's buffer for one HTTP/1 connection: holds the largest head we answer ourselves (headers and URI), with room
/// so that what is somewhat larger still gets our own error body.
const BUFFER_MAX_BYTES: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
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
    pub(super) async fn drive(self: Arc<Self>, stream: TcpStream, peer: IpAddr, drain: oneshot::Receiver<()>) {
        // Answers are small and leave in one write; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        self.give_up_on_who_is_gone(&stream);
        let Some(acceptor) = self.options.tls.clone() else {
            return self.drive_http1(stream, peer, drain).await;
        };
        match tokio::time::timeout(self.options.config.header_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.drive_http2(stream, peer, drain).await;
            }
            Ok(Ok(stream)) => self.drive_http1(stream, peer, drain).await,
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

    async fn drive_http1<I>(self: Arc<Self>, io: I, peer: IpAddr, drain: oneshot::Receiver<()>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let io = TokioIo::new(Watched::new(io, Arc::clone(&activity)));
        let service = service_fn(|request| self.answer(request, peer, Some(&activity)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(BUFFER_MAX_BYTES)
            .serve_connection(io, service);
        self.supervise(connection, Arc::clone(&activity), drain).await;
    }

    async fn drive_http2<I>(self: Arc<Self>, io: I, peer: IpAddr, drain: oneshot::Receiver<()>)
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
        self.supervise(connection, activity, drain).await;
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
        let response = answer(self.service.clone(), request, peer, &self.options.config).await;
        if let Some(activity) = activity {
            activity.request_answered();
        }
        Ok(response)
    }

    async fn supervise<C>(&self, connection: C, activity: Arc<Activity>, drain: oneshot::Receiver<()>)
    where
        C: GracefulConnection,
    {
        let config = &self.options.config;
        let mut watchdog = Watchdog::new(activity, config.header_timeout, config.idle_timeout);
        let mut connection = pin!(connection);
        let mut drain = Some(drain);
        let gave_up = poll_fn(|context| {
            loop {
                // An error ends the connection like its end does: the client went away or sent what is not HTTP.
                if connection.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                let is_told_to_drain = drain.as_mut().is_some_and(|drain| Pin::new(drain).poll(context).is_ready());
                if !is_told_to_drain {
                    return watchdog.poll(context).map(Some);
                }
                drain = None;
                connection.as_mut().graceful_shutdown();
            }
        })
        .await;
        match gave_up {
            Some(GaveUp::HeadTimeout) => self.metrics.head_timeout.increment(1),
            Some(GaveUp::Idle) => self.metrics.idle.increment(1),
            None => {}
        }
    }
}
