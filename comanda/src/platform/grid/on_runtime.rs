//! Runs a gRPC service on another runtime than the one whose listener it shares.
//!
//! A grid node has one listener. Its connections belong to the grid's runtime; the services beside it (polls, above all)
//! do their work on the main one, so that elections do not wait behind them.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// A service whose calls run on a runtime of choice.
#[derive(Clone)]
pub struct OnRuntime<S> {
    service: S,
    runtime: Handle,
}

impl<S> OnRuntime<S> {
    /// `service` on `runtime`.
    pub fn new(service: S, runtime: Handle) -> Self {
        Self { service, runtime }
    }
}

impl<S: NamedService> NamedService for OnRuntime<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for OnRuntime<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Whatever the call spawns is spawned where it runs.
        let call = self.runtime.spawn(self.service.call(request));
        call.map(|ended| ended.unwrap_or_else(|_| Ok(tonic::Status::internal("the call panicked").into_http()))).boxed()
    }
}
