//! What POS do: poll for some of their merchants, show what comes, acknowledge most of it, at whichever machine answers.
//!
//! Each application asks at every machine at once, as behind a load balancer.

use std::sync::Arc;
use std::time::Duration;

use event_feed::{AuthorisedMerchants, FeedEvent, Filter, GrantedMerchant};
use kitchen_api::feed::FeedRouter;
use order_model::{ApplicationId, EventId, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;

use super::cloud::thawed;
use super::{application, merchant, recorded};
use crate::feed_run::FeedWorld;
use crate::history::{Answer, Call, Outcome};
use crate::machine::Machine;

/// Merchants, numbered from 1.
pub const MERCHANTS: u32 = 12;

/// Applications. The first sees all merchants, the second every other one.
pub const APPLICATIONS: usize = 2;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The merchants of an application.
pub fn scope(number: usize) -> Vec<u32> {
    (1..=MERCHANTS).filter(|of| number == 0 || of % 2 == 1).collect()
}

/// Whether nobody ever acknowledges it: about one event in eight.
pub fn is_kept(id: &EventId) -> bool {
    let [.., last] = *id.as_bytes();
    last.is_multiple_of(8)
}

struct Pos {
    world: Arc<FeedWorld>,
    machine: Arc<Machine>,
    router: FeedRouter,
    application: ApplicationId,
    client: String,
    random: StdRng,
}

/// Polls and acknowledges for application `number` at `machine`, until the run ends.
pub async fn run(world: Arc<FeedWorld>, machine: Arc<Machine>, router: FeedRouter, number: usize) {
    let random = machine.stream(&format!("pos{number}"));
    let client = format!("n{}/pos{number}", machine.number);
    let mut pos = Pos { world, machine, router, application: application(number), client, random };
    loop {
        tokio::time::sleep(Duration::from_millis(pos.random.random_range(150..=700))).await;
        thawed(&pos.machine).await;
        let mut merchants = scope(number);
        if pos.random.random_bool(0.5) {
            let random = &mut pos.random;
            merchants.retain(|_| random.random_bool(0.5));
        }
        let Some(events) = pos.poll(merchants).await else { continue };
        let random = &mut pos.random;
        let acknowledged: Vec<EventId> =
            events.iter().map(|event| event.id).filter(|id| !is_kept(id) && random.random_bool(0.8)).collect();
        if !acknowledged.is_empty() {
            tokio::time::sleep(Duration::from_millis(pos.random.random_range(0..=300))).await;
            pos.acknowledge(acknowledged).await;
        }
    }
}

impl Pos {
    async fn poll(&self, merchants: Vec<u32>) -> Option<Vec<FeedEvent>> {
        let granted =
            |number: &u32| GrantedMerchant { merchant: merchant(*number), visible_from: Timestamp::default() };
        let granted = merchants.iter().map(granted).collect();
        let authorised = AuthorisedMerchants::vouched_for_by_peer(self.application.clone(), granted);
        let call = Call::Poll { application: self.application.to_string(), merchants };
        let operation = self.world.recorder.begin(&self.client, call);
        let answer = tokio::time::timeout(PATIENCE, self.router.poll(&authorised, &Filter::default())).await;
        thawed(&self.machine).await;
        match answer {
            Ok(Ok(page)) => {
                let events = page.events.iter().map(recorded).collect();
                let by = format!("{:?}", page.answered_by);
                self.world.recorder.complete(operation, Outcome::Ok(Answer::Page { events, by }));
                Some(page.events)
            }
            Ok(Err(unavailable)) => {
                self.world.recorder.complete(operation, Outcome::Refused(unavailable.to_string()));
                None
            }
            Err(_) => None,
        }
    }

    async fn acknowledge(&self, ids: Vec<EventId>) {
        let events = ids.iter().map(EventId::to_string).collect();
        let call = Call::Acknowledge { application: self.application.to_string(), events };
        let operation = self.world.recorder.begin(&self.client, call);
        let answer = tokio::time::timeout(PATIENCE, self.router.acknowledge(&self.application, ids)).await;
        thawed(&self.machine).await;
        let outcome = match answer {
            Ok(Ok(())) => Outcome::Ok(Answer::Acknowledged),
            // 503: some of it may have been taken.
            Ok(Err(unavailable)) => Outcome::Unknown(unavailable.to_string()),
            Err(_) => return,
        };
        self.world.recorder.complete(operation, outcome);
    }
}
