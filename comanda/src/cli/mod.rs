//! The command line: what can be typed, and nothing of what it does.
//!
//! `main` parses it and hands each command to its module under [`crate::commands`]. Help texts are held by a test.

mod app;
mod cluster;
mod merchant;
mod presentation;
mod setting_flags;
mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use app::{AppCommand, AppMerchants};
pub use cluster::{CertificatesArgs, ClusterCommand, ClusterNode};
pub use merchant::MerchantCommand;
pub use presentation::PresentationArgs;
pub use setting_flags::SettingFlags;
pub use webhook::{WebhookApplication, WebhookCommand, WebhookList, WebhookPage, WebhookSet};

/// Order events from the queue to the restaurant and back.
#[derive(Debug, Parser)]
#[command(name = "comanda", version, propagate_version = true, max_term_width = 120)]
#[command(after_help = "Without a subcommand, `dev` is run.\nExit codes: 0 ok, 1 failed, 2 usage, 64 configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole platform in one process, with AWS in-process and something to try
    #[command(after_help = "Example: comanda dev --merchants 10 --data-dir ./data")]
    Dev(DevArgs),
    /// Run production roles against AWS or any endpoint
    #[command(after_help = "Example: comanda run gateway-agent gateway-core")]
    Run(RunArgs),
    /// The in-process AWS, and the queues, topics and tables
    #[command(subcommand)]
    Aws(AwsCommand),
    /// Partner applications and the merchants they may see
    #[command(subcommand)]
    App(AppCommand),
    /// Merchants
    #[command(subcommand)]
    Merchant(MerchantCommand),
    /// An internal app's side: send orders, follow them
    #[command(subcommand)]
    Order(OrderCommand),
    /// The grid's cluster: form it, change it, see it
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// A POS terminal: polls, prints and acknowledges
    #[command(after_help = "Example: comanda pos --client-id dev-pos --client-secret dev-pos-secret --confirm")]
    Pos(PosArgs),
    /// Validate the configuration: every problem at once, with where and what to do
    #[command(after_help = "Example: comanda check --config comanda.toml --online")]
    Check(CheckArgs),
    /// Measure: open-loop load with percentiles
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print a completion script for a shell
    #[command(after_help = "Example: comanda completions bash > /etc/bash_completion.d/comanda")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Output for machines.
#[derive(Debug, Args, Clone, Copy)]
pub struct Output {
    /// Print JSON for machines
    #[arg(long)]
    pub json: bool,
}

/// `dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// How many merchants to seed
    #[arg(long, value_name = "N")]
    pub merchants: Option<u32>,
    /// Run the grid as N processes, each with its own log, started again when they end (1: in this process)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub nodes: u16,
    /// Print one JSON line on stdout once ready
    #[arg(long)]
    pub json: bool,
    /// Also serve an empty handler behind the same accept loop on this address (for `bench`)
    #[arg(long, hide = true, value_name = "ADDR")]
    pub yardstick_addr: Option<std::net::SocketAddr>,
    /// Seed merchants that have already come online (for `bench`)
    #[arg(long, hide = true)]
    pub seed_online: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub settings: SettingFlags,
}

/// A production role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Reads `orders`.
    GatewayAgent,
    /// Owns orders.
    GatewayCore,
    /// The primary feed.
    OrderEvents,
    /// Who is online.
    MerchantConnection,
    /// The fallback feed.
    ConnectionPolling,
    /// The public API.
    KitchenApi,
}

impl Role {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GatewayAgent => "gateway-agent",
            Self::GatewayCore => "gateway-core",
            Self::OrderEvents => "order-events",
            Self::MerchantConnection => "merchant-connection",
            Self::ConnectionPolling => "connection-polling",
            Self::KitchenApi => "kitchen-api",
        }
    }

    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::GatewayAgent,
        Self::GatewayCore,
        Self::OrderEvents,
        Self::MerchantConnection,
        Self::ConnectionPolling,
        Self::KitchenApi,
    ];
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The roles of this process
    #[arg(required = true, value_enum, value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Print one JSON line on stdout once ready
    #[arg(long)]
    pub json: bool,
    /// Started by `dev`: development keys are accepted, and the end of standard input drains and ends it
    #[arg(long, hide = true)]
    pub child: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub settings: SettingFlags,
}

/// `aws`.
#[derive(Debug, Subcommand)]
pub enum AwsCommand {
    /// Run only the in-process SQS, SNS and DynamoDB
    #[command(after_help = "Example: comanda aws local --local-aws-addr 127.0.0.1:4566")]
    Local(SettingsOnly),
    /// Create queues, topics, subscriptions and tables; what exists is left as it is
    #[command(after_help = "Example: AWS_ENDPOINT_URL=http://127.0.0.1:4566 comanda aws init")]
    Init(SettingsOnly),
}

/// A command that takes settings and `--json` only.
#[derive(Debug, Args)]
pub struct SettingsOnly {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub settings: SettingFlags,
}

/// `order`.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Place an order: a sample one, or the message in a file
    #[command(after_help = "Example: comanda order place --merchant 00000000-0000-4000-8000-000000000001")]
    Place {
        /// Merchant of the sample order
        #[arg(long, default_value = "00000000-0000-4000-8000-000000000001")]
        merchant: String,
        /// DELIVERY, TAKEOUT or DINE_IN
        #[arg(long = "type", default_value = "DELIVERY")]
        order_type: String,
        /// How many sample orders
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
        /// Send this message as it is instead (any of the three formats)
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Send an update of an order
    #[command(after_help = "Example: comanda order update 5f0c2a4e-6a0e-4f5e-9d57-2b6f0d1f7a11 CONCLUDED")]
    Update {
        /// Order id
        order: String,
        /// Code or full code of the event
        code: String,
        /// A JSON object
        #[arg(long)]
        metadata: Option<String>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Show an order's state and events
    #[command(after_help = "Example: comanda order show 5f0c2a4e-6a0e-4f5e-9d57-2b6f0d1f7a11 --follow")]
    Show {
        /// Order id
        order: String,
        /// Keep printing events until the order is final
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Blank the personal data of an order; its events stay
    #[command(after_help = "Example: comanda order erase 5f0c2a4e-6a0e-4f5e-9d57-2b6f0d1f7a11")]
    Erase {
        /// Order id
        order: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
}

/// `pos`.
#[derive(Debug, Args)]
pub struct PosArgs {
    /// Base URL of the Kitchen API
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Application
    #[arg(long, default_value = "dev-pos")]
    pub client_id: String,
    /// Its secret
    // One in 64 begins with a hyphen.
    #[arg(
        long,
        default_value = "dev-pos-secret",
        env = "COMANDA_CLIENT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub client_secret: String,
    /// Merchants to poll for; all of the application's when none is named
    #[arg(long = "merchant", value_name = "MERCHANT")]
    pub merchants: Vec<String>,
    /// Poll for the first N seeded merchants
    #[arg(long = "merchants", value_name = "N", conflicts_with = "merchants")]
    pub seeded: Option<u32>,
    /// Time between polls
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub every: std::time::Duration,
    /// Confirm placed orders
    #[arg(long)]
    pub confirm: bool,
    /// Also move confirmed orders on until they leave the kitchen
    #[arg(long, requires = "confirm")]
    pub serve: bool,
    /// Poll once and end
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check what these roles need; all by default
    #[arg(value_enum, value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// Print every setting with its value and where it came from
    #[arg(long)]
    pub print: bool,
    /// Also reach for every queue, topic and table
    #[arg(long)]
    pub online: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub settings: SettingFlags,
}

/// `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Polls against an empty handler behind the same accept loop
    #[command(after_help = "Example: comanda bench poll --rate 4200 --merchants 60000 --duration 20s")]
    Poll(BenchPollArgs),
    /// Queue to visible, and sustained ingest
    #[command(after_help = "Example: comanda bench ingest --rate 100 --duration 20s")]
    Ingest(BenchIngestArgs),
    /// Serving again after everything but DynamoDB was lost
    #[command(after_help = "Example: comanda bench rebuild --events 100000")]
    Rebuild(BenchRebuildArgs),
}

/// `bench poll`.
#[derive(Debug, Args)]
pub struct BenchPollArgs {
    /// Requests a second, open loop; 0: closed loop, each connection as fast as it is answered
    #[arg(long, default_value_t = 4200, value_parser = clap::value_parser!(u32).range(0..=200_000))]
    pub rate: u32,
    /// Merchants seeded and polled
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub merchants: u32,
    /// Connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub connections: u32,
    /// Length of each phase
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: std::time::Duration,
    /// Processes of the grid, each with a log on disk; 0: order-events in the platform's own process, without one
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=9))]
    pub nodes: u16,
    /// Events that arrive a second meanwhile, and stay pending
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub events_per_second: u32,
    /// Pairs of phases (empty handler, poll)
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
}

/// `bench ingest`.
#[derive(Debug, Args)]
pub struct BenchIngestArgs {
    /// Orders a second, open loop
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Merchants the orders are spread over
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub merchants: u32,
    /// How long orders arrive
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub duration: std::time::Duration,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
}

/// `bench rebuild`.
#[derive(Debug, Args)]
pub struct BenchRebuildArgs {
    /// Live events
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub events: u64,
    /// Merchants they are spread over
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub merchants: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub output: Output,
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    crate::settings::typed::parse_duration(text)
        .ok_or_else(|| "expected a whole number and a unit, ms, s, min or h, such as 90s".to_owned())
}
