//! One function per role: its settings and what it is given.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use kitchen_api::config::{ServerConfig, TlsConfig, TokenConfig};
use kitchen_api::feed::{FeedConfig, FeedDependencies, LeaderMap, PrimaryFeed, RemoteFeed, RoutedFeed, SharedRandom};
use kitchen_api::presence::PresenceNodes;
use kitchen_api::store::ApplicationStore;
use kitchen_api::webhooks::{DialRules, SystemResolver, WebhookConfig, WebhookDependencies};
use kitchen_api::{Applications, Entropy};
use order_model::PartitionCount;
use parking_lot::Mutex;
use secrecy::SecretString;

use super::adapters::LocalFeed;
use super::aws::{CONNECTION_POLLING_FEED, MERCHANT_STATUS, ORDER_EVENTS, ORDER_EVENTS_FEED, ORDERS, WEBHOOKS_FEED};
use super::cluster::Builder;
use super::grid::node::{GridNode, Wanted};
use super::grid::peers::GridPeers;
use super::listeners;
use super::without_development::WithoutDevelopment;
use crate::cli::Role;
use crate::failure::{Context, Failure};
use crate::settings::Settings;

/// Published limit of the token endpoint, per client and address.
const TOKEN_REQUESTS_PER_MINUTE: u32 = 20;

pub(super) fn merchant_connection(builder: &Builder<'_>) -> Result<merchant_connection::Service, Failure> {
    let settings = builder.settings;
    let config = merchant_connection::Config {
        offline_after: settings.offline_after,
        sweep_interval: settings.sweep_interval,
        drain_timeout: settings.drain_timeout,
        partitions: settings.grid.merchant_connection_partitions,
        restore_segments: settings.export_segments,
    };
    let clock = Arc::clone(&builder.clock);
    let (grid, node) = match builder.grid_node().and_then(|node| Some((node.merchant_connection()?, node.id()))) {
        Some(of_cluster) => of_cluster,
        None => (merchant_connection::single_node(&config, Arc::clone(&clock)), merchant_connection::NodeId(1)),
    };
    let dependencies = merchant_connection::Dependencies {
        clock,
        grid,
        node,
        dynamodb: builder.aws.dynamodb.clone(),
        table_prefix: settings.aws_prefix.clone(),
        merchant_status: builder.topic(MERCHANT_STATUS),
    };
    merchant_connection::Service::build(config, dependencies).context("building merchant-connection")
}

pub(super) fn gateway_core(builder: &Builder<'_>) -> Result<gateway_core::Service, Failure> {
    let settings = builder.settings;
    let config = gateway_core::Config {
        confirm_deadline: settings.confirm_deadline,
        conclude_after: settings.conclude_after,
        event_retention: settings.event_retention,
        order_retention: settings.order_retention,
        public_url: settings.public_url.clone(),
        drain_timeout: settings.drain_timeout,
        ..gateway_core::Config::new(builder.secrets.event_id_key)
    };
    let dependencies = gateway_core::Dependencies {
        clock: Arc::clone(&builder.clock),
        dynamodb: builder.aws.dynamodb.clone(),
        table_prefix: settings.aws_prefix.clone(),
        topic: builder.topic(ORDER_EVENTS),
        merchant_connection: builder.merchant_connection_client()?,
        rng: Box::new(<rand::rngs::StdRng as rand::SeedableRng>::from_os_rng()),
    };
    gateway_core::Service::build(config, dependencies).context("building gateway-core")
}

pub(super) fn connection_polling(builder: &Builder<'_>) -> Result<connection_polling::Service, Failure> {
    let settings = builder.settings;
    let config = connection_polling::Config {
        drain_timeout: settings.drain_timeout,
        export_segments: settings.export_segments,
        ..connection_polling::Config::new(builder.secrets.event_id_key)
    };
    let dependencies = connection_polling::Dependencies {
        clock: Arc::clone(&builder.clock),
        dynamodb: builder.aws.dynamodb.clone(),
        table_prefix: settings.aws_prefix.clone(),
        core: builder.core()?,
        feed: builder.queue(CONNECTION_POLLING_FEED),
        dead_letters: builder.dead_letters(CONNECTION_POLLING_FEED),
    };
    connection_polling::Service::build(config, dependencies).context("building connection-polling")
}

fn order_events_config(builder: &Builder<'_>) -> order_events::Config {
    order_events::Config {
        drain_timeout: builder.settings.drain_timeout,
        partitions: PartitionCount(builder.settings.grid.order_events_partitions),
        ..order_events::Config::new(builder.secrets.event_id_key)
    }
}

/// A node of the grids of `roles`.
pub(super) async fn grid_node(builder: &Builder<'_>, roles: &[Role]) -> Result<GridNode, Failure> {
    let Some(link) = builder.grid_link() else {
        return Err(Failure::Failed("a grid node was asked for without a cluster".to_owned()));
    };
    let wanted = Wanted {
        order_events: roles.contains(&Role::OrderEvents).then(|| order_events_config(builder).limits),
        merchant_connection: roles.contains(&Role::MerchantConnection),
    };
    GridNode::build(builder.settings, wanted, Arc::clone(&builder.clock), link).await
}

pub(super) fn order_events(builder: &Builder<'_>) -> Result<order_events::Service, Failure> {
    let config = order_events_config(builder);
    let clock = Arc::clone(&builder.clock);
    let (grid, node) = match builder.grid_node().and_then(|node| Some((node.order_events()?, node.id()))) {
        Some(of_cluster) => of_cluster,
        None => (order_events::single_node(&config, Arc::clone(&clock)), order_events::NodeId(1)),
    };
    let dependencies = order_events::Dependencies {
        clock,
        grid,
        node,
        feed: builder.queue(ORDER_EVENTS_FEED),
        dead_letters: builder.dead_letters(ORDER_EVENTS_FEED),
        connection_polling: builder.connection_polling_client()?,
        gateway_core: builder.core_client()?,
    };
    order_events::Service::build(config, dependencies).context("building order-events")
}

/// order-events and merchant-connection as kitchen-api asks them; in a cluster also who keeps it connected to the members.
struct Primary {
    feed: Arc<dyn PrimaryFeed>,
    presence: PresenceNodes,
    peers: Option<GridPeers>,
}

fn primary(builder: &Builder<'_>, random: &SharedRandom) -> Result<Primary, Failure> {
    let settings = builder.settings;
    let presence_partitions = PartitionCount(settings.grid.merchant_connection_partitions);
    let Some(link) = builder.grid_link() else {
        let feed: Arc<dyn PrimaryFeed> = match builder.order_events_handle() {
            Some(handle) => Arc::new(LocalFeed::new(handle)),
            None => {
                let (rpc, connector) = builder.remote_order_events()?;
                Arc::new(RemoteFeed::new(rpc, connector, Arc::clone(random)))
            }
        };
        let presence = PresenceNodes::one(presence_partitions, builder.merchant_connection()?);
        return Ok(Primary { feed, presence, peers: None });
    };
    let partitions = PartitionCount(settings.grid.order_events_partitions);
    let leaders = LeaderMap::new(partitions);
    let local = builder.order_events_handle().map(|handle| LocalFeed::new(handle).telling(leaders.clone()));
    let local = local.map(|feed| -> Arc<dyn PrimaryFeed> { Arc::new(feed) });
    let feed = Arc::new(RoutedFeed::new(partitions, leaders.clone(), local, Vec::new()));
    let presence = PresenceNodes::new(presence_partitions, Vec::new());
    let peers = GridPeers {
        feed: Arc::clone(&feed),
        leaders,
        presence: presence.clone(),
        own_presence: builder.own_merchant_connection(),
        link: link.clone(),
        settings: settings.grid.clone(),
        own: builder.grid_node().map(|node| node.address().to_owned()),
        random: Arc::clone(random),
    };
    peers.begin();
    Ok(Primary { feed, presence, peers: Some(peers) })
}

pub(super) fn gateway_agent(builder: &Builder<'_>) -> Result<gateway_agent::Service, Failure> {
    let config =
        gateway_agent::Config { drain_timeout: builder.settings.drain_timeout, ..gateway_agent::Config::default() };
    let dependencies = gateway_agent::Dependencies {
        clock: Arc::clone(&builder.clock),
        orders: builder.queue(ORDERS),
        dead_letters: builder.dead_letters(ORDERS),
        core: builder.core_client()?,
    };
    gateway_agent::Service::build(config, dependencies).context("building gateway-agent")
}

pub(super) async fn kitchen_api(builder: &Builder<'_>) -> Result<(kitchen_api::Service, Option<GridPeers>), Failure> {
    let settings = builder.settings;
    let config = kitchen_api_config(builder)?;
    let random: SharedRandom = Arc::new(Mutex::new(<rand::rngs::StdRng as rand::SeedableRng>::from_os_rng()));
    let Primary { feed: primary, presence, peers } = primary(builder, &random)?;
    let clock = Arc::clone(&builder.clock);
    let applications =
        Applications::new(builder.aws.dynamodb.clone(), &settings.aws_prefix, Arc::clone(&clock), Entropy::system());
    let feed = FeedDependencies {
        primary,
        fallback: builder.connection_polling()?,
        event_id_key: builder.secrets.event_id_key,
        clock: Arc::clone(&clock),
        random,
    };
    let authorisations = Arc::new(applications.clone());
    let applications: Arc<dyn ApplicationStore> = if builder.secrets.refuses_dev_applications {
        Arc::new(WithoutDevelopment::new(applications))
    } else {
        Arc::new(applications)
    };
    let dependencies = kitchen_api::Dependencies {
        clock,
        entropy: Entropy::system(),
        applications,
        authorisations,
        catalog: kitchen_api::CatalogTable::new(builder.aws.dynamodb.clone(), &settings.aws_prefix),
        requests: kitchen_api::RequestTable::new(builder.aws.dynamodb.clone(), &settings.aws_prefix),
        core: builder.core()?,
        merchant_connection: presence,
        feed,
        webhooks: Some(webhooks(builder)?),
    };
    match kitchen_api::Service::build(config, dependencies).await {
        Err(kitchen_api::Error::Bind { address, source }) => Err(listeners::refused("http_addr", address, &source)),
        built => built.context("building kitchen-api").map(|service| (service, peers)),
    }
}

fn kitchen_api_config(builder: &Builder<'_>) -> Result<kitchen_api::Config, Failure> {
    let settings = builder.settings;
    let Some(signing_key) = builder.secrets.token_signing_key.clone() else {
        return Err(Failure::Failed("kitchen-api has no token signing key".to_owned()));
    };
    let tokens = TokenConfig {
        previous_signing_keys_pem: settings.token_previous_key.iter().cloned().collect(),
        ..TokenConfig::new(signing_key)
    };
    let server = ServerConfig {
        connections_max: settings.connections_max,
        connections_per_address_max: settings.connections_per_address_max.and_then(|most| u32::try_from(most).ok()),
        ..ServerConfig::default()
    };
    // `dev` applies no rate limits of itself.
    let limits_requests = settings.limits_requests.unwrap_or(builder.secrets.refuses_dev_applications);
    Ok(kitchen_api::Config {
        address: settings.http_addr,
        tls: tls(settings)?,
        server,
        trusted_proxies: settings.trusted_proxies.clone(),
        public_url: settings.public_url.clone(),
        open_delivery_prefix: settings.open_delivery_prefix.clone(),
        // The lockout after failed secrets stays either way.
        token_requests_per_minute: limits_requests.then_some(TOKEN_REQUESTS_PER_MINUTE),
        limits_requests,
        pauses_on_strikes: settings.pauses_on_strikes,
        courier_tariff: settings.courier_tariff,
        drain_timeout: settings.drain_timeout,
        feed: FeedConfig { shadow_ratio: f64::from(settings.shadow_reads_per_mille) / 1000.0, ..FeedConfig::default() },
        webhooks: WebhookConfig {
            dial: DialRules { allow_loopback: settings.webhooks_allow_loopback },
            ..WebhookConfig::default()
        },
        ..kitchen_api::Config::new(tokens)
    })
}

fn webhooks(builder: &Builder<'_>) -> Result<WebhookDependencies, Failure> {
    Ok(WebhookDependencies {
        dynamodb: builder.aws.dynamodb.clone(),
        table_prefix: builder.settings.aws_prefix.clone(),
        feed: builder.queue(WEBHOOKS_FEED),
        dead_letters: builder.dead_letters(WEBHOOKS_FEED),
        resolver: Arc::new(SystemResolver::default()),
        tls: Arc::new(receivers_tls(builder.secrets.refuses_dev_applications)?),
    })
}

/// How certificates of webhooks' receivers are judged: by the system's authorities. `dev` does without where there are none.
fn receivers_tls(is_production: bool) -> Result<rustls::ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.context("choosing TLS versions")?;
    let with_roots = match versions.clone().with_native_roots() {
        Ok(with_roots) => with_roots,
        Err(error) if is_production => return Err(Failure::of("reading the system's certificate authorities", &error)),
        Err(_) => {
            tracing::warn!("the system has no certificate authorities: no webhook reaches an HTTPS receiver");
            versions.with_root_certificates(rustls::RootCertStore::empty())
        }
    };
    Ok(with_roots.with_no_client_auth())
}

fn tls(settings: &Settings) -> Result<Option<TlsConfig>, Failure> {
    let Some((certificates, key)) = &settings.tls else { return Ok(None) };
    let read = |path: &std::path::Path| std::fs::read_to_string(path).context(&format!("reading {}", path.display()));
    Ok(Some(TlsConfig { certificates_pem: read(certificates)?, key_pem: SecretString::from(read(key)?) }))
}
