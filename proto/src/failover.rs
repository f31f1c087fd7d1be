//! One transport over several peers that answer alike: a call goes to the one that answered last, and on to the next when
//! that one cannot be reached.
//!
//! For unary calls that may be repeated: whether an unreachable peer has carried a call out before it was lost is not
//! known. Used by the binary for what any node of the grid can answer. Balancing is deliberately absent: a peer that
//! works keeps the calls, so that its connection is warm and a dead one is not asked again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::transport::{Transport, TransportError};

/// The largest request that is kept to be sent again.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// gRPC's status for "this peer cannot be reached", which tonic's channel answers instead of an error of its own.
const UNAVAILABLE: &str = "14";

/// A transport over `peers`, tried in turn from the one that answered last. With none, every call fails.
pub fn first_reachable(peers: Vec<Transport>) -> Transport {
    BoxCloneSyncService::new(FirstReachable { peers: peers.into(), preferred: Arc::default() })
}

#[derive(Clone)]
struct FirstReachable {
    peers: Arc<[Transport]>,
    preferred: Arc<AtomicUsize>,
}

impl Service<http::Request<Body>> for FirstReachable {
    type Response = http::Response<Body>;
    type Error = TransportError;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.ask(request).await })
    }
}

impl FirstReachable {
    async fn ask(self, request: http::Request<Body>) -> Result<http::Response<Body>, TransportError> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(TransportError::from_below)?;
        let body: Bytes = body.to_bytes();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for turn in 0..self.peers.len() {
            let peer = first.wrapping_add(turn) % self.peers.len();
            let mut request = http::Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            *request.extensions_mut() = parts.extensions.clone();
            let answered = self.peers[peer].clone().oneshot(request).await;
            if is_reached(&answered) {
                self.preferred.store(peer, Ordering::Relaxed);
                return answered;
            }
            last = Some(answered);
        }
        last.unwrap_or_else(|| Err(TransportError::from_below("no peer is known")))
    }
}

/// Whether somebody answered, with whatever: trailers-only `UNAVAILABLE` is how an unreachable peer looks.
fn is_reached(answered: &Result<http::Response<Body>, TransportError>) -> bool {
    match answered {
        Ok(response) => response.headers().get("grpc-status").is_none_or(|status| status != UNAVAILABLE),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that answers with its name, or cannot be reached.
    fn peer(name: Option<&'static str>) -> Transport {
        BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<Body>| async move {
            let name = name.ok_or_else(|| TransportError::from_below("down"))?;
            let body = request.into_body().collect().await.map_err(TransportError::from_below)?.to_bytes();
            let answer = [name.as_bytes(), &body].concat();
            Ok(http::Response::new(Body::new(Full::new(Bytes::from(answer)))))
        }))
    }

    async fn ask(transport: &Transport) -> Result<Bytes, TransportError> {
        let request = http::Request::new(Body::new(Full::new(Bytes::from_static(b" heard"))));
        let response = transport.clone().oneshot(request).await?;
        Ok(response.into_body().collect().await.map_err(TransportError::from_below)?.to_bytes())
    }

    #[tokio::test]
    async fn the_next_peer_is_asked_the_same_and_stays_preferred() {
        let transport = first_reachable(vec![peer(None), peer(Some("second")), peer(Some("third"))]);
        for _ in 0..3 {
            assert_eq!(&ask(&transport).await.unwrap()[..], b"second heard");
        }
    }

    #[tokio::test]
    async fn without_a_reachable_peer_a_call_fails() {
        assert!(ask(&first_reachable(vec![peer(None), peer(None)])).await.is_err());
        assert!(ask(&first_reachable(Vec::new())).await.is_err());
    }
}
