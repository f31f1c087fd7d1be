//! What can be typed after `merchant`.

use clap::Subcommand;

use super::{PresentationArgs, SettingsOnly};

/// `merchant`.
#[derive(Debug, Subcommand)]
pub enum MerchantCommand {
    /// Add or replace a merchant
    #[command(after_help = "Example: comanda merchant add 0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901 --name Cantina")]
    Add {
        /// Merchant id, a UUID
        merchant: String,
        /// Name shown to partners
        #[arg(long)]
        name: String,
        /// Legal name
        #[arg(long)]
        corporate_name: Option<String>,
        /// IANA time zone
        #[arg(long, default_value = "America/Sao_Paulo")]
        time_zone: String,
        /// Open Delivery id, 36 to 100 characters
        #[arg(long)]
        open_delivery_id: Option<String>,
        /// Where it is, in degrees, such as -23.5614,-46.6559; without it no courier is offered to it
        #[arg(long, value_name = "LATITUDE,LONGITUDE", allow_hyphen_values = true)]
        coordinates: Option<order_model::Coordinates>,
        /// An integrator's own, no restaurant: orders may be simulated for it; `--test=false` ends that
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        test: Option<bool>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        presentation: Box<PresentationArgs>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Make a merchant's portal key, shown once, for its owner; the one before ends at once
    #[command(after_help = "Example: comanda merchant portal-key 00000000-0000-4000-8000-000000000001")]
    PortalKey {
        /// Merchant id
        merchant: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Show a merchant
    #[command(after_help = "Example: comanda merchant show 00000000-0000-4000-8000-000000000001")]
    Show {
        /// Merchant id
        merchant: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
}
