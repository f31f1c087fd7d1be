//! `comanda app …` as it can be typed.

use clap::{Args, Subcommand};

use super::{SettingsOnly, WebhookCommand};

/// `app`.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Create an application; its secret is shown once
    #[command(after_help = "Example: comanda app create pos-vendor --name \"POS Vendor\"")]
    Create {
        /// Client id, 1 to 128 visible ASCII characters
        client_id: String,
        /// A name for people; owners read it when they authorise
        #[arg(long, default_value = "")]
        name: String,
        /// Runs at many restaurants: each authorises it, and its tokens see only who did
        #[arg(long)]
        distributed: bool,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Let a centralised application see merchants
    #[command(after_help = "Example: comanda app grant pos-vendor 00000000-0000-4000-8000-000000000001")]
    Grant(AppMerchants),
    /// Take merchants away from an application, or the application itself when none is named
    #[command(after_help = "Example: comanda app revoke pos-vendor 00000000-0000-4000-8000-000000000001")]
    Revoke(AppMerchants),
    /// Authorise a distributed application in the name of merchants; prints the authorization code
    #[command(after_help = "Example: comanda app approve BCDF-GHJK --merchant 00000000-0000-4000-8000-000000000001")]
    Approve {
        /// The code that the application shows
        user_code: String,
        /// Merchants it is to see with the tokens of this authorisation; can be repeated
        #[arg(long = "merchant", value_name = "MERCHANT", required = true, num_args = 1..)]
        merchants: Vec<String>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// List what merchants have authorised a distributed application for
    #[command(after_help = "Example: comanda app authorizations pos-vendor")]
    Authorizations {
        /// Client id
        client_id: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// End one authorisation with all its tokens
    #[command(after_help = "Example: comanda app revoke-authorization pos-vendor 5f0c2a4e6a0e4f5e9d572b6f0d1f7a11")]
    RevokeAuthorization {
        /// Client id
        client_id: String,
        /// Authorisation, 32 hexadecimal digits
        authorization: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Take back one access token of an application; its other tokens go on to count
    #[command(after_help = "Example: comanda app revoke-token pos-vendor \"$TOKEN\"")]
    RevokeToken {
        /// Client id
        client_id: String,
        /// The token, three parts with dots between them
        token: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Give an application a new secret, shown once; the old one ends at once
    #[command(after_help = "Example: comanda app rotate pos-vendor")]
    Rotate {
        /// Client id
        client_id: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Show which modules of the API an application has, or grant or revoke some; a new one has all
    #[command(after_help = "Example: comanda app modules pos-vendor --revoke catalog,shipping")]
    Modules {
        /// Client id
        client_id: String,
        /// Modules it is to have, with commas between them
        #[arg(long, value_name = "MODULES", conflicts_with = "revoke")]
        grant: Option<String>,
        /// Modules to take away, with commas between them; calls that belong to one are then refused with 403
        #[arg(long, value_name = "MODULES")]
        revoke: Option<String>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Say which version of Open Delivery an application knows: what is newer is hidden from it
    #[command(after_help = "Example: comanda app open-delivery pos-vendor 1.3.0")]
    OpenDelivery {
        /// Client id
        client_id: String,
        /// 1.3.0 or 1.7.0, which is the default
        #[arg(value_name = "VERSION")]
        spoken: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// An application's webhook: where its events are pushed to, and what became of them
    #[command(subcommand)]
    Webhook(WebhookCommand),
}

/// An application and merchants.
#[derive(Debug, Args)]
pub struct AppMerchants {
    /// Client id
    pub client_id: String,
    /// Merchant ids
    #[arg(value_name = "MERCHANT")]
    pub merchants: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}
