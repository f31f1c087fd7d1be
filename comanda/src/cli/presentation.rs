//! What `merchant add` is told of how a merchant presents itself. What is left out stays as it is.

use clap::Args;
use kitchen_api::CourierTariff;
use merchant_connection::profile::{Address, Presentation};

/// Flags of `merchant add` that its details show and nothing else uses.
#[derive(Debug, Clone, Args)]
pub struct PresentationArgs {
    /// What its details say about it
    #[arg(long)]
    description: Option<String>,
    /// What an order costs there on average, such as 45.50
    #[arg(long, value_name = "AMOUNT", value_parser = cents)]
    average_ticket: Option<u32>,
    /// It sells through this platform alone; `--exclusive=false` ends that
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    exclusive: Option<bool>,
    /// Its country, such as BR
    #[arg(long)]
    country: Option<String>,
    /// Its state, such as SP
    #[arg(long)]
    state: Option<String>,
    /// Its city
    #[arg(long)]
    city: Option<String>,
    /// Its district
    #[arg(long)]
    district: Option<String>,
    /// Its street
    #[arg(long)]
    street: Option<String>,
    /// Its number in the street
    #[arg(long)]
    number: Option<String>,
    /// Its postal code
    #[arg(long)]
    postal_code: Option<String>,
}

impl From<PresentationArgs> for Presentation {
    fn from(given: PresentationArgs) -> Self {
        let PresentationArgs { description, average_ticket, exclusive, .. } = given;
        let PresentationArgs { country, state, city, district, street, number, postal_code, .. } = given;
        let address = Address { country, state, city, district, street, number, postal_code };
        Self { description, average_ticket_cents: average_ticket, exclusive, address }
    }
}

fn cents(text: &str) -> Result<u32, String> {
    let cents = CourierTariff::cents(text).and_then(|cents| u32::try_from(cents).ok());
    cents.ok_or_else(|| "expected an amount with at most two decimals, such as 45.50".to_owned())
}
