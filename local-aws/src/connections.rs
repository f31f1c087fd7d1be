//! The accept loop: bounded connections, header timeouts, and all of it ended at shutdown.
//!
//! Called by [`crate::server`]. HTTP/1 only, as all AWS SDKs speak it without TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::endpoints::Endpoints;

/// Connections at a time; more wait in the listener's backlog. A development machine has no more clients than this,
/// and each may hold a body of [`crate::endpoints::BODY_BYTES_MAX`].
const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take for a request's headers. hyper counts the idle time of a kept-alive connection too, so
/// it must be longer than the 90 s after which the AWS SDKs close an idle connection themselves: a shorter one would
/// close connections just as they are used again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(100);
/// How long requests under way may take at shutdown: ordinary ones take a millisecond, long polls are cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long to wait after a failed accept (out of file descriptors, usually) instead of spinning.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Accepts connections until `shutdown`, then drains and ends them.
pub(crate) async fn serve(listener: TcpListener, endpoints: Arc<Endpoints>, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(stream, Arc::clone(&endpoints), shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the local AWS endpoints cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}

/// Cancel-safe: a connection is accepted only once there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, endpoints: Arc<Endpoints>, shutdown: CancellationToken) {
    // Answers are small and awaited one by one: waiting to fill a packet would only add 40 ms to each.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let endpoints = Arc::clone(&endpoints);
        async move { Ok::<_, Infallible>(endpoints.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the local AWS endpoints broke off");
    }
}
