//! The platform of `comanda dev`: all roles, in-process AWS, seeded applications and merchants.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kitchen_api::Entropy;
use kitchen_api::store::{Applications, StoreError};
use merchant_connection::profile::Merchant;
use metrics_exporter_prometheus::PrometheusHandle;
use order_model::{ApplicationId, MerchantId, SharedClock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::aws::{AwsClients, AwsNames};
use super::cluster::{Cluster, Secrets};
use super::dev_nodes::{DevNode, DevNodes, NODE_ROLES, ParentAddresses};
use super::members::{Members, Stage};
use super::{initialise, listeners, production, seed};
use crate::cli::Role;
use crate::failure::{Context, Failure};
use crate::settings::Settings;
use crate::system_clock::SystemClock;
use crate::telemetry::operations::{self, Operations};

/// Everything bound and built; nothing served yet.
pub struct DevPlatform {
    settings: Settings,
    clock: SharedClock,
    aws: local_aws::LocalAws,
    clients: AwsClients,
    ops: TcpListener,
    yardstick: Option<TcpListener>,
    cluster: Cluster,
    nodes: Option<DevNodes>,
    recorder: PrometheusHandle,
}

/// What is said once it is ready.
pub struct Ready {
    /// Public API.
    pub http: SocketAddr,
    /// Whether it is HTTPS.
    pub tls: bool,
    /// Operations.
    pub ops: SocketAddr,
    /// In-process AWS.
    pub aws: SocketAddr,
    /// Empty handler of the benchmark.
    pub yardstick: Option<SocketAddr>,
    /// Client ids and secrets.
    pub applications: Vec<(&'static str, &'static str)>,
    /// Ids of the seeded merchants.
    pub merchants: Vec<String>,
    /// Time to confirm an order.
    pub confirm_deadline: Duration,
    /// The grid's nodes that are processes of their own; none when the grid runs in this one.
    pub nodes: Vec<DevNode>,
}

/// What `dev` is asked for beside the settings.
#[derive(Debug, Default)]
pub struct DevOptions {
    /// Where to serve the benchmark's empty handler.
    pub yardstick: Option<SocketAddr>,
    /// Processes of the grid; 1: this one.
    pub nodes: u16,
    /// The configuration file, for those processes.
    pub config: Option<PathBuf>,
    /// Whether the seeded merchants have already come online.
    pub seeds_online: bool,
}

impl DevPlatform {
    /// Binds every address, starts the in-process AWS, creates and seeds what is missing, builds the services.
    ///
    /// # Errors
    /// With one message for whatever failed; then nothing is left running.
    pub async fn build(
        mut settings: Settings,
        options: DevOptions,
        recorder: PrometheusHandle,
    ) -> Result<Self, Failure> {
        // The in-process DynamoDB reads its whole table for each page of a segment.
        settings.export_segments = NonZeroU8::MIN;
        settings.courier_tariff.get_or_insert_with(crate::settings::courier::dev_tariff);
        let ops = listeners::bind("ops_addr", settings.ops_addr).await?;
        let yardstick = match options.yardstick {
            Some(address) => Some(listeners::bind("yardstick_addr", address).await?),
            None => None,
        };
        let bound = bind_local_aws(&settings)?;
        let nodes = match options.nodes {
            0 | 1 => None,
            count => Some(DevNodes::plan(&settings, options.config, count)?),
        };
        if let Some(nodes) = &nodes {
            nodes.prepare(&mut settings);
        }
        let clock = SystemClock::shared();
        let clients = AwsClients::local(&bound.endpoint()).await;
        let secrets = Secrets {
            event_id_key: settings.event_id_key.unwrap_or_else(production::dev_event_id_key),
            refuses_dev_applications: false,
            token_signing_key: match &settings.token_signing_key {
                Some(key) => Some(key.clone()),
                None => Some(kitchen_api::oauth::generate_signing_key().context("making a token key")?),
            },
        };
        let in_nodes = |role: &Role| nodes.is_some() && NODE_ROLES.contains(role);
        let roles: Vec<Role> = Role::ALL.into_iter().filter(|role| !in_nodes(role)).collect();
        let cluster = Cluster::build(&settings, &roles, &clients, &secrets, Arc::clone(&clock)).await?;
        let aws = bound.serve().context("serving the in-process AWS")?;
        let platform = Self { settings, clock, aws, clients, ops, yardstick, cluster, nodes, recorder };
        platform.prepare(options.seeds_online).await?;
        Ok(platform)
    }

    async fn prepare(&self, seeds_online: bool) -> Result<(), Failure> {
        let names = AwsNames::new(&self.settings.aws_prefix);
        initialise::initialise(&self.clients, &names).await?;
        let merchants: Vec<MerchantId> = (1..=self.settings.dev_merchants).map(seed::merchant_id).collect();
        self.seed_merchants(&merchants, seeds_online).await?;
        let applications = Applications::new(
            self.clients.dynamodb.clone(),
            names.prefix(),
            Arc::clone(&self.clock),
            Entropy::system(),
        );
        seed_application(&applications, seed::DEV_POS, &merchants).await?;
        let second: Vec<MerchantId> = merchants.get(1).copied().into_iter().collect();
        seed_application(&applications, seed::DEV_OTHER, &second).await
    }

    async fn seed_merchants(&self, merchants: &[MerchantId], seeds_online: bool) -> Result<(), Failure> {
        let store = merchant_connection::store::Store::new(self.clients.dynamodb.clone(), &self.settings.aws_prefix);
        let created_at = self.clock.now();
        let profile = |(number, id): (usize, &MerchantId)| Merchant {
            id: *id,
            open_delivery_id: None,
            name: format!("Cantina Exemplo {}", number + 1),
            corporate_name: format!("Cantina Exemplo {} Ltda", number + 1),
            time_zone: "America/Sao_Paulo".to_owned(),
            shifts: Merchant::around_the_clock(),
            interruptions: Vec::new(),
            created_at,
            // Nobody eats at any of them.
            is_test: true,
            coordinates: Some(seed::coordinates(number)),
        };
        let profiles: Vec<Merchant> = merchants.iter().enumerate().map(profile).collect();
        store.seed_profiles(&profiles).await.context("seeding merchants")?;
        if seeds_online {
            store.seed_online(merchants, created_at).await.context("seeding merchants' presence")?;
        }
        Ok(())
    }

    /// Serves until `shutdown`, after telling `announce` what stands where.
    ///
    /// # Errors
    /// When a service fails.
    pub async fn run(self, shutdown: CancellationToken, announce: impl FnOnce(&Ready)) -> Result<(), Failure> {
        let mut ready = self.ready().context("reading the listeners' addresses")?;
        let Self { aws, ops, yardstick, cluster, recorder, nodes, settings, .. } = self;
        let mut members = Members::default();
        if let Some(nodes) = &nodes {
            ready.nodes = nodes.add_to(&mut members, &settings, parent_addresses(&ready, &cluster)?)?;
        }
        let operations = Operations { metrics: recorder.clone(), components: Arc::new(cluster.readiness_checks()) };
        let checks = Arc::clone(&operations.components);
        super::foundation::add_operations(&mut members, ops, operations::router(operations), recorder);
        if let Some(listener) = yardstick {
            super::foundation::add_yardstick(&mut members, listener);
        }
        members.add("local-aws", Stage::Foundation, |token| async move {
            token.cancelled().await;
            aws.shutdown().await;
            Ok::<(), std::io::Error>(())
        });
        cluster.add_to(&mut members, settings.drain_timeout);
        let running = tokio::spawn(members.run(shutdown.clone()));
        if let Some(nodes) = &nodes
            && let Err(failure) = nodes.form(&shutdown).await
        {
            shutdown.cancel();
            running.await.context("running the platform")??;
            return Err(failure);
        }
        super::foundation::wait_until_ready(&checks, &shutdown, &running).await;
        if !shutdown.is_cancelled() && !running.is_finished() {
            announce(&ready);
        }
        running.await.context("running the platform")?
    }

    fn ready(&self) -> std::io::Result<Ready> {
        let yardstick = self.yardstick.as_ref().map(TcpListener::local_addr).transpose()?;
        // A ready line of a million ids helps nobody; the ids follow from their number.
        let merchants = (1..=self.settings.dev_merchants.min(1000)).map(|number| seed::merchant_id(number).to_string());
        Ok(Ready {
            http: self.cluster.http_address().unwrap_or(self.settings.http_addr),
            tls: self.settings.tls.is_some(),
            ops: self.ops.local_addr()?,
            aws: self.aws.address(),
            yardstick,
            applications: vec![seed::DEV_POS, seed::DEV_OTHER],
            merchants: merchants.collect(),
            confirm_deadline: self.settings.confirm_deadline,
            nodes: Vec::new(),
        })
    }
}

fn parent_addresses(ready: &Ready, cluster: &Cluster) -> Result<ParentAddresses, Failure> {
    let of = |role: Role| {
        let address = cluster.internal_address(role).context("reading an internal address")?;
        address.ok_or_else(|| Failure::Failed(format!("{} has no internal address", role.name())))
    };
    let (gateway_core, connection_polling) = (of(Role::GatewayCore)?, of(Role::ConnectionPolling)?);
    Ok(ParentAddresses { aws: ready.aws, gateway_core, connection_polling })
}

/// Binds the in-process AWS where the settings say; it serves nothing yet.
///
/// # Errors
/// With one message when the address is in use or the data directory cannot be used.
pub fn bind_local_aws(settings: &Settings) -> Result<local_aws::Bound, Failure> {
    let config = local_aws::Config {
        listen: settings.local_aws_addr,
        data_dir: settings.data_dir.clone(),
        // A sweep reads every item; with many merchants that is seconds of CPU.
        ttl_sweep_interval: Duration::from_secs(60),
        // On threads of its own name its CPU time can be told from ours.
        own_runtime: true,
        ..local_aws::Config::default()
    };
    local_aws::LocalAws::bind(config).map_err(|error| local_aws_failure(settings, error))
}

/// Creates an application unless a data directory kept it, and grants it `merchants`.
async fn seed_application(
    applications: &Applications,
    (id, secret): (&str, &str),
    merchants: &[MerchantId],
) -> Result<(), Failure> {
    let application: ApplicationId = id.parse().context("reading a seeded client id")?;
    match applications.create_with_secret(&application, id, secret).await {
        Ok(()) | Err(StoreError::AlreadyExists(_)) => {}
        Err(error) => return Err(Failure::of("seeding applications", &error)),
    }
    applications.grant(&application, merchants).await.map(|_| ()).context("seeding grants")
}

fn local_aws_failure(settings: &Settings, error: local_aws::Error) -> Failure {
    match error {
        local_aws::Error::Bind { address, source } => listeners::refused("local_aws_addr", address, &source),
        local_aws::Error::DataDirectory { .. } | local_aws::Error::Database { .. } => {
            let directory = settings.data_dir.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            Failure::Failed(format!(
                "data directory {directory:?}: {}; choose another with --data-dir",
                crate::failure::chain(&error)
            ))
        }
        local_aws::Error::Runtime { .. } => Failure::of("starting the in-process AWS", &error),
    }
}
