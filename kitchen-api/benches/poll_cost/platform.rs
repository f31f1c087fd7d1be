//! kitchen-api over order-events in one process, as the binary puts them together, ready to answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use http::{Request, Response};
use kitchen_api::feed::{CachedOrder, FeedDependencies, PollOutcome, PollQuery, PrimaryError, PrimaryFeed};
use kitchen_api::presence::PresenceNodes;
use kitchen_api::{Config, Dependencies, Entropy, Service, TokenConfig, generate_signing_key};
use message_bus::in_memory::InMemoryQueue;
use order_events::PollFlags;
use order_model::{
    ApplicationId, Clock, EventId, EventIdKey, MerchantId, OrderId, PartitionCount, PartitionId, SharedClock, Timestamp,
};
use parking_lot::Mutex;
use proto::transport::remote;
use rand::SeedableRng;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::applications::{CLIENT_ID, OneApplication, SECRET};
use crate::nobody_authorises::NobodyAuthorises;
use crate::peers::nothing_pending;

/// The binary's clock.
struct SystemClock {
    started: Instant,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The binary's adapter over order-events of the same process.
struct LocalFeed {
    handle: order_events::Handle,
}

impl LocalFeed {
    fn answer(&self, query: &PollQuery<'_>) -> PollOutcome {
        let flags = PollFlags { fallback_unreachable: query.fallback_unreachable, shadow: query.shadow };
        let outcome = self.handle.poll(query.authorised, query.filter, query.limit, flags);
        assert!(outcome.refused.is_empty(), "everything is served here");
        PollOutcome { events: outcome.events, hidden: outcome.hidden, ..PollOutcome::default() }
    }
}

impl PrimaryFeed for LocalFeed {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        Some(self.answer(query))
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        ready(Ok(self.answer(&query))).boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        self.handle.acknowledge(application, ids).map(Ok).boxed()
    }

    fn cached_order(&self, _: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        ready(Ok(None)).boxed()
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        ready(Ok(Vec::new())).boxed()
    }
}

/// Both services, running.
pub struct Platform<S> {
    /// The public API.
    pub routes: S,
    /// Every merchant of the application.
    pub merchants: Arc<[MerchantId]>,
    /// Its access token.
    pub token: Arc<str>,
    /// The background of the services lives on its threads.
    _runtime: Runtime,
}

/// Starts one with so many merchants, and waits until it serves.
pub fn start(
    merchants: u32,
) -> Platform<impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone> {
    let runtime = Runtime::new().unwrap();
    let merchants: Arc<[MerchantId]> =
        (1..=merchants).map(|number| MerchantId::from_bytes(u128::from(number).to_be_bytes())).collect();
    let (service, api, events) = runtime.block_on(build(&merchants));
    let routes = service.routes();
    let token = runtime.block_on(async {
        tokio::spawn(service.run(CancellationToken::new()));
        while api.readiness().is_err() || events.readiness().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        token(routes.clone()).await
    });
    Platform { routes, merchants, token, _runtime: runtime }
}

fn order_events(clock: &SharedClock) -> order_events::Handle {
    let config = order_events::Config::new(EventIdKey::from_bytes([5; 16]));
    let dependencies = order_events::Dependencies {
        clock: Arc::clone(clock),
        grid: order_events::single_node(&config, Arc::clone(clock)),
        node: order_events::NodeId(1),
        feed: Arc::new(InMemoryQueue::new("order-events-feed")),
        dead_letters: Arc::new(InMemoryQueue::new("order-events-feed-dlq")),
        connection_polling: proto::connection_polling::connection_polling_client::ConnectionPollingClient::new(
            nothing_pending(Arc::clone(clock)),
        ),
        gateway_core: proto::gateway_core::gateway_core_client::GatewayCoreClient::new(nobody()),
    };
    let service = order_events::Service::build(config, dependencies).unwrap();
    let handle = service.handle();
    tokio::spawn(service.run(CancellationToken::new()));
    handle
}

/// A peer that refuses connections: what is sent in the background is kept.
fn nobody() -> proto::transport::Transport {
    remote("http://127.0.0.1:1").unwrap()
}

/// A table that refuses connections: polls do not touch it.
fn no_dynamodb() -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .endpoint_url("http://127.0.0.1:1")
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

async fn build(merchants: &[MerchantId]) -> (Service, kitchen_api::Handle, order_events::Handle) {
    let clock: SharedClock = Arc::new(SystemClock { started: Instant::now() });
    let handle = order_events(&clock);
    let dependencies = Dependencies {
        clock: Arc::clone(&clock),
        entropy: Entropy::system(),
        applications: Arc::new(OneApplication::new(merchants)),
        authorisations: Arc::new(NobodyAuthorises),
        catalog: kitchen_api::CatalogTable::new(no_dynamodb(), ""),
        requests: kitchen_api::RequestTable::new(no_dynamodb(), ""),
        core: nobody(),
        merchant_connection: PresenceNodes::one(PartitionCount::DEFAULT, nobody()),
        feed: FeedDependencies {
            primary: Arc::new(LocalFeed { handle: handle.clone() }),
            fallback: nothing_pending(Arc::clone(&clock)),
            event_id_key: EventIdKey::from_bytes([5; 16]),
            clock,
            random: Arc::new(Mutex::new(rand::rngs::StdRng::seed_from_u64(1))),
        },
        webhooks: None,
    };
    let config = Config {
        address: "127.0.0.1:0".parse().unwrap(),
        ..Config::new(TokenConfig::new(generate_signing_key().unwrap()))
    };
    let service = Service::build(config, dependencies).await.unwrap();
    let api = service.handle();
    (service, api, handle)
}

async fn token<S>(routes: S) -> Arc<str>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let form = format!("grantType=client_credentials&clientId={CLIENT_ID}&clientSecret={SECRET}");
    let request = Request::post("/authentication/v1.0/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let response = routes.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 64 * 1024).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    answer["accessToken"].as_str().unwrap().into()
}
