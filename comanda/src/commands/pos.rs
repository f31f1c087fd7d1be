//! `comanda pos`: a POS terminal that polls, prints and acknowledges; optionally confirms and moves orders on.
//!
//! It follows events, not its own calls (PARTNER_API, section 2.3): an action is tried when its event arrives, and an
//! event is acknowledged only after it was handled.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::cli::PosArgs;
use crate::failure::{Context, Failure};
use crate::kitchen_client::{ClientError, KitchenClient};
use crate::platform::seed;

/// Polls name at most 500 merchants (CONTRACT); beyond that a terminal polls in turns.
const MERCHANTS_PER_POLL_MAX: usize = 500;

/// Runs the terminal until Ctrl-C.
pub async fn execute(arguments: PosArgs) -> Result<(), Failure> {
    let client =
        KitchenClient::new(&arguments.url, &arguments.client_id, &arguments.client_secret).context("reading --url")?;
    let merchants = match arguments.seeded {
        Some(count) => (1..=count).map(|number| seed::merchant_id(number).to_string()).collect(),
        None => arguments.merchants.clone(),
    };
    let mut token_left = client.authenticate().await.context("getting a token")?;
    let terminal = Terminal { client, arguments, seen: BTreeSet::new() };
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    let mut terminal = terminal;
    loop {
        if token_left < Duration::from_secs(60) + terminal.arguments.every {
            token_left = terminal.client.authenticate().await.context("renewing the token")?;
        }
        terminal.round(&merchants).await?;
        if terminal.arguments.once {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(terminal.arguments.every) => token_left = token_left.saturating_sub(terminal.arguments.every),
            _ = &mut stop => return Ok(()),
        }
    }
}

struct Terminal {
    client: KitchenClient,
    arguments: PosArgs,
    /// Ids handled and not yet acknowledged successfully: a duplicate must not act twice.
    seen: BTreeSet<String>,
}

impl Terminal {
    async fn round(&mut self, merchants: &[String]) -> Result<(), Failure> {
        if merchants.is_empty() {
            return self.poll_once(&[]).await;
        }
        for some in merchants.chunks(MERCHANTS_PER_POLL_MAX) {
            self.poll_once(some).await?;
        }
        Ok(())
    }

    async fn poll_once(&mut self, merchants: &[String]) -> Result<(), Failure> {
        let mut events = match self.client.poll(merchants).await {
            Ok(events) => events,
            Err(error @ ClientError::Unexpected { .. }) if self.arguments.once => {
                return Err(Failure::of("polling", &error));
            }
            Err(error) => {
                eprintln!("comanda: polling: {}; trying again", crate::failure::chain(&error));
                return Ok(());
            }
        };
        events.sort_by_key(|event| event["createdAt"].as_str().unwrap_or_default().to_owned());
        let mut handled = Vec::with_capacity(events.len());
        for event in &events {
            let Some(id) = event["id"].as_str() else { continue };
            if self.seen.insert(id.to_owned()) {
                self.print(event);
                self.move_on(event).await;
            }
            handled.push(id.to_owned());
        }
        if handled.is_empty() {
            return Ok(());
        }
        match self.client.acknowledge(&handled).await {
            Ok(()) => self.seen.clear(),
            Err(error) => eprintln!("comanda: acknowledging: {}; the events come again", crate::failure::chain(&error)),
        }
        Ok(())
    }

    fn print(&self, event: &Value) {
        if self.arguments.output.json {
            println!("{event}");
            return;
        }
        let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        println!("{}  {:<4} {:<28} order {}", text("createdAt"), text("code"), text("fullCode"), text("orderId"));
    }

    async fn move_on(&self, event: &Value) {
        let (Some(code), Some(order)) = (event["code"].as_str(), event["orderId"].as_str()) else { return };
        let action = match code {
            "PLC" if self.arguments.confirm => "confirm",
            "CFM" if self.arguments.serve => "startPreparation",
            "PRS" | "SPS" if self.arguments.serve => "readyToPickup",
            "RTP" if self.arguments.serve => "dispatch",
            _ => return,
        };
        match self.client.act(order, action).await {
            Ok(()) => eprintln!("comanda: {action} of order {order} accepted"),
            // A takeout order is not dispatched, another terminal may have been faster: both are answers, not failures.
            Err(error) => eprintln!("comanda: {action} of order {order}: {}", crate::failure::chain(&error)),
        }
    }
}
