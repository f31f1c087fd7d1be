//! A platform in a child process: `comanda dev --json` on free ports, ended with the benchmark.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::failure::{Context, Failure};

/// Seeding a million merchants takes its time.
const READY_TIMEOUT: Duration = Duration::from_secs(900);

/// Longer than it drains by default.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running platform.
pub struct Platform {
    child: Child,
    /// Its process, and those of its grid nodes where it has some.
    pub pids: Vec<u32>,
    /// Where the nodes of its grid are asked for its state; none without one.
    pub grid: Vec<String>,
    /// The public API.
    pub http: SocketAddr,
    /// The in-process AWS.
    pub aws: SocketAddr,
    /// The empty handler.
    pub yardstick: SocketAddr,
}

impl Platform {
    /// Starts one with `merchants` seeded that have long been online, and a grid of `nodes` processes unless that is 0; waits until it is ready.
    pub async fn start(merchants: u32, nodes: u16) -> Result<Self, Failure> {
        let (merchants, nodes) = (merchants.to_string(), nodes.max(1).to_string());
        let dev = ["dev", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--local-aws-addr", "127.0.0.1:0"];
        let rest = [
            "--yardstick-addr",
            "127.0.0.1:0",
            "--seed-online",
            // Of a million merchants few poll at 4,200 polls a second; that the others fall silent is not what is measured.
            "--offline-after",
            "24h",
            "--log",
            "warn",
            "--merchants",
            &merchants,
            "--nodes",
            &nodes,
        ];
        let (child, ready) = start(&[dev.as_slice(), &rest].concat(), &[]).await?;
        let pid = child.id().unwrap_or_default();
        Ok(Self {
            child,
            pids: pids(pid, &ready),
            grid: grid(&ready),
            http: address(&ready, "http")?,
            aws: address(&ready, "aws")?,
            yardstick: address(&ready, "yardstick")?,
        })
    }

    /// Ends it as Ctrl-C does, so that its nodes and their logs go with it; one that takes too long is killed.
    pub async fn stop(mut self) {
        let pid = self.child.id().unwrap_or_default().to_string();
        // The benchmark has its figures; how the platform ends is the business of other tests.
        let told = Command::new("kill").args(["-TERM", &pid]).status().await;
        let is_told = told.is_ok_and(|status| status.success());
        if !is_told || tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Starts this very program with `arguments` and `--json`, waits until it says that it is ready, and answers what it said.
///
/// # Errors
/// When it cannot be started or ends first.
pub async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(Child, Value), Failure> {
    let program = std::env::current_exe().context("finding the running executable")?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--json")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the platform")?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::Failed("the platform has no output".to_owned()))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = tokio::time::timeout(READY_TIMEOUT, reader.read_line(&mut line));
    read.await.context("waiting for the platform to be ready")?.context("reading what the platform says")?;
    let ready = serde_json::from_str(&line).context("reading the platform's ready line")?;
    Ok((child, ready))
}

/// Without a cluster the one node is the platform itself.
fn pids(own: u32, ready: &Value) -> Vec<u32> {
    let nodes = ready["nodes"].as_array().into_iter().flatten();
    let mut all: Vec<u32> = nodes.filter_map(|node| u32::try_from(node["pid"].as_u64()?).ok()).collect();
    all.retain(|pid| *pid != own);
    all.push(own);
    all
}

fn grid(ready: &Value) -> Vec<String> {
    let nodes = ready["nodes"].as_array().into_iter().flatten();
    nodes.filter_map(|node| node["grid"].as_str().map(str::to_owned)).collect()
}

/// The address under `key` of a ready line.
///
/// # Errors
/// When there is none.
pub fn address(ready: &Value, key: &str) -> Result<SocketAddr, Failure> {
    let text = ready[key].as_str().unwrap_or_default();
    text.parse().map_err(|_| Failure::Failed(format!("the platform's ready line has no address {key:?}")))
}
