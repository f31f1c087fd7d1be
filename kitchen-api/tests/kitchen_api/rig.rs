//! One running kitchen-api with scripted peers and applications in memory. What a test starts, it owns.

mod applications;
mod clock;

use std::sync::Arc;
use std::time::Duration;

use kitchen_api::feed::FeedDependencies;
use kitchen_api::presence::PresenceNodes;
use kitchen_api::store::ApplicationStore;
use kitchen_api::{
    CatalogTable, Config, Dependencies, Entropy, Handle, RequestTable, Service, TokenConfig, generate_signing_key,
};
use order_model::{MerchantId, PartitionCount, SharedClock};
use parking_lot::Mutex;
use rand::SeedableRng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog_table::{no_requests, no_table};
use crate::client::Client;
use crate::nobody_authorises::NobodyAuthorises;
use crate::peers::{Peers, event_id_key};
pub use crate::rig::applications::InMemoryApplications;
pub use crate::rig::clock::TestClock;

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
        Self::run(config, given, (peers, applications, clock)).await
    }

    /// Runs a service of these parts, without waiting until it is ready.
    pub async fn run(
        config: Config,
        given: Dependencies,
        (peers, applications, clock): (Peers, Arc<InMemoryApplications>, Arc<TestClock>),
    ) -> Self {
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
