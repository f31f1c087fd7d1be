//! Acknowledging: DynamoDB first, then the leaders; a leader that does not apply is fenced out.
//!
//! `Ok` is a 202: DynamoDB has every genuine id, and of each partition the leader has applied them or the fence holds.
//! An error is a 503: the POS repeats the acknowledgment, safely. So what leaders have applied is a subset of what
//! DynamoDB has. Called by the router for a POS and for the ids that a sent filter hides.

use std::sync::Arc;
use std::time::Duration;

use order_model::{ApplicationId, EventId, EventIdKey, PartitionCount, PartitionId, SharedClock};

use super::breaker::BreakerSettings;
use super::breakers::{Breakers, sorted};
use super::fallback::{Fallback, FallbackError};
use super::fence_board::{FenceBoard, FenceError};
use super::primary::{PrimaryError, PrimaryFeed};

/// How long the leaders have to apply an acknowledgment before they are fenced out.
pub const LEADER_DEADLINE: Duration = Duration::from_secs(1);

/// How long one acknowledgment may take in all: the HTTP edge gives a request 10 s.
pub const ACKNOWLEDGMENT_DEADLINE: Duration = Duration::from_secs(9);

/// The most ids of one internal request; a POS may send as many.
const IDS_MAX: usize = 10_000;

/// An acknowledgment is not true everywhere: 503, repeat it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcknowledgmentError {
    /// DynamoDB has not taken it.
    #[error("storing the acknowledgment failed")]
    NotStored(#[source] FallbackError),
    /// A leader did not apply it, and the log that it reads after a fence has not taken it.
    #[error("storing the acknowledgment for a leader that is away failed")]
    NotLogged(#[source] FallbackError),
    /// A leader did not apply it and could not be fenced out.
    #[error("fencing out a leader that did not apply the acknowledgment failed")]
    NotFenced(#[source] FenceError),
    /// It took too long in all.
    #[error("the acknowledgment took more than {deadline_ms} ms")]
    Deadline {
        /// How long it was given.
        deadline_ms: u64,
    },
}

/// Carries out acknowledgments.
pub(super) struct Acknowledger {
    primary: Arc<dyn PrimaryFeed>,
    fallback: Arc<Fallback>,
    board: FenceBoard,
    /// Its own breakers: a leader applies acknowledgments while it refuses polls, so neither says much of the other.
    breakers: Breakers,
    partitions: PartitionCount,
    key: EventIdKey,
    clock: SharedClock,
}

impl Acknowledger {
    pub fn new(
        primary: Arc<dyn PrimaryFeed>,
        fallback: Arc<Fallback>,
        partitions: PartitionCount,
        key: EventIdKey,
        clock: SharedClock,
    ) -> Self {
        let board = FenceBoard::new(fallback.clone(), clock.clone(), partitions);
        let breakers = Breakers::new("acknowledgments", BreakerSettings::ACKNOWLEDGMENTS, partitions);
        Self { primary, fallback, board, breakers, partitions, key, clock }
    }

    /// Acknowledges what a POS sent. Ids that are not ours are dropped and counted: 202, stored nowhere.
    pub async fn acknowledge(&self, application: &ApplicationId, ids: Vec<EventId>) -> Result<(), AcknowledgmentError> {
        let sent = ids.len();
        let mut genuine: Vec<EventId> = ids.into_iter().filter(|id| id.is_genuine(&self.key)).collect();
        let forged = sent - genuine.len();
        if forged > 0 {
            metrics::counter!("comanda_kitchen_api_forged_ids_total").increment(forged as u64);
        }
        genuine.sort_unstable();
        genuine.dedup();
        self.acknowledge_genuine(application, &genuine).await
    }

    /// Acknowledges ids that are known to be ours.
    pub async fn acknowledge_genuine(
        &self,
        application: &ApplicationId,
        ids: &[EventId],
    ) -> Result<(), AcknowledgmentError> {
        let all = async {
            for ids in ids.chunks(IDS_MAX) {
                self.acknowledge_chunk(application, ids).await?;
            }
            Ok(())
        };
        let deadline_ms = u64::try_from(ACKNOWLEDGMENT_DEADLINE.as_millis()).unwrap_or(u64::MAX);
        tokio::time::timeout(ACKNOWLEDGMENT_DEADLINE, all)
            .await
            .unwrap_or(Err(AcknowledgmentError::Deadline { deadline_ms }))
            .inspect_err(|_| count("refused"))
    }

    async fn acknowledge_chunk(&self, application: &ApplicationId, ids: &[EventId]) -> Result<(), AcknowledgmentError> {
        self.fallback.acknowledge(application, ids, false).await.map_err(AcknowledgmentError::NotStored)?;
        let away = self.ask_leaders(application, ids).await;
        if away.is_empty() {
            count("applied");
            return Ok(());
        }
        let left: Vec<EventId> =
            ids.iter().copied().filter(|id| away.binary_search(&self.partition(*id)).is_ok()).collect();
        let logged = self.fallback.acknowledge(application, &left, true).await;
        let fences = logged.map_err(AcknowledgmentError::NotLogged)?;
        self.board.hold(&away, &fences).await.map_err(AcknowledgmentError::NotFenced)?;
        count("fenced");
        Ok(())
    }

    /// Asks the leaders and answers the partitions, sorted, where the ids are not known to be applied.
    async fn ask_leaders(&self, application: &ApplicationId, ids: &[EventId]) -> Vec<PartitionId> {
        let concerned = sorted(ids.iter().map(|id| self.partition(*id)).collect());
        let plan = self.breakers.plan(concerned, self.clock.monotonic());
        if plan.ask.is_empty() {
            return plan.skip;
        }
        let answer = if plan.skip.is_empty() {
            self.apply(application, ids).await
        } else {
            let asked: Vec<EventId> =
                ids.iter().copied().filter(|id| plan.ask.binary_search(&self.partition(*id)).is_ok()).collect();
            self.apply(application, &asked).await
        };
        let refused = answer.unwrap_or_else(|_| plan.ask.clone());
        let now = self.clock.monotonic();
        for partition in &plan.ask {
            self.breakers.observe(*partition, now, !refused.contains(partition));
        }
        // Only partitions we asked count: a peer must not make us fence others.
        let refused = plan.ask.into_iter().filter(|partition| refused.contains(partition));
        sorted(refused.chain(plan.skip).collect())
    }

    async fn apply(&self, application: &ApplicationId, ids: &[EventId]) -> Result<Vec<PartitionId>, PrimaryError> {
        let started = self.clock.monotonic();
        let deadline_ms = u64::try_from(LEADER_DEADLINE.as_millis()).unwrap_or(u64::MAX);
        let answer = tokio::time::timeout(LEADER_DEADLINE, self.primary.acknowledge(application, ids))
            .await
            .unwrap_or(Err(PrimaryError::Deadline { deadline_ms }));
        let outcome = match &answer {
            Ok(refused) if refused.is_empty() => "ok",
            Ok(_) => "refused",
            Err(PrimaryError::Deadline { .. }) => "deadline",
            Err(_) => "error",
        };
        metrics::histogram!("comanda_dependency_seconds",
            "dependency" => "order-events", "operation" => "acknowledge", "outcome" => outcome)
        .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        answer
    }

    fn partition(&self, id: EventId) -> PartitionId {
        id.routing_hash().partition(self.partitions)
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("comanda_kitchen_api_acknowledgments_total", "outcome" => outcome).increment(1);
}
