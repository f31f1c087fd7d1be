//! `comanda app webhook …` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SettingsOnly;

/// `app webhook`.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Set or change where an application's events are pushed to; effective within 5 s
    #[command(
        after_help = "Example: comanda app webhook set pos-vendor --url https://pos.example.com/hook --dialect IFOOD --secret-file secret.txt"
    )]
    Set(WebhookSet),
    /// Show the webhook and how its receiver does
    #[command(after_help = "Example: comanda app webhook show pos-vendor")]
    Show(WebhookApplication),
    /// List the webhooks of all applications with how their receivers do, those in trouble first
    #[command(after_help = "Example: comanda app webhook list --failing")]
    List(WebhookList),
    /// Remove the webhook; events are polled for as before
    #[command(after_help = "Example: comanda app webhook remove pos-vendor")]
    Remove(WebhookApplication),
    /// List what was sent and what waits, newest first, with every attempt; kept for a week
    #[command(after_help = "Example: comanda app webhook deliveries pos-vendor --dead")]
    Deliveries(WebhookPage),
    /// Send dead letters again under the same event ids: those named, or all
    #[command(after_help = "Example: comanda app webhook redeliver pos-vendor")]
    Redeliver {
        /// Client id
        client_id: String,
        /// Event ids; all dead letters when none is named
        #[arg(value_name = "EVENT")]
        events: Vec<String>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Go on with a receiver that was paused
    #[command(after_help = "Example: comanda app webhook resume pos-vendor")]
    Resume(WebhookApplication),
}

/// `app webhook set`.
#[derive(Debug, Args)]
pub struct WebhookSet {
    /// Client id
    pub client_id: String,
    /// Where events go: https, port 443 or 8443, a public host, at most 250 characters
    #[arg(long)]
    pub url: String,
    /// IFOOD (X-IFood-Signature), STANDARD (Standard Webhooks) or OPEN_DELIVERY (newEvent; the URL is the base URL)
    #[arg(long, default_value = "IFOOD")]
    pub dialect: String,
    /// Keep-alives: NONE, ALL (202: all stores are online) or PER_MERCHANT (the answer lists them)
    #[arg(long, default_value = "NONE")]
    pub presence: String,
    /// Let a delivery acknowledge its event for polls as well
    #[arg(long)]
    pub acknowledges: bool,
    /// File with what signs, else COMANDA_WEBHOOK_SECRET: for IFOOD and OPEN_DELIVERY the client secret that the receiver checks with;
    /// neither: as it is, or a new one for STANDARD
    #[arg(long, value_name = "PATH")]
    pub secret_file: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}

/// A command that takes an application only.
#[derive(Debug, Args)]
pub struct WebhookApplication {
    /// Client id
    pub client_id: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}

/// `app webhook list`.
#[derive(Debug, Args)]
pub struct WebhookList {
    /// Only receivers that fail or are paused
    #[arg(long)]
    pub failing: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}

/// `app webhook deliveries`.
#[derive(Debug, Args)]
pub struct WebhookPage {
    /// Client id
    pub client_id: String,
    /// Only dead letters, those first that died first
    #[arg(long)]
    pub dead: bool,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub limit: u16,
    /// Those before this event: `next` of the page before
    #[arg(long, value_name = "EVENT", conflicts_with = "dead")]
    pub before: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}
