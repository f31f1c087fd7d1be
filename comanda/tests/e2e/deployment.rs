//! A platform as it is run in production: AWS, and each of the six roles as a process of its own over gRPC; on request
//! order-events and merchant-connection as a cluster of several nodes with their logs on disk, and all of it with
//! certificates.
//!
//! Roles are killed, stopped and started again on the same addresses. Everything an operator would type goes through the
//! command line. Used by the kill tests, the degraded modes and the canaries.

mod addresses;
mod cluster;
mod operations;
mod processes;
mod queues;
mod small_disk;

use std::collections::BTreeMap;
use std::time::Duration;

use comanda::kitchen_client::KitchenClient;
use comanda::platform::aws::AwsClients;
use comanda::system_clock::SystemClock;
use merchant_connection::profile::Merchant;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use self::addresses::{Addresses, flag_of};
use self::cluster::make_certificates;
use self::small_disk::SmallDisk;
use crate::link_proxy::LinkProxy;
use crate::platform::{Process, client, run};
use crate::proxy::AwsProxy;

/// Every role.
pub const ROLES: [&str; 6] =
    ["gateway-agent", "gateway-core", "order-events", "merchant-connection", "connection-polling", "kitchen-api"];

/// The nodes of a cluster, as roles; as many of them as a plan asks for.
pub const NODES: [&str; 6] = ["node-1", "node-2", "node-3", "node-4", "node-5", "node-6"];

/// What a node of a cluster runs.
const NODE_ROLES: [&str; 2] = ["order-events", "merchant-connection"];

/// The application that the tests poll with.
pub const CLIENT_ID: &str = "e2e-pos";

/// How long a started role may take until all is well with it.
const STARTED_LIMIT: Duration = Duration::from_secs(60);

/// What a deployment is made of.
pub struct Plan {
    pub merchants: usize,
    /// `--log` of every role.
    pub log: &'static str,
    /// Further flags of every role.
    pub flags: Vec<(&'static str, String)>,
    /// Nodes of the cluster of order-events and merchant-connection; 0: one process each, without a log.
    pub nodes: usize,
    /// Each node is reached through a proxy that can cut its links.
    pub are_links_proxied: bool,
    /// Nodes have no disk: their logs are in memory, and their ids are made up at every start.
    pub is_volatile: bool,
    /// Each node's disk is a file system of its own of so many MiB, which takes root to mount.
    pub disk_mib: Option<u32>,
    /// All processes prove who they are with certificates of a private authority, and roles listen on every address.
    pub is_tls_mutual: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            merchants: 4,
            log: "info",
            flags: Vec::new(),
            nodes: 0,
            are_links_proxied: false,
            is_tls_mutual: false,
            disk_mib: None,
            is_volatile: false,
        }
    }
}

/// Flags of a plan.
pub fn flags(all: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    all.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A running platform.
pub struct Deployment {
    aws_process: Process,
    /// Between the roles and AWS, so that each of its services can be taken away.
    pub proxy: AwsProxy,
    pub aws: AwsClients,
    addresses: Addresses,
    /// What runs, in the order in which it is asked whether it is ready.
    pub roles: Vec<&'static str>,
    /// In front of each node, where a plan asks for it.
    pub links: BTreeMap<&'static str, LinkProxy>,
    is_tls_mutual: bool,
    is_volatile: bool,
    _disks: Vec<SmallDisk>,
    /// Where nodes keep their logs, and where the certificates are.
    data: tempfile::TempDir,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    running: Mutex<BTreeMap<&'static str, Process>>,
    /// What ended processes logged.
    ended: Mutex<String>,
    pub merchants: Vec<String>,
    pub client_secret: String,
    _turn: OwnedMutexGuard<()>,
}

/// Six processes under load fill two cores: one deployment at a time.
async fn turn() -> OwnedMutexGuard<()> {
    static TURN: std::sync::LazyLock<std::sync::Arc<tokio::sync::Mutex<()>>> =
        std::sync::LazyLock::new(std::sync::Arc::default);
    std::sync::Arc::clone(&TURN).lock_owned().await
}

impl Deployment {
    /// Starts all of it, with an application that may see every merchant.
    pub async fn start(plan: &Plan) -> Self {
        let turn = turn().await;
        let local = ["aws", "local", "--json", "--local-aws-addr", "127.0.0.1:0", "--log", plan.log];
        let aws_process = blocking(|| Process::start(&local, &[]));
        let direct = format!("http://{}", aws_process.address("aws"));
        let proxy = AwsProxy::start(&aws_process.address("aws")).await;
        let aws = AwsClients::local(&direct).await;
        let mut environment = aws_environment(&direct);
        typed(&["aws", "init"], &environment);
        let merchants = add_merchants(&aws, plan.merchants, &environment).await;
        let created = typed(&["app", "create", CLIENT_ID, "--json"], &environment);
        let client_secret =
            serde_json::from_str::<Value>(&created).unwrap()["clientSecret"].as_str().unwrap().to_owned();
        let mut grant = vec!["app", "grant", CLIENT_ID];
        grant.extend(merchants.iter().map(String::as_str));
        typed(&grant, &environment);

        environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL".to_owned(), proxy.endpoint()));
        environment.push(("COMANDA_EVENT_ID_KEY".to_owned(), hex::encode(uuid::Uuid::new_v4().as_bytes())));
        let signing_key = kitchen_api::generate_signing_key().unwrap();
        environment.push(("COMANDA_TOKEN_SIGNING_KEY".to_owned(), signing_key.expose_secret().to_owned()));
        // One application polls for all of them, more often than one may.
        let limits = ["--rate-limits", "none"].map(str::to_owned);
        let mut flags = vec!["--log".to_owned(), plan.log.to_owned()];
        flags.extend(limits);
        flags.extend(plan.flags.iter().flat_map(|(flag, value)| [format!("--{flag}"), value.clone()]));
        let nodes = &NODES[..plan.nodes];
        let alone = |role: &&'static str| plan.nodes == 0 || !NODE_ROLES.contains(role);
        // One more than are started, to be added.
        let addresses = Addresses::free(if nodes.is_empty() { &[] } else { &NODES[..=plan.nodes] });
        let data = tempfile::tempdir().unwrap();
        if plan.is_tls_mutual {
            make_certificates(&addresses, data.path());
        }
        let nodes_data = addresses.nodes.keys().map(|node| data.path().join(node));
        let disks = plan.disk_mib.map(|mib| nodes_data.map(|path| SmallDisk::mount(path, mib)).collect());
        let mut links = BTreeMap::new();
        for (node, address) in addresses.nodes.iter().filter(|_| plan.are_links_proxied) {
            links.insert(*node, LinkProxy::start(address).await);
        }
        let deployment = Self {
            aws_process,
            proxy,
            aws,
            addresses,
            links,
            is_tls_mutual: plan.is_tls_mutual,
            is_volatile: plan.is_volatile,
            roles: ROLES.into_iter().filter(alone).chain(nodes.iter().copied()).collect(),
            _disks: disks.unwrap_or_default(),
            data,
            environment,
            flags,
            running: Mutex::default(),
            ended: Mutex::default(),
            merchants,
            client_secret,
            _turn: turn,
        };
        // Together: some are ready only once another one is.
        blocking(|| {
            std::thread::scope(|scope| {
                deployment.roles.iter().for_each(|role| drop(scope.spawn(|| deployment.spawn(role))));
                if plan.nodes > 0 {
                    deployment.form_cluster();
                }
            });
        });
        assert_eq!(deployment.running.lock().len(), deployment.roles.len(), "every role started");
        deployment
    }

    /// Where others reach a role that is called over internal gRPC.
    pub fn internal(&self, role: &str) -> &str {
        let found = self.addresses.internal.iter().find(|(flag, _)| *flag == flag_of(role));
        found.map(|(_, address)| address.as_str()).unwrap_or_else(|| panic!("nobody calls {role}"))
    }

    /// Types a command of an operator or an internal app, past the proxy; what it printed.
    pub fn typed(&self, arguments: &[&str]) -> String {
        let mut environment = self.environment.clone();
        let direct = format!("http://{}", self.aws_process.address("aws"));
        environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL".to_owned(), direct));
        typed(arguments, &environment)
    }

    /// The secrets that the roles were given.
    pub fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &str| name.starts_with("COMANDA_") && name.ends_with("_KEY");
        self.environment.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.clone()).collect()
    }

    /// Calls the public API without a token.
    pub fn anonymous(&self) -> KitchenClient {
        KitchenClient::new(&format!("http://{}", self.addresses.http), "nobody", "nothing").unwrap()
    }

    /// A client of [`CLIENT_ID`] with a token.
    pub async fn pos(&self) -> KitchenClient {
        client(&self.addresses.http, CLIENT_ID, &self.client_secret).await
    }
}

async fn add_merchants(aws: &AwsClients, count: usize, environment: &[(String, String)]) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let (first, rest) = ids.split_first().expect("a deployment has a merchant");
    typed(&["merchant", "add", first, "--name", "Cantina"], environment);
    let store = merchant_connection::store::Store::new(aws.dynamodb.clone(), "");
    for id in rest {
        let merchant = Merchant {
            id: id.parse().unwrap(),
            open_delivery_id: None,
            name: "Cantina".to_owned(),
            corporate_name: String::new(),
            time_zone: "America/Sao_Paulo".to_owned(),
            shifts: Merchant::around_the_clock(),
            interruptions: Vec::new(),
            created_at: SystemClock::shared().now(),
            is_test: false,
            coordinates: None,
        };
        store.put_profile(&merchant).await.unwrap();
    }
    ids
}

fn aws_environment(endpoint: &str) -> Vec<(String, String)> {
    let all = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Types a command that must succeed; what it printed.
fn typed(arguments: &[&str], environment: &[(String, String)]) -> String {
    let (code, stdout, stderr) = blocking(|| run(arguments, &borrowed(environment)));
    assert_eq!(code, 0, "comanda {arguments:?}\n{stderr}");
    stdout
}

fn borrowed(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
