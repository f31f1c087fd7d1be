//! Starting and stopping: bind first, serve later, end every task at shutdown.
//!
//! Called by the dev platform (which binds all its listeners before it serves anything) and by tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Error};
use crate::connections;
use crate::counters::Statistics;
use crate::dynamodb::DynamoDb;
use crate::endpoints::Endpoints;

/// Threads of a runtime of its own. Two: DynamoDB is one SQLite connection and can fill one, SQS and SNS the other.
const OWN_RUNTIME_THREADS: usize = 2;
/// How long the threads of its own runtime get to end at shutdown: the longest DynamoDB statement, generously.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A listener and an open database that nobody can reach yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    dynamodb: DynamoDb,
    config: Config,
}

impl Bound {
    /// Where it will be served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that clients will use, e.g. `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> String {
        endpoint_url(self.address)
    }

    /// Starts to answer.
    ///
    /// # Errors
    /// [`Error::Runtime`] outside a tokio runtime (unless [`Config::own_runtime`]), [`Error::Bind`] if the listener
    /// cannot be registered.
    pub fn serve(self) -> Result<LocalAws, Error> {
        let Self { listener, address, dynamodb, config } = self;
        let runtime = if config.own_runtime { Some(own_runtime()?) } else { None };
        let handle = match &runtime {
            Some(runtime) => runtime.handle().clone(),
            None => Handle::try_current().map_err(|source| Error::Runtime { source: Box::new(source) })?,
        };
        let listener = {
            let _entered = handle.enter();
            tokio::net::TcpListener::from_std(listener).map_err(|source| Error::Bind { address, source })?
        };
        let shutdown = CancellationToken::new();
        let endpoints = Arc::new(Endpoints::new(&config, address, dynamodb));
        let sweep = handle.spawn(Arc::clone(&endpoints).sweep_expired(config.ttl_sweep_interval, shutdown.clone()));
        let accept = handle.spawn(connections::serve(listener, Arc::clone(&endpoints), shutdown.clone()));
        tracing::info!(%address, "local AWS endpoints are up");
        Ok(LocalAws { address, shutdown, endpoints, tasks: vec![accept, sweep], runtime })
    }
}

/// Running endpoints. Dropping it stops them without waiting; [`LocalAws::shutdown`] waits.
pub struct LocalAws {
    address: SocketAddr,
    shutdown: CancellationToken,
    endpoints: Arc<Endpoints>,
    tasks: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl LocalAws {
    /// Takes the address and opens the database, and answers nothing yet.
    ///
    /// # Errors
    /// [`Error::Bind`] if the address is in use, [`Error::DataDirectory`] and [`Error::Database`] if the data
    /// directory cannot be used.
    pub fn bind(config: Config) -> Result<Bound, Error> {
        let listener = listen(config.listen).map_err(|source| Error::Bind { address: config.listen, source })?;
        let address = listener.local_addr().map_err(|source| Error::Bind { address: config.listen, source })?;
        let dynamodb = DynamoDb::open(config.data_dir.as_deref())?;
        Ok(Bound { listener, address, dynamodb, config })
    }

    /// [`LocalAws::bind`] and [`Bound::serve`] at once.
    ///
    /// # Errors
    /// Those of both.
    pub fn start(config: Config) -> Result<Self, Error> {
        Self::bind(config)?.serve()
    }

    /// The URL for `AWS_ENDPOINT_URL` or an SDK client's `endpoint_url`, e.g. `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> String {
        endpoint_url(self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked of it so far.
    pub fn statistics(&self) -> Statistics {
        self.endpoints.counters().snapshot()
    }

    /// Stops listening, ends every connection and waits until all of it has ended. Open long polls are cut off. To be
    /// awaited in a tokio runtime, also with one of its own.
    pub async fn shutdown(mut self) {
        self.shutdown.cancel();
        for task in std::mem::take(&mut self.tasks) {
            // An error is a panic that tokio has already reported; the rest must still be ended.
            let _ = task.await;
        }
        self.endpoints.shutdown().await;
        if let Some(runtime) = self.runtime.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT));
            let _ = ended.await;
        }
        tracing::info!(address = %self.address, "local AWS endpoints have ended");
    }
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed here: this may be an async context.
            runtime.shutdown_background();
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn own_runtime() -> Result<Runtime, Error> {
    let next = AtomicUsize::new(0);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(OWN_RUNTIME_THREADS)
        .thread_name_fn(move || format!("local-aws-{}", next.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { source: Box::new(source) })
}

/// The URL of a listener; one on all addresses is reached through the loopback.
fn endpoint_url(address: SocketAddr) -> String {
    format!("http://{}", SocketAddr::new(reachable(address.ip()), address.port()))
}

/// The address under which this machine reaches a listener.
pub(crate) fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
