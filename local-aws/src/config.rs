//! What a local AWS is started with, and why starting can fail.
//!
//! Used by whoever starts one. Reads no environment and no file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the endpoints are served.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, for all three services. Port 0 takes any free port. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// Where DynamoDB keeps its file, `dynamodb.sqlite`; created if missing. `None` keeps it in memory. Queues and
    /// topics are always in memory and start empty.
    pub data_dir: Option<PathBuf>,
    /// The region in ARNs and queue URLs. Default `us-east-1`.
    pub region: String,
    /// The account in ARNs and queue URLs, twelve digits. Default `000000000000`.
    pub account_id: String,
    /// How often items past their time to live are deleted. Default 10 s; AWS itself takes up to days.
    pub ttl_sweep_interval: Duration,
    /// Whether to run on a tokio runtime of its own, with threads named `local-aws-0`, `local-aws-1`, ..., so that its
    /// CPU time can be told apart in `/proc/self/task`. Default false: the runtime of the caller.
    pub own_runtime: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: None,
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            ttl_sweep_interval: Duration::from_secs(10),
            own_runtime: false,
        }
    }
}

/// Why the endpoints could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use, or not one of this machine's.
    #[error("local AWS endpoints cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be created or written to.
    #[error("the data directory {} cannot be used", path.display())]
    DataDirectory {
        /// The directory asked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The DynamoDB file cannot be opened.
    #[error("the DynamoDB database {} cannot be opened", path.display())]
    Database {
        /// The file, or `:memory:`.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No tokio runtime: `serve` was called outside one without [`Config::own_runtime`], or its own failed to start.
    #[error("no tokio runtime for the local AWS endpoints")]
    Runtime {
        /// What tokio said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
