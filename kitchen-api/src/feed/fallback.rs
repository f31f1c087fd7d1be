//! connection-polling as the router calls it: deadlines, a bound on concurrent polls, and whether it answers lately.
//!
//! Shared by polls, acknowledgments, the fence and shadow reads. Retries are deliberately absent: a POS polls again,
//! and repeats an acknowledgment that was answered 503.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use event_feed::AuthorisedMerchants;
use order_model::{ApplicationId, EventId, PartitionId, SharedClock};
use proto::connection_polling as wire_polling;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::transport::Transport;
use tokio::sync::Semaphore;
use tonic::{Response, Status};

use super::fence::Sighting;
use super::primary::{PollOutcome, PollQuery};
use super::replay::{self, ReplayPlace, ReplayedPage};
use super::wire;

/// Concurrent polls that are passed on; further ones wait within their deadline. 4,200 polls/s at 50 ms each are 210
/// at a time; beyond twice that, connection-polling is better served by a queue here.
const POLLS_MAX: usize = 512;

/// The largest answer read: a page's bodies are at most 4 MiB.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Failures in a row after which the fallback counts as down.
const FAILURES_TO_BE_DOWN: u32 = 3;

/// How long a store call may take: DynamoDB's own timeout in connection-polling is 2 to 5 s.
const STORE_DEADLINE: Duration = Duration::from_secs(3);

/// How long a page of a replay may take: connection-polling gives up after 4 s.
const REPLAY_DEADLINE: Duration = Duration::from_secs(5);

/// A call of connection-polling failed. Every kind may pass.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FallbackError {
    /// No answer in time.
    #[error("{operation}: connection-polling did not answer in {deadline_ms} ms")]
    Deadline {
        /// The call.
        operation: &'static str,
        /// How long it was given.
        deadline_ms: u64,
    },
    /// It answered an error.
    #[error("{operation}: calling connection-polling failed")]
    Rpc {
        /// The call.
        operation: &'static str,
        /// What it answered.
        #[source]
        source: Status,
    },
    /// It answered what cannot be read.
    #[error("{operation}: connection-polling answered what cannot be read")]
    Malformed {
        /// The call.
        operation: &'static str,
        /// What was wrong with it.
        #[source]
        source: Status,
    },
    /// It answered, but not for every partition.
    #[error("connection-polling refused {partitions} partitions")]
    Refused {
        /// How many.
        partitions: usize,
    },
}

/// The fallback feed.
pub(super) struct Fallback {
    client: ConnectionPollingClient<Transport>,
    polls: Semaphore,
    clock: SharedClock,
    failures: AtomicU32,
}

impl Fallback {
    pub fn new(transport: Transport, clock: SharedClock) -> Arc<Self> {
        let client = ConnectionPollingClient::new(transport).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Arc::new(Self { client, polls: Semaphore::new(POLLS_MAX), clock, failures: AtomicU32::new(0) })
    }

    /// Whether it has failed so often lately that nobody should wait long for it. Any success ends that.
    pub fn is_down(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_TO_BE_DOWN
    }

    /// Answers a poll within `deadline`, waiting for a free place included.
    pub async fn poll(&self, query: PollQuery<'_>, deadline: Duration) -> Result<PollOutcome, FallbackError> {
        let operation = if query.shadow { "shadow_poll" } else { "poll" };
        let request = wire::poll_request(&query);
        let mut client = self.client.clone();
        let call = async {
            let _place = self.polls.acquire().await.map_err(|_| Status::unavailable("closed"))?;
            client.poll(request).await
        };
        let reply = self.call(operation, deadline, call).await?;
        wire::outcome(&reply).map_err(|source| FallbackError::Malformed { operation, source })
    }

    /// A page of one merchant's events again.
    pub async fn replay(
        &self,
        authorised: &AuthorisedMerchants,
        after: Option<ReplayPlace>,
        limit: usize,
    ) -> Result<ReplayedPage, FallbackError> {
        let request = replay::request(authorised, after, limit);
        let mut client = self.client.clone();
        let reply = self.call("replay", REPLAY_DEADLINE, client.replay(request)).await?;
        replay::page(reply, authorised).map_err(|source| FallbackError::Malformed { operation: "replay", source })
    }

    /// Makes acknowledgments true in DynamoDB. Answers the fences of their partitions when `without_leader`.
    pub async fn acknowledge(
        &self,
        application: &ApplicationId,
        ids: &[EventId],
        without_leader: bool,
    ) -> Result<Vec<Sighting>, FallbackError> {
        let request = wire_polling::AcknowledgeRequest {
            acknowledge: Some(wire::acknowledge_request(application, ids)),
            without_leader,
        };
        let operation = if without_leader { "acknowledge_without_leader" } else { "acknowledge" };
        let started_at = self.clock.monotonic();
        let mut client = self.client.clone();
        let reply = self.call(operation, STORE_DEADLINE, client.acknowledge(request)).await?;
        self.sightings(operation, started_at, &reply.fences)
    }

    /// The fences of every partition, strongly consistent.
    pub async fn read_fences(&self) -> Result<Vec<Sighting>, FallbackError> {
        let started_at = self.clock.monotonic();
        let mut client = self.client.clone();
        let call = client.read_fences(wire_polling::ReadFencesRequest {});
        let reply = self.call("read_fences", STORE_DEADLINE, call).await?;
        self.sightings("read_fences", started_at, &reply.fences)
    }

    /// Raises the fences of `partitions`; one already raised is left as it is.
    pub async fn raise_fences(&self, partitions: &[PartitionId]) -> Result<Vec<Sighting>, FallbackError> {
        let started_at = self.clock.monotonic();
        let request = wire_polling::RaiseFencesRequest {
            partitions: partitions.iter().map(|partition| u32::from(partition.0)).collect(),
        };
        let mut client = self.client.clone();
        let reply = self.call("raise_fences", STORE_DEADLINE, client.raise_fences(request)).await?;
        self.sightings("raise_fences", started_at, &reply.fences)
    }

    fn sightings(
        &self,
        operation: &'static str,
        started_at: Duration,
        fences: &[wire_polling::Fence],
    ) -> Result<Vec<Sighting>, FallbackError> {
        let received_at = self.clock.monotonic();
        let sighting = |fence: &wire_polling::Fence| {
            Ok(Sighting {
                partition: wire::partition(fence.partition)?,
                epoch: fence.epoch,
                raised: fence.raised,
                raised_for: Duration::from_millis(u64::try_from(fence.raised_for_ms).unwrap_or(0)),
                started_at,
                received_at,
            })
        };
        let sightings: Result<Vec<Sighting>, Status> = fences.iter().map(sighting).collect();
        sightings.map_err(|source| FallbackError::Malformed { operation, source })
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, FallbackError> {
        let started = self.clock.monotonic();
        let result = match tokio::time::timeout(deadline, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(source)) => Err(FallbackError::Rpc { operation, source }),
            Err(_) => Err(FallbackError::Deadline {
                operation,
                deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            }),
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(FallbackError::Deadline { .. }) => "deadline",
            Err(_) => "error",
        };
        metrics::histogram!("comanda_dependency_seconds",
            "dependency" => "connection-polling", "operation" => operation, "outcome" => outcome)
        .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        self.remember(result.as_ref().err());
        result
    }

    /// Logs the ends of an episode of failures once each.
    fn remember(&self, error: Option<&FallbackError>) {
        match error {
            None => {
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TO_BE_DOWN {
                    tracing::info!("connection-polling answers again");
                    metrics::gauge!("comanda_kitchen_api_fallback_down").set(0.0);
                }
            }
            Some(error) => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == FAILURES_TO_BE_DOWN {
                    tracing::warn!(error = %error_chain(error), "connection-polling does not answer");
                    metrics::gauge!("comanda_kitchen_api_fallback_down").set(1.0);
                }
            }
        }
    }
}

/// An error with its sources. A `Status` is reduced to its code: a message is the peer's text and may hold anything.
fn error_chain(error: &FallbackError) -> String {
    match error {
        FallbackError::Rpc { source, .. } | FallbackError::Malformed { source, .. } => {
            format!("{error}: {:?}", source.code())
        }
        FallbackError::Deadline { .. } | FallbackError::Refused { .. } => error.to_string(),
    }
}
