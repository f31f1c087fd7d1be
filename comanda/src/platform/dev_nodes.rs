//! The grid of `dev --nodes N`: N processes of the roles order-events and merchant-connection, formed into one cluster.
//!
//! Each has a port and a directory of its own that outlive its process, so that a node that was killed comes back as
//! the member it was. Everything else they are told comes from the settings of `dev` itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::children::{ChildSpec, KeptChild};
use super::grid::admin_client::Nodes;
use super::members::{Members, Stage};
use crate::cli::Role;
use crate::failure::{Context, Failure};
use crate::settings::Settings;
use crate::settings::grid::GridSettings;
use crate::settings::typed::{LogFormat, print_duration};

/// The roles of a node.
pub const NODE_ROLES: [Role; 2] = [Role::OrderEvents, Role::MerchantConnection];

/// How often a node that is still starting is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How long forming the cluster may take before `dev` gives up.
const FORM_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the children find what runs in this process.
#[derive(Debug, Clone, Copy)]
pub struct ParentAddresses {
    /// In-process AWS.
    pub aws: SocketAddr,
    /// gateway-core.
    pub gateway_core: SocketAddr,
    /// connection-polling.
    pub connection_polling: SocketAddr,
}

/// The nodes of `dev`.
pub struct DevNodes {
    grid: GridSettings,
    addresses: Vec<SocketAddr>,
    directory: Directory,
    config: Option<PathBuf>,
}

enum Directory {
    Kept(PathBuf),
    /// Removed when it is dropped.
    Temporary(tempfile::TempDir),
}

impl Directory {
    fn of_node(&self, id: usize) -> PathBuf {
        let base = match self {
            Self::Kept(path) => path.as_path(),
            Self::Temporary(directory) => directory.path(),
        };
        base.join(format!("node-{id}"))
    }
}

/// A node that runs.
#[derive(Debug, Clone)]
pub struct DevNode {
    /// Its id, from 1.
    pub id: u64,
    /// Where the other nodes and `comanda cluster` reach it.
    pub address: SocketAddr,
    child: KeptChild,
}

impl DevNode {
    /// Its process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }
}

impl DevNodes {
    /// Chooses addresses and directories for `count` nodes, which read the file `config` as we did; starts nothing.
    ///
    /// # Errors
    /// When there are certificates, no free port or no temporary directory.
    pub fn plan(settings: &Settings, config: Option<PathBuf>, count: u16) -> Result<Self, Failure> {
        // One certificate is of one process, and these are several of one machine.
        if settings.grid.tls.is_some() {
            return Err(Failure::Usage(
                "dev --nodes works without certificates: leave grid_ca_file, grid_cert_file and grid_key_file unset"
                    .to_owned(),
            ));
        }
        let addresses: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect::<Result<_, Failure>>()?;
        let directory = match &settings.data_dir {
            Some(path) => Directory::Kept(path.clone()),
            None => {
                let temporary = tempfile::Builder::new().prefix("comanda-dev-").tempdir();
                Directory::Temporary(temporary.context("making a directory for the nodes")?)
            }
        };
        let grid = GridSettings {
            seeds: addresses.iter().map(SocketAddr::to_string).collect(),
            // A cluster of two survives nobody's end either way, and one of three copies needs three.
            replication_factor: if count >= settings.grid.replication_factor {
                settings.grid.replication_factor
            } else {
                1
            },
            ..settings.grid.clone()
        };
        Ok(Self { grid, addresses, directory, config })
    }

    /// Makes the parent's settings those of a process that reaches this grid, and is reached by it on any free ports.
    pub fn prepare(&self, settings: &mut Settings) {
        settings.grid = self.grid.clone();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (settings.internal.gateway_core, settings.internal.connection_polling) = (any, any);
    }

    /// Adds the nodes to what runs together; answers them.
    ///
    /// # Errors
    /// When our own executable cannot be named.
    pub fn add_to(
        &self,
        members: &mut Members,
        settings: &Settings,
        parent: ParentAddresses,
    ) -> Result<Vec<DevNode>, Failure> {
        let program = std::env::current_exe().context("finding our own executable")?;
        let mut nodes = Vec::new();
        for (id, address) in (1usize..).zip(&self.addresses) {
            let child = KeptChild::new(ChildSpec {
                name: format!("node {id}"),
                program: program.clone(),
                arguments: self.arguments(settings, parent, id, *address),
                environment: environment(),
                drain_timeout: settings.drain_timeout,
            });
            nodes.push(DevNode { id: id as u64, address: *address, child: child.clone() });
            members.add("grid-node", Stage::Feeds, move |token| child.run(token));
        }
        Ok(nodes)
    }

    fn arguments(&self, settings: &Settings, parent: ParentAddresses, id: usize, address: SocketAddr) -> Vec<String> {
        let log_format = match settings.log_format {
            LogFormat::Auto => "auto",
            LogFormat::Pretty => "pretty",
            LogFormat::Json => "json",
        };
        let flags = [
            ("aws-endpoint", format!("http://{}", parent.aws)),
            ("aws-prefix", settings.aws_prefix.clone()),
            ("gateway-core-addr", parent.gateway_core.to_string()),
            ("connection-polling-addr", parent.connection_polling.to_string()),
            ("ops-addr", "127.0.0.1:0".to_owned()),
            ("grid-addr", address.to_string()),
            ("grid-seeds", self.grid.seeds.join(",")),
            ("node-id", id.to_string()),
            ("cluster", self.grid.cluster.clone()),
            ("replication-factor", self.grid.replication_factor.to_string()),
            ("order-events-partitions", self.grid.order_events_partitions.to_string()),
            ("merchant-connection-partitions", self.grid.merchant_connection_partitions.to_string()),
            ("data-dir", self.directory.of_node(id).display().to_string()),
            ("offline-after", print_duration(settings.offline_after)),
            ("export-segments", settings.export_segments.to_string()),
            ("sweep-interval", print_duration(settings.sweep_interval)),
            ("drain-timeout", print_duration(settings.drain_timeout)),
            ("log", settings.log.clone()),
            ("log-format", log_format.to_owned()),
        ];
        let roles = NODE_ROLES.map(|role| role.name().to_owned());
        let start = ["run".to_owned()].into_iter().chain(roles).chain(["--child".to_owned()]);
        let config = self.config.iter().flat_map(|path| ["--config".to_owned(), path.display().to_string()]);
        start.chain(config).chain(flags.into_iter().flat_map(|(flag, value)| [format!("--{flag}"), value])).collect()
    }

    /// Forms the cluster once every node answers, unless it was formed by an earlier run over the same directory.
    ///
    /// # Errors
    /// When that does not succeed within a minute.
    pub async fn form(&self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let forming = async {
            loop {
                let nodes = Nodes::of(&self.grid).await?;
                if nodes.unreached.is_empty() && self.form_of(&nodes).await {
                    return Ok(());
                }
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            formed = tokio::time::timeout(FORM_TIMEOUT, forming) => formed.unwrap_or_else(|_| {
                Err(Failure::Failed(format!("the nodes did not form a cluster within {FORM_TIMEOUT:?}")))
            }),
        }
    }

    async fn form_of(&self, nodes: &Nodes) -> bool {
        for grid in nodes.grids() {
            if !nodes.is_formed(&grid).await {
                return nodes.form().await.is_ok();
            }
        }
        true
    }
}

/// The credentials of the in-process AWS. Whatever else is in our environment they have too.
fn environment() -> Vec<(String, String)> {
    let credentials = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];
    credentials.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// An address nobody listens on. Somebody could take it before the child does; the child says so then, and is started again.
fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port for a node")?;
    listener.local_addr().context("finding a free port for a node")
}
