//! A platform as it is run in production: AWS, and each of the six roles as a process of its own over gRPC; on request
//! order-events and merchant-connection as a cluster of several nodes with their logs on disk, and all of it with
//! certificates.
//!
//! Roles are killed, stopped and started again on the same addresses. Everything an operator would type goes through the
//! command line. Used by the kill tests, the degraded modes and the canaries.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::{Answer, KitchenClient};
use comanda::platform::aws::AwsClients;
use comanda::system_clock::SystemClock;
use http::{Method, StatusCode};
use merchant_connection::profile::Merchant;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::link_proxy::LinkProxy;
use crate::platform::{Process, client, eventually, run};
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

/// Whose certificate `cluster` commands are typed with.
const OPERATOR: &str = "operator";

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

/// A file system in memory; gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, mib: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "a file system is mounted at {}", path.display());
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of the test may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Where everything listens, the same after a restart.
struct Addresses {
    http: String,
    internal: [(&'static str, String); 4],
    ops: BTreeMap<&'static str, String>,
    nodes: BTreeMap<&'static str, String>,
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
            let directory = data.path().join("certificates").display().to_string();
            let nodes = addresses.nodes.keys().flat_map(|node| ["--node", node.trim_start_matches("node-")]);
            let made = ["cluster", "certificates", &directory, "--client", OPERATOR];
            typed(&made.into_iter().chain(nodes).collect::<Vec<_>>(), &[]);
            for role in ROLES {
                let called = addresses.internal.iter().any(|(flag, _)| flag_of(role) == *flag);
                let answers_as = if called { vec!["--role", role] } else { Vec::new() };
                let made = ["cluster", "certificates", &directory, "--client", role];
                typed(&made.into_iter().chain(answers_as).collect::<Vec<_>>(), &[]);
            }
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

    /// Types `cluster init` until every node answers.
    pub fn form_cluster(&self) {
        let deadline = Instant::now() + STARTED_LIMIT;
        loop {
            let (code, _, stderr) = self.try_cluster(&["init"]);
            if code == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "the cluster is not formed: {stderr}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types a `cluster` command that asks the nodes of the deployment; what it printed.
    pub fn cluster(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.try_cluster(arguments);
        assert_eq!(code, 0, "comanda cluster {arguments:?}\n{stderr}");
        stdout
    }

    /// The same, whatever becomes of it: exit code, standard output, standard error.
    pub fn try_cluster(&self, arguments: &[&str]) -> (i32, String, String) {
        self.try_cluster_as(&format!("client-{OPERATOR}"), &self.seeds(), arguments)
    }

    /// The same under the certificate of `who`, and asking only the nodes at `seeds`.
    pub fn try_cluster_as(&self, who: &str, seeds: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["cluster".to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all.extend(["--grid-seeds".to_owned(), seeds.to_owned()]);
        all.extend(self.certificate(who));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        blocking(|| run(&all, &[]))
    }

    /// The flags that say who a process is, if it has to.
    fn certificate(&self, name: &str) -> Vec<String> {
        if !self.is_tls_mutual {
            return Vec::new();
        }
        let [ca, certificate, key] = self.certificate_files(name).map(|path| path.display().to_string());
        let files = [("ca", ca), ("cert", certificate), ("key", key)];
        files.into_iter().flat_map(|(flag, path)| [format!("--grid-{flag}-file"), path]).collect()
    }

    /// The authority's certificate, and certificate and key of `name`, such as `node-1` or `client-gateway-core`.
    pub fn certificate_files(&self, name: &str) -> [PathBuf; 3] {
        let directory = self.data.path().join("certificates");
        ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}-key.pem")].map(|file| directory.join(file))
    }

    /// Where others reach a role that is called over internal gRPC.
    pub fn internal(&self, role: &str) -> &str {
        let found = self.addresses.internal.iter().find(|(flag, _)| *flag == flag_of(role));
        found.map(|(_, address)| address.as_str()).unwrap_or_else(|| panic!("nobody calls {role}"))
    }

    /// Where others reach a node.
    pub fn advertised(&self, node: &str) -> &str {
        self.links.get(node).map_or_else(|| self.addresses.nodes[node].as_str(), |link| &link.address)
    }

    fn seeds(&self) -> String {
        let members = self.addresses.nodes.keys().filter(|node| self.roles.contains(node));
        members.map(|node| self.advertised(node).to_owned()).collect::<Vec<_>>().join(",")
    }

    /// Starts the node that is no member yet, and takes it in; returns once it is ready.
    pub fn add_node(&self, node: &'static str) {
        blocking(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| self.spawn(node));
                let deadline = Instant::now() + STARTED_LIMIT;
                while self.try_cluster(&["add", self.advertised(node)]).0 != 0 {
                    assert!(Instant::now() < deadline, "{node} is not taken in");
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        });
    }

    /// Starts a role that is down, on its old addresses; returns once it says that it is ready.
    pub fn restart(&self, role: &'static str) {
        blocking(|| self.spawn(role));
    }

    fn spawn(&self, role: &'static str) {
        let arguments = self.arguments(role);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(&arguments, &borrowed(&self.environment));
        assert!(self.running.lock().insert(role, process).is_none(), "{role} was running");
    }

    /// Starts a role that must refuse to run: its exit code, and what it said on standard error.
    pub fn start_refused(&self, role: &'static str) -> (i32, String) {
        let arguments = self.arguments(role);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, _, stderr) = blocking(|| run(&arguments, &borrowed(&self.environment)));
        (code, stderr)
    }

    /// Where a node keeps everything.
    pub fn directory(&self, node: &str) -> PathBuf {
        self.data.path().join(node)
    }

    /// Takes a node's disk away for good; the node is down.
    pub fn lose_disk(&self, node: &str) {
        std::fs::remove_dir_all(self.data.path().join(node)).unwrap();
    }

    fn arguments(&self, role: &'static str) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "--json".to_owned()];
        let is_node = self.addresses.nodes.contains_key(role);
        let roles = if is_node { NODE_ROLES.to_vec() } else { vec![role] };
        arguments.extend(roles.into_iter().map(str::to_owned));
        if !self.addresses.nodes.is_empty() {
            arguments.extend(["--grid-seeds".to_owned(), self.seeds()]);
        }
        if let Some(address) = self.addresses.nodes.get(role) {
            let (id, directory) = (role.trim_start_matches("node-"), self.data.path().join(role));
            arguments.extend(["--grid-addr".to_owned(), address.clone()]);
            if !self.is_volatile {
                arguments.extend(["--node-id".to_owned(), id.to_owned()]);
                arguments.extend(["--data-dir".to_owned(), directory.display().to_string()]);
            }
            arguments.extend(["--grid-advertised-addr".to_owned(), self.advertised(role).to_owned()]);
            arguments.extend(self.certificate(role));
        } else {
            arguments.extend(self.certificate(&format!("client-{role}")));
        }
        arguments.extend(["--http-addr".to_owned(), self.addresses.http.clone()]);
        arguments.extend(["--ops-addr".to_owned(), self.addresses.ops[role].clone()]);
        for (flag, address) in &self.addresses.internal {
            let listens_everywhere = self.is_tls_mutual && *flag == flag_of(role);
            let address = if listens_everywhere { address.replace("127.0.0.1", "0.0.0.0") } else { address.clone() };
            arguments.extend([format!("--{flag}"), address]);
        }
        arguments.extend(self.flags.iter().cloned());
        arguments
    }

    /// kill -9.
    pub fn kill(&self, role: &'static str) {
        let mut process = self.take(role);
        blocking(|| process.kill());
        self.ended.lock().push_str(&process.log());
    }

    /// Sends a signal to a running role, such as `STOP`, with which it hangs, and `CONT`.
    pub fn signal(&self, role: &'static str, name: &str) {
        let pid = self.running.lock().get(role).unwrap_or_else(|| panic!("{role} is not running")).pid();
        crate::platform::signal(pid, name);
    }

    /// Ctrl-C: it drains and must exit 0.
    pub fn stop(&self, role: &'static str) {
        let mut process = self.take(role);
        let code = blocking(|| process.interrupt());
        assert_eq!(code, Some(0), "{role} drains\n{}", process.log());
        self.ended.lock().push_str(&process.log());
    }

    fn take(&self, role: &str) -> Process {
        self.running.lock().remove(role).unwrap_or_else(|| panic!("{role} is not running"))
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

    /// Everything that any process of ours logged so far.
    pub fn logs(&self) -> String {
        let mut all = self.ended.lock().clone();
        all.push_str(&self.aws_process.log());
        self.running.lock().values().for_each(|process| all.push_str(&process.log()));
        all
    }

    /// `path` of the operations listener of a role.
    pub async fn operations(&self, role: &str, path: &str) -> Option<Answer> {
        let base = format!("http://{}", self.addresses.ops[role]);
        let client = KitchenClient::new(&base, "none", "none").unwrap();
        client.call(Method::GET, path, &[], Bytes::new()).await.ok()
    }

    /// The metrics of a role as text; empty when it is down.
    pub async fn metrics(&self, role: &str) -> String {
        let answer = self.operations(role, "/metrics").await;
        answer.map(|answer| String::from_utf8(answer.body.to_vec()).unwrap()).unwrap_or_default()
    }

    /// The value of the one series of `role` that starts like this, e.g. `comanda_x_total{outcome="ok"}`; 0 when absent.
    pub async fn metric(&self, role: &str, series: &str) -> f64 {
        let metrics = self.metrics(role).await;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits until `/readyz` of a role says that all is well.
    pub async fn wait_until_ready(&self, role: &str) {
        eventually(&format!("{role} is ready"), STARTED_LIMIT, async || {
            self.operations(role, "/readyz").await.filter(|answer| answer.status == StatusCode::OK)
        })
        .await;
    }

    /// Sends bodies to the queue `orders`, past the proxy, ten at a time as producers do.
    pub async fn send(&self, bodies: &[String]) {
        let queue = self.queue_url("orders").await;
        for batch in bodies.chunks(10) {
            let entries = batch.iter().enumerate().map(|(index, body)| {
                let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder();
                entry.id(index.to_string()).message_body(body).build().unwrap()
            });
            let sent =
                self.aws.sqs.send_message_batch().queue_url(&queue).set_entries(Some(entries.collect())).send().await;
            assert!(sent.unwrap().failed().is_empty(), "the queue took every message");
        }
    }

    async fn queue_url(&self, name: &str) -> String {
        let found = self.aws.sqs.get_queue_url().queue_name(name).send().await.unwrap();
        found.queue_url().unwrap().to_owned()
    }

    /// Whether no message lies in a queue, be it visible, in somebody's hands or delayed.
    pub async fn is_empty(&self, queue: &str) -> bool {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let counts = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let url = self.queue_url(queue).await;
        let asked = self.aws.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(counts.to_vec()));
        let found = asked.send().await.unwrap();
        let count = |name| found.attributes().and_then(|all| all.get(name)).unwrap().parse::<u64>().unwrap();
        counts.iter().map(count).sum::<u64>() == 0
    }

    /// A queue of its own that gets everything published to `topic` from now on; its URL.
    pub async fn observe(&self, topic: &str) -> String {
        let settings = message_bus::admin::QueueSettings::default();
        let name = format!("observer-of-{topic}");
        let (queue, _) = message_bus::admin::create_queue(&self.aws.sqs, "", &name, &settings).await.unwrap();
        let topic = message_bus::admin::create_topic(&self.aws.sns, "", topic).await.unwrap();
        message_bus::admin::subscribe(&self.aws.sns, &self.aws.sqs, &topic, &queue).await.unwrap();
        queue.url
    }

    /// Takes what lies in a queue: each message with all of its attributes.
    pub async fn drain(&self, queue_url: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let mut all = Vec::new();
        loop {
            let received = self.aws.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
            let received = received.message_attribute_names("All").wait_time_seconds(0).send().await.unwrap();
            if received.messages().is_empty() {
                return all;
            }
            for message in received.messages() {
                let receipt = message.receipt_handle().unwrap();
                self.aws.sqs.delete_message().queue_url(queue_url).receipt_handle(receipt).send().await.unwrap();
                all.push(message.clone());
            }
        }
    }

    /// Takes the dead letters of a queue.
    pub async fn dead_letters(&self, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
        self.drain(&self.queue_url(&format!("{queue}-dlq")).await).await
    }

    /// Every dead letter of every queue, in words; empty when nothing was given up.
    pub async fn given_up(&self) -> Vec<String> {
        let mut all = Vec::new();
        for queue in ["orders", "order-events-feed", "connection-polling-feed", "webhooks-feed"] {
            for message in self.dead_letters(queue).await {
                let attribute = |name: &str| {
                    let attributes = message.message_attributes();
                    attributes.and_then(|all| all.get(name)?.string_value()).unwrap_or("-").to_owned()
                };
                all.push(format!(
                    "{queue}: {} {} {}",
                    attribute("reason"),
                    attribute("detail"),
                    message.body().unwrap_or("")
                ));
            }
        }
        all
    }
}

impl Addresses {
    fn free(nodes: &[&'static str]) -> Self {
        let [http, core, events, presence, polling] = std::array::from_fn(|_| free_address());
        let internal = [
            ("gateway-core-addr", core),
            ("order-events-addr", events),
            ("merchant-connection-addr", presence),
            ("connection-polling-addr", polling),
        ];
        let ops = ROLES.iter().chain(nodes).map(|role| (*role, free_address())).collect();
        Self { http, internal, ops, nodes: nodes.iter().map(|node| (*node, free_address())).collect() }
    }
}

/// The flag of a role's internal gRPC.
fn flag_of(role: &str) -> String {
    format!("{role}-addr")
}

/// An address that is free now and that no outgoing connection takes while a role is down: below the range from which
/// systems pick those.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 900) as u16 * 12;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
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
