//! One running kitchen-api with scripted peers and applications in memory. What a test starts, it owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use event_feed::Grant;
use futures::FutureExt;
use futures::future::BoxFuture;
use kitchen_api::feed::FeedDependencies;
use kitchen_api::presence::PresenceNodes;
use kitchen_api::store::{
    ApplicationRecord, ApplicationStore, AuthorisationId, Change, HashedSecret, Kind, StoreError, StoredApplication,
    StoredAuthorisation,
};
use kitchen_api::{
    CatalogTable, Config, Dependencies, Entropy, Handle, RequestTable, Service, TokenConfig, generate_signing_key,
};
use order_model::{ApplicationId, Clock, MerchantId, PartitionCount, SharedClock, Timestamp};
use parking_lot::Mutex;
use rand::SeedableRng;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog_table::{no_requests, no_table};
use crate::client::Client;
use crate::nobody_authorises::NobodyAuthorises;
use crate::peers::{Peers, event_id_key};

/// In the future of whoever runs these tests: the local DynamoDB expires items by the system's clock.
const START_MS: i64 = 1_995_000_000_000;

/// The runtime's time from a fixed instant on. The wall clock can be made to jump; all of it can be stopped, and moved on.
pub struct TestClock {
    start: Instant,
    jumped_ms: AtomicI64,
    stopped_at: Mutex<Option<Duration>>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), jumped_ms: AtomicI64::new(0), stopped_at: Mutex::default() })
    }

    /// From now on time passes only by [`TestClock::pass`]: what is counted within a time is counted exactly.
    pub fn stop(&self) {
        let now = self.monotonic();
        *self.stopped_at.lock() = Some(now);
    }

    /// Lets so much time pass on a clock that was stopped.
    pub fn pass(&self, time: Duration) {
        let mut stopped_at = self.stopped_at.lock();
        let then = stopped_at.unwrap();
        *stopped_at = Some(then + time);
    }

    pub fn jump(&self, by: Duration) {
        self.jumped_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let jumped_ms = self.jumped_ms.load(Ordering::SeqCst);
        Timestamp::from_unix_ms(START_MS + jumped_ms).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        let stopped_at = *self.stopped_at.lock();
        stopped_at.unwrap_or_else(|| Duration::from_secs(1) + self.start.elapsed())
    }
}

/// Applications in memory.
#[derive(Default)]
pub struct InMemoryApplications {
    state: Mutex<(Vec<StoredApplication>, Vec<Change>)>,
    pub down: AtomicBool,
    /// How often changes were asked for.
    pub looks: AtomicU32,
}

impl InMemoryApplications {
    fn up(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable { operation: "Query", source: None }) } else { Ok(()) }
    }

    /// Creates or replaces an application.
    pub fn put(&self, id: &str, secret: &str, merchants: &[MerchantId]) {
        self.change(id, |stored| {
            stored.record.secrets = vec![HashedSecret::new(secret, [1; 16])];
            let granted_at = Timestamp::from_unix_ms(1_790_000_000_000);
            stored.grants = merchants.iter().map(|&merchant| Grant { merchant, granted_at }).collect();
        });
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut StoredApplication)) {
        let id: ApplicationId = id.parse().unwrap();
        let (applications, changes) = &mut *self.state.lock();
        let revision = changes.last().map_or(1, |change| change.revision + 1);
        if !applications.iter().any(|stored| stored.record.id == id) {
            let record = ApplicationRecord {
                id: id.clone(),
                name: String::new(),
                kind: Kind::Centralised,
                secrets: Vec::new(),
                revoked: false,
                not_before: Timestamp::default(),
                authorised_from: Timestamp::default(),
                revoked_tokens: std::collections::BTreeSet::new(),
                modules: kitchen_api::Modules::ALL,
                open_delivery_version: kitchen_api::OpenDeliveryVersion::default(),
                revision,
                created_at: Timestamp::default(),
            };
            applications.push(StoredApplication { record, grants: Vec::new(), authorisations: Vec::new() });
        }
        change(applications.iter_mut().find(|stored| stored.record.id == id).unwrap());
        changes.push(Change { revision, application: id, authorisation: None });
    }
}

impl ApplicationStore for InMemoryApplications {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async { self.up().map(|()| self.state.lock().1.last().map_or(0, |change| change.revision)) }.boxed()
    }

    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        async move {
            self.looks.fetch_add(1, Ordering::SeqCst);
            self.up()?;
            Ok(self.state.lock().1.iter().filter(|change| change.revision > revision).cloned().collect())
        }
        .boxed()
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        async move {
            self.up()?;
            Ok(self.state.lock().0.iter().find(|stored| stored.record.id == *id).cloned())
        }
        .boxed()
    }

    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        async move {
            let stored = self.load(application).await?;
            Ok(stored.and_then(|stored| stored.authorisations.into_iter().find(|one| one.id == id)))
        }
        .boxed()
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        async { self.up().map(|()| self.state.lock().0.clone()) }.boxed()
    }
}

pub fn merchant(number: u8) -> MerchantId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

/// Waits for `condition`, at most 10 s.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "never: {what}");
}

/// Settings of the tests: any port, quick looks at the directory, no rate of tokens.
pub fn config() -> Config {
    Config {
        address: "127.0.0.1:0".parse().unwrap(),
        directory_refresh: Duration::from_millis(20),
        token_requests_per_minute: None,
        limits_requests: false,
        call_timeout: Duration::from_millis(300),
        ..Config::new(TokenConfig::new(generate_signing_key().unwrap()))
    }
}

pub struct Rig {
    pub peers: Peers,
    pub applications: Arc<InMemoryApplications>,
    pub clock: Arc<TestClock>,
    pub handle: Handle,
    pub client: Client,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), kitchen_api::Error>>,
}

impl Rig {
    /// Runs with two applications: `pos` (secret `pos-secret`) sees merchants 1 and 2, `other` sees 3.
    pub async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let rig = Self::start_cold(config, |_| ()).await;
        eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
        rig
    }

    /// Starts without waiting until it is ready.
    pub async fn start_cold(config: Config, prepare: impl FnOnce(&InMemoryApplications)) -> Self {
        Self::start_on(config, no_table(), prepare).await
    }

    /// Starts on this table of catalogs.
    pub async fn start_on(config: Config, catalog: CatalogTable, prepare: impl FnOnce(&InMemoryApplications)) -> Self {
        Self::start_on_tables(config, catalog, no_requests(), prepare).await
    }

    /// Starts on these tables.
    pub async fn start_on_tables(
        config: Config,
        catalog: CatalogTable,
        requests: RequestTable,
        prepare: impl FnOnce(&InMemoryApplications),
    ) -> Self {
        let peers = Peers::default();
        let applications = Arc::new(InMemoryApplications::default());
        applications.put("pos", "pos-secret", &[merchant(1), merchant(2)]);
        applications.put("other", "other-secret", &[merchant(3)]);
        prepare(&applications);
        let clock = TestClock::new();
        let given = Dependencies { catalog, requests, ..dependencies(&peers, applications.clone(), clock.clone()) };
        let service = Service::build(config, given).await.unwrap();
        let handle = service.handle();
        let client = Client::new(handle.address());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { peers, applications, clock, handle, client, shutdown, running }
    }

    pub async fn token(&self, client_id: &str) -> String {
        let answer = self.client.ask_for_token(client_id, &format!("{client_id}-secret")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["accessToken"].as_str().unwrap().to_owned()
    }

    /// A client of an application that was changed just now. Few attempts: failed ones lock out.
    pub async fn once_known(&self, client_id: &str) -> Client {
        for _ in 0..9 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let answer = self.client.ask_for_token(client_id, &format!("{client_id}-secret")).await;
            if answer.status == 200 {
                return self.client.with_token(answer.json()["accessToken"].as_str().unwrap());
            }
        }
        panic!("{client_id} never became known");
    }

    /// A client with a token of `client_id`.
    pub async fn as_application(&self, client_id: &str) -> Client {
        self.client.with_token(&self.token(client_id).await)
    }
}

pub fn dependencies(peers: &Peers, applications: Arc<dyn ApplicationStore>, clock: SharedClock) -> Dependencies {
    Dependencies {
        clock: clock.clone(),
        entropy: Entropy::system(),
        applications,
        authorisations: Arc::new(NobodyAuthorises),
        catalog: no_table(),
        requests: no_requests(),
        core: peers.core_transport(),
        merchant_connection: PresenceNodes::one(PartitionCount::DEFAULT, peers.merchants_transport()),
        feed: FeedDependencies {
            primary: peers.feed.clone(),
            fallback: peers.fallback_transport(),
            event_id_key: event_id_key(),
            clock,
            random: Arc::new(Mutex::new(rand::rngs::StdRng::seed_from_u64(1))),
        },
        webhooks: None,
    }
}
