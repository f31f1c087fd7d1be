//! The service: built from its settings and what it is given, run until it is told to stop.
//!
//! Called by the binary. `build` binds and checks, `run` serves: a port in use or a wrong key is found before anything
//! is started.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use order_model::SharedClock;
use parking_lot::Mutex;
use proto::transport::Transport;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::calls::{Core, Merchants};
use crate::catalog::{Catalog, CatalogTable};
use crate::config::Config;
use crate::directory::{Directory, keep_fresh};
use crate::entropy::Entropy;
use crate::events::{Strikes, Waits};
use crate::feed::{FeedDependencies, FeedRouter};
use crate::oauth::{Attempts, KeyError, Limits, Tokens};
use crate::open_delivery::OpenDelivery;
use crate::operations::POLL;
use crate::presence::{BeatKeeper, PresenceNodes};
use crate::rate_limits::OperationLimit;
use crate::routes::Routes;
use crate::server::tls::{TlsError, acceptor};
use crate::server::{Options, serve};
use crate::store::{ApplicationStore, AuthorisationStore, RequestTable};
use crate::webhooks::{WebhookAdmin, WebhookDependencies, Webhooks, app_id};

/// How often the core is told that polls are served; it counts the gaps against its confirm deadlines.
const REPORT_SERVING_EVERY: Duration = Duration::from_secs(1);

/// What the service is given.
pub struct Dependencies {
    /// Time.
    pub clock: SharedClock,
    /// Randomness fit for secrets.
    pub entropy: Entropy,
    /// The partner applications, most often [`crate::Applications`].
    pub applications: Arc<dyn ApplicationStore>,
    /// What merchants authorise, in the same table.
    pub authorisations: Arc<dyn AuthorisationStore>,
    /// The catalogs of all merchants.
    pub catalog: CatalogTable,
    /// What is remembered of requests.
    pub requests: RequestTable,
    /// gateway-core.
    pub core: Transport,
    /// merchant-connection's nodes; often [`PresenceNodes::one`].
    pub merchant_connection: PresenceNodes,
    /// Both feeds.
    pub feed: FeedDependencies,
    /// What webhooks need; without it none are sent, and their endpoints answer 503.
    pub webhooks: Option<WebhookDependencies>,
}

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Most often: the port is in use.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key.
    #[error("the TLS settings cannot be used")]
    Tls(#[source] TlsError),
    /// A key that signs tokens.
    #[error("the token settings cannot be used")]
    Key(#[source] KeyError),
}

impl Error {
    /// Whether building may succeed later with the same settings: a port can become free.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Bind { .. })
    }
}

/// kitchen-api, bound and not yet serving.
pub struct Service {
    config: Config,
    listener: TcpListener,
    options: Options,
    api: Arc<Api>,
    applications: Arc<dyn ApplicationStore>,
    webhooks: Option<Webhooks>,
    handle: Handle,
}

impl Service {
    /// Binds the listener and checks keys and certificates. Metrics bind to the recorder installed by now.
    ///
    /// # Errors
    /// One per setting that cannot be used.
    pub async fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        let Dependencies {
            clock,
            entropy,
            applications,
            authorisations,
            catalog,
            requests,
            core,
            merchant_connection,
            feed,
            webhooks,
        } = dependencies;
        let event_id_key = feed.event_id_key;
        let tokens = Tokens::new(&config.tokens, clock.clone(), entropy.clone()).map_err(Error::Key)?;
        let tls = config.tls.as_ref().map(acceptor).transpose().map_err(Error::Tls)?;
        let bind = |source| Error::Bind { address: config.address, source };
        let listener = TcpListener::bind(config.address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let admin = webhooks.as_ref().map(|given| {
            let (client, rules) = (given.dynamodb.clone(), config.webhooks.dial);
            WebhookAdmin::new(client, &given.table_prefix, rules, clock.clone(), entropy.clone())
                .with_app_id(app_id(&event_id_key))
        });
        let api = Arc::new(Api {
            catalog: Catalog::new(catalog, clock.clone(), entropy.clone()),
            requests,
            entropy,
            directory: Arc::new(Directory::default()),
            tokens,
            authorisations,
            attempts: Mutex::new(Attempts::new(Limits { attempts_per_minute: config.token_requests_per_minute })),
            trusted_proxies: config.trusted_proxies.clone(),
            public_url: public_url(&config, address),
            open_delivery: OpenDelivery::new(config.open_delivery_prefix.clone(), clock.clone()),
            limits_requests: config.limits_requests,
            courier_tariff: config.courier_tariff,
            poll_limit: POLL
                .rate()
                .filter(|_| config.limits_requests)
                .map(|rate| OperationLimit::new(rate, clock.clone())),
            strikes: config.pauses_on_strikes.then(|| Strikes::new(clock.clone())),
            feed: FeedRouter::new(&config.feed, feed),
            waits: Waits::new(&config.waits),
            beats: BeatKeeper::new(merchant_connection.clone(), clock.clone()),
            core: Core::new(core, &clock, config.call_timeout),
            merchants: Merchants::new(merchant_connection, &clock, config.call_timeout),
            webhooks: admin,
            clock,
        });
        let webhooks = webhooks.map(|given| Webhooks::new(config.webhooks.clone(), given, &api, event_id_key));
        let options = Options {
            config: config.server.clone(),
            tls,
            drain_timeout: config.drain_timeout,
            open_delivery: Some(config.open_delivery_prefix.clone()),
        };
        let handle = Handle { api: Arc::clone(&api), address, state: Arc::default() };
        Ok(Self { config, listener, options, api, applications, webhooks, handle })
    }

    /// The API for the same process.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The API without the accept loop around it, for whoever measures or tests one without a socket.
    pub fn routes(
        &self,
    ) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + use<> {
        Routes::new(&self.api)
    }

    /// Serves until `shutdown`, then drains within [`Config::drain_timeout`]: no new connections, requests in flight
    /// finish, and only then does what they need stop.
    ///
    /// # Errors
    /// None so far; the result is the shape all services share.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, listener, options, api, applications, webhooks, handle } = self;
        // What requests need outlives them.
        let background = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_fresh(
            Arc::clone(&api.directory),
            applications,
            api.clock.clone(),
            config.directory_refresh,
            background.clone(),
        ));
        tasks.spawn(run_feed(api.feed.clone(), background.clone()));
        tasks.spawn(api.catalog.worker().run(background.clone()));
        tasks.spawn(run_beats(api.beats.clone(), background.clone()));
        if let Some(webhooks) = webhooks {
            tasks.spawn(webhooks.run(shutdown.clone()));
        }
        tasks.spawn(report_serving(Arc::clone(&api), config.instance, shutdown.clone()));
        handle.state.serving.store(true, Ordering::Release);
        tracing::info!(address = %handle.address, tls = config.tls.is_some(), "kitchen-api serves");
        {
            let (state, waiting) = (Arc::clone(&handle.state), api.waits.draining.clone());
            let asked_to_stop = shutdown.clone();
            tasks.spawn(async move {
                asked_to_stop.cancelled().await;
                state.draining.store(true, Ordering::Release);
                waiting.cancel();
            });
        }
        serve(listener, options, Routes::new(&api), shutdown).await;
        handle.state.serving.store(false, Ordering::Release);
        background.cancel();
        // Beats not sent yet are worth a moment; nothing else here is.
        if tokio::time::timeout(config.drain_timeout, async { while tasks.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            tracing::warn!("kitchen-api did not wind down in time");
        }
        tracing::info!("kitchen-api has stopped");
        Ok(())
    }
}

fn public_url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    url.trim_end_matches('/').to_owned()
}

async fn run_feed(feed: FeedRouter, shutdown: CancellationToken) {
    feed.run(shutdown).await;
}

async fn run_beats(beats: BeatKeeper, shutdown: CancellationToken) {
    beats.run(shutdown).await;
}

/// Tells the core, once a second, that polls are served, for as long as they are.
async fn report_serving(api: Arc<Api>, instance: String, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(REPORT_SERVING_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        if api.directory.is_loaded() && api.feed.serving() {
            // A failure is measured and logged where calls are made; the next tick is the retry.
            let _ = api.core.report_serving(&instance).await;
        }
    }
}

#[derive(Default)]
struct State {
    serving: AtomicBool,
    draining: AtomicBool,
}

/// The service as the rest of the process sees it.
#[derive(Clone)]
pub struct Handle {
    api: Arc<Api>,
    address: SocketAddr,
    state: Arc<State>,
}

impl Handle {
    /// Where the listener is bound, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether requests should be sent here.
    ///
    /// # Errors
    /// Why not, for `/readyz`.
    pub fn readiness(&self) -> Result<(), String> {
        if self.state.draining.load(Ordering::Acquire) {
            return Err("kitchen-api is shutting down".to_owned());
        }
        if !self.state.serving.load(Ordering::Acquire) {
            return Err("kitchen-api does not serve yet".to_owned());
        }
        if !self.api.directory.is_loaded() {
            return Err("the applications could not be read from DynamoDB yet".to_owned());
        }
        Ok(())
    }

    /// Whether polls are, or could be, answered for all merchants.
    pub fn serves_polls(&self) -> bool {
        self.api.feed.serving()
    }
}
