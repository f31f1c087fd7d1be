//! The connector under the webhooks' HTTP client: resolves, judges, and connects to the very address that was judged.
//!
//! Used by [`super::sender`] alone; TLS is put on top there. The rules are [`super::dial`]'s.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::dial::{DialRules, Host, Refusal};

/// Addresses of one name that are tried, in the order in which the resolver has them.
const ADDRESSES_TRIED_MAX: usize = 3;

/// Look-ups under way at a time: half of the threads that the runtime has for what blocks.
const LOOKUPS_MAX: usize = 256;

/// Finds the addresses of a name. Passed in, so that a test can answer as a hostile name server would.
pub trait Resolver: Send + Sync {
    /// Every address of `host`.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver. It blocks a thread for as long as the name server likes, also when nobody waits for the answer any
/// more; therefore a look-up holds its permit until the system is done with it.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            let looking = tokio::task::spawn_blocking(move || {
                let found = (host.as_str(), 0).to_socket_addrs();
                drop(permit);
                found
            });
            Ok(looking.await.map_err(io::Error::other)??.map(|socket| socket.ip()).collect())
        })
    }
}

/// Why nothing was connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The rules refuse it.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Its name could not be resolved.
    #[error("resolving failed")]
    Resolve(#[source] io::Error),
    /// Nobody listens there, or nobody can be reached.
    #[error("connecting failed")]
    Connect(#[source] io::Error),
}

/// The connector.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) rules: DialRules,
    pub(super) resolver: Arc<dyn Resolver>,
}

impl Dialer {
    async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, DialError> {
        let target = self.rules.check_uri(&uri).map_err(DialError::Refused)?;
        let addresses = match target.host {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolver.resolve(&name).await.map_err(DialError::Resolve)?,
        };
        let sockets = self.rules.check_resolved(&addresses, target.port).map_err(DialError::Refused)?;
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for socket in sockets.into_iter().take(ADDRESSES_TRIED_MAX) {
            match TcpStream::connect(socket).await {
                Ok(stream) => {
                    // Only a matter of latency.
                    let _ = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => failure = error,
            }
        }
        Err(DialError::Connect(failure))
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A name server that answers with the next of its answers each time.
    struct Scripted {
        answers: Vec<IpAddr>,
        asked: AtomicUsize,
    }

    impl Resolver for Scripted {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Ok(vec![self.answers[asked]]) })
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_once_and_its_answer_is_what_is_judged_and_dialled() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = ["127.0.0.1", "10.0.0.1", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec();
        let resolver = Arc::new(Scripted { answers, asked: AtomicUsize::new(0) });
        let dialer = Dialer { rules: DialRules { allow_loopback: true }, resolver: resolver.clone() };
        let uri: Uri = format!("http://rebinding.example.com:{port}/").parse().unwrap();
        let stream = dialer.clone().dial(uri.clone()).await.unwrap();
        assert_eq!(stream.inner().peer_addr().unwrap().port(), port);
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 1, "a second look-up could answer otherwise");
        let refused = dialer.clone().dial(uri).await.unwrap_err();
        assert!(matches!(refused, DialError::Refused(Refusal::Address)), "{refused:?}");
        let strict = Dialer { rules: DialRules::default(), resolver };
        let refused = strict.dial("https://rebinding.example.com/".parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, DialError::Refused(Refusal::Address)), "{refused:?}");
    }

    #[tokio::test]
    async fn a_refused_url_is_not_even_resolved() {
        let resolver = Arc::new(Scripted { answers: Vec::new(), asked: AtomicUsize::new(0) });
        let dialer = Dialer { rules: DialRules::default(), resolver: resolver.clone() };
        for url in
            ["http://pos.example.com/", "https://localhost/", "https://127.0.0.1/", "https://pos.example.com:25/"]
        {
            assert!(matches!(dialer.clone().dial(url.parse().unwrap()).await, Err(DialError::Refused(_))), "{url}");
        }
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
    }
}
