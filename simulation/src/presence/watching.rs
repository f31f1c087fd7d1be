//! Whoever asks who is online: at every machine, which answers for what it leads.

use std::sync::Arc;
use std::time::Duration;

use order_model::MerchantId;
use proto::conversions::{merchant_id, to_bytes};
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::merchant_connection::{MerchantPresence, PresenceRequest};
use proto::transport::Transport;

use super::fleet::fleet;
use crate::feed::cloud::thawed;
use crate::feed::{merchant, merchant_number};
use crate::history::{Answer, Call, Outcome};
use crate::machine::Machine;
use crate::presence_run::PresenceWorld;

/// How often it is asked, and of how many at once.
const ASKS_EVERY: Duration = Duration::from_millis(250);
const ASKS_OF: usize = 24;

/// Asks at `machine` for some of the merchants after the others, until the run ends.
pub async fn run(world: Arc<PresenceWorld>, machine: Arc<Machine>, presence: MerchantConnectionClient<Transport>) {
    let client = format!("n{}/watcher", machine.number);
    let everyone: Vec<u32> = fleet(world.options.partitions).into_iter().flatten().collect();
    for chunk in everyone.chunks(ASKS_OF).cycle() {
        tokio::time::sleep(ASKS_EVERY).await;
        thawed(&machine).await;
        let merchant_ids = chunk.iter().map(|number| to_bytes(merchant(*number).as_bytes())).collect();
        let operation = world.recorder.begin(&client, Call::Presence { merchants: chunk.to_vec() });
        let request = PresenceRequest { merchant_ids, with_last_change: false };
        let answer = presence.clone().presence(request).await;
        thawed(&machine).await;
        let outcome = match answer {
            Ok(reply) => Outcome::Ok(Answer::Presence(reply.into_inner().presences.iter().filter_map(shown).collect())),
            Err(status) => Outcome::Refused(status.message().to_owned()),
        };
        world.recorder.complete(operation, outcome);
    }
}

fn shown(presence: &MerchantPresence) -> Option<(u32, bool, u64)> {
    let merchant: MerchantId = merchant_id(&presence.merchant_id).ok()?;
    Some((merchant_number(merchant), presence.online, presence.sequence))
}
