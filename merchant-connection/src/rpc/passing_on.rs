//! Beats of a kitchen-api that does not reach a partition's leader, passed on by a node that does.
//!
//! A POS that stays with such a kitchen-api would otherwise be OFFLINE after a while, although it polls, as soon as another
//! kitchen-api reaches the leader and lets it judge. Within the cluster they travel as questions to the leader, once: what
//! arrives there and is not led there is refused.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::future::join_all;
use prost::Message;
use proto::conversions::to_bytes;
use proto::merchant_connection as wire;
use replicated_grid::Questions;

use super::by_leader::Told;
use crate::service::{Handle, Shared};

/// Answers questions to this node as a leader, for as long as the service is there.
pub(crate) struct Answers {
    pub(crate) shared: Weak<Shared>,
}

impl Questions for Answers {
    /// Takes the beats of another node's sender; the partitions that were refused are in the answer.
    fn answer(&self, _partition: u16, question: Bytes) -> Result<Bytes, String> {
        let shared = self.shared.upgrade().ok_or("the service has ended")?;
        let request = wire::BeatRequest::decode(question).map_err(|error| error.to_string())?;
        let told = Told::read(&shared, &request).map_err(|status| status.message().to_owned())?;
        let refused = Handle { shared }.take_led(&told);
        let reply =
            wire::BeatReply { refused_partitions: refused.into_iter().map(u32::from).collect(), ..Default::default() };
        Ok(reply.encode_to_vec().into())
    }
}

impl Handle {
    /// Passes on what `told` says of `partitions`, and answers of which of them it was not taken.
    pub(super) async fn pass_on(&self, told: &Told, partitions: Vec<u16>) -> Vec<u16> {
        #[cfg(feature = "planted-bugs")]
        if crate::planted_bugs::PresenceBug::BeatsNotPassedOn.is_planted() {
            return partitions;
        }
        let passed = join_all(partitions.into_iter().map(|partition| async move {
            let taken = self.pass_on_one(told, partition).await;
            if let Err(reason) = &taken {
                tracing::debug!(partition, reason, "beats could not be passed on");
            }
            let outcome = if taken.is_ok() { "taken" } else { "refused" };
            metrics::counter!("comanda_merchant_connection_beats_passed_on_total", "outcome" => outcome).increment(1);
            (partition, taken.is_ok())
        }));
        passed.await.into_iter().filter_map(|(partition, is_taken)| (!is_taken).then_some(partition)).collect()
    }

    async fn pass_on_one(&self, told: &Told, partition: u16) -> Result<(), String> {
        let to_wire = |(merchant, age_ms): &(order_model::MerchantId, u32)| wire::Beat {
            merchant_id: to_bytes(merchant.as_bytes()),
            age_ms: *age_ms,
        };
        let request = wire::BeatRequest {
            beats: told.beats.get(&partition).into_iter().flatten().map(to_wire).collect(),
            partitions: told.all_of.get(&partition).map(|one| u32::from(*one)).into_iter().collect(),
            ..Default::default()
        };
        let asked = self.shared.grid.ask_leader(partition, request.encode_to_vec().into()).await;
        let answer = asked.map_err(|error| error.to_string())?;
        let reply = wire::BeatReply::decode(answer).map_err(|error| error.to_string())?;
        if reply.refused_partitions.is_empty() { Ok(()) } else { Err("it is not led there".to_owned()) }
    }
}

impl Shared {
    /// Has what others ask this node as a leader answered by `self`.
    pub(crate) fn answer_questions(self: &Arc<Self>) {
        self.grid.answer_questions(Arc::new(Answers { shared: Arc::downgrade(self) }));
    }
}
