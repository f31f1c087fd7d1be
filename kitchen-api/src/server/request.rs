//! One request on its way to the service: its head is measured, its body and its answer are given a time limit.
//!
//! Called by `connection` for every request. Absent: a head above 64 KiB, more than 100 headers and a request line that is not HTTP, which
//! never become a request; `connection` answers them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::Options;
use crate::config::ServerConfig;
use crate::errors::ApiError;

/// The address at the other end of the connection, in the request's extensions. Behind a proxy it is the proxy's.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// The longest that a request may ask to wait before it is answered.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not arrive in time")]
pub(crate) struct BodyTimeout;

/// Answers one request, whatever happens.
pub(super) async fn answer<S>(service: S, request: Request<Incoming>, peer: IpAddr, options: &Options) -> Response<Body>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let (config, error_shape) = (&options.config, options.error_shape(request.uri().path()));
    if let Err(error) = check_head(&request, config) {
        return error_shape(error);
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(PeerAddress(peer));
    let (body, time_limit) = if body.is_end_stream() {
        (Body::empty(), config.request_timeout + patience(&parts.uri))
    } else {
        (Body::new(TimedBody::new(body, config.body_timeout)), config.request_timeout + config.body_timeout)
    };
    let mut service = service;
    within(time_limit, error_shape, service.call(Request::from_parts(parts, body))).await
}

/// How long it may take beyond the usual: a request that asks for a wait has all of it. What the wait is, and whether there
/// is one, is read where it is answered.
fn patience(uri: &http::Uri) -> Duration {
    if uri.query().is_some_and(|query| query.contains("wait=")) { WAIT_MAX } else { Duration::ZERO }
}

/// Waits for an answer, but not for ever. The timer is made only when the answer is not there at once, and boxed: it is
/// large, and the future that would hold it is moved for every request.
async fn within(
    time_limit: Duration,
    error_shape: fn(ApiError) -> Response<Body>,
    answer: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Response<Body> {
    let mut answer = pin!(answer);
    let mut deadline: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if let Poll::Ready(answered) = answer.as_mut().poll(context) {
            return Poll::Ready(match answered {
                Ok(response) => response,
                Err(never) => match never {},
            });
        }
        let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_limit)));
        deadline.as_mut().poll(context).map(|()| error_shape(ApiError::unavailable()))
    })
    .await
}

fn check_head<B>(request: &Request<B>, config: &ServerConfig) -> Result<(), ApiError> {
    let uri_bytes = request.uri().path().len() + request.uri().query().map_or(0, |query| query.len() + 1);
    if uri_bytes > config.uri_max_bytes {
        return Err(ApiError::uri_too_long(config.uri_max_bytes));
    }
    // What a header costs on the wire: its name, ": ", its value and the line's end.
    let header_bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > config.headers_max_bytes {
        return Err(ApiError::headers_too_large(config.headers_max_bytes));
    }
    Ok(())
}

/// A body that has to end in time. The timer is armed only when the body is not there yet.
struct TimedBody {
    incoming: Incoming,
    time_limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    fn new(incoming: Incoming, time_limit: Duration) -> Self {
        Self { incoming, time_limit, deadline: None }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let time_limit = self.time_limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_limit)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(Box::new(BodyTimeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_to_wait_has_longer() {
        let patience = |uri: &'static str| patience(&http::Uri::from_static(uri));
        assert_eq!(patience("/events?wait=30&types=PLC"), WAIT_MAX);
        assert_eq!(patience("/events?types=PLC"), Duration::ZERO);
        assert_eq!(patience("/wait=3"), Duration::ZERO);
    }

    #[test]
    fn heads_are_measured() {
        let config = ServerConfig { headers_max_bytes: 100, uri_max_bytes: 20, ..ServerConfig::default() };
        let request =
            |uri: &str, header: usize| Request::builder().uri(uri).header("x", "y".repeat(header)).body(()).unwrap();
        assert!(check_head(&request("/short?query=1", 95), &config).is_ok());
        assert_eq!(check_head(&request("/short", 96), &config).unwrap_err().status(), 431);
        assert_eq!(check_head(&request("/longer?than=twenty-bytes", 1), &config).unwrap_err().status(), 414);
    }
}
