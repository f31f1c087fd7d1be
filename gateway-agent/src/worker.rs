//! One attempt at one message: read it, submit it, do what follows.
//!
//! Called for every message received and by the probe. What follows is decided in [`crate::decision`]; this shell
//! only measures, calls and logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_feed::TraceId;
use futures::FutureExt;
use futures::future::BoxFuture;
use message_bus::{MESSAGE_BYTES_MAX, OutgoingMessage, ReceivedMessage};
use order_model::Timestamp;
use parking_lot::Mutex;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::gateway_core::{SubmitReply, SubmitRequest};
use proto::transport::Transport;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Response, Status};

use crate::config::{Config, Dependencies};
use crate::decision::{Attempt, Decision, Failure, Verdict};
use crate::format::{self, Content, Format, Submission};
use crate::gate::Gate;
use crate::held::{Held, HeldList, TRACEPARENT};
use crate::history::Histories;
use crate::request;
use crate::settlement::Fate;
use crate::telemetry::{self, Episode};

/// How long the dead-letter queue may take for one message.
const DEAD_LETTER_DEADLINE: Duration = Duration::from_secs(10);

/// What all parts of the service share.
pub(crate) struct Worker {
    pub(crate) config: Config,
    pub(crate) dependencies: Dependencies,
    pub(crate) gate: Gate,
    pub(crate) held: Arc<HeldList>,
    /// Places for messages in flight.
    pub(crate) places: Arc<Semaphore>,
    /// Messages being attempted.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when draining has taken too long: what is being attempted is given back.
    pub(crate) abandon: CancellationToken,
    pub(crate) receiving: Episode,
    histories: Mutex<Histories>,
    settlement: mpsc::Sender<(Held, Fate)>,
    probes: mpsc::Sender<Held>,
    moving: Episode,
}

/// What follows an attempt.
pub(crate) enum Next {
    /// The message leaves our hands.
    Settle(Fate),
    /// The core does not answer: the message may serve as a probe.
    Probe(Code),
}

/// An attempt that ended.
pub(crate) struct Attempted {
    pub(crate) next: Next,
    /// The core judged the message.
    pub(crate) core_works: bool,
}

/// What an attempt found out before it was decided.
struct Finding {
    verdict: Verdict,
    format: Option<Format>,
    trace: TraceId,
    submission: Option<Submission>,
    answers_before: u64,
}

impl Worker {
    pub(crate) fn new(
        config: Config,
        dependencies: Dependencies,
        settlement: mpsc::Sender<(Held, Fate)>,
        probes: mpsc::Sender<Held>,
    ) -> Self {
        Self {
            gate: Gate::new(Arc::clone(&dependencies.clock)),
            held: Arc::default(),
            places: Arc::new(Semaphore::new(config.in_flight_max)),
            tasks: TaskTracker::new(),
            abandon: CancellationToken::new(),
            receiving: Episode::new("receiving from the orders queue"),
            histories: Mutex::new(Histories::new(config.histories_max)),
            settlement,
            probes,
            moving: Episode::new("moving messages to the dead-letter queue"),
            config,
            dependencies,
        }
    }

    /// Attempts a message on a task of its own, so that none waits for another.
    pub(crate) fn start(self: &Arc<Self>, held: Held) {
        let worker = Arc::clone(self);
        self.tasks.spawn(async move {
            let next = tokio::select! {
                biased;
                () = worker.abandon.cancelled() => Next::Settle(Fate::GiveBack(Duration::ZERO)),
                attempted = worker.attempt(&held) => attempted.next,
            };
            match next {
                Next::Settle(fate) => worker.settle(held, fate).await,
                Next::Probe(code) => worker.pause(held, code).await,
            }
        });
    }

    /// Hands a message over to be deleted or given back.
    pub(crate) async fn settle(&self, held: Held, fate: Fate) {
        // Fails only when the service has ended; then the message comes back by itself.
        let _ = self.settlement.send((held, fate)).await;
    }

    /// Attempts a message once.
    pub(crate) async fn attempt(&self, held: &Held) -> Attempted {
        let finding = self.find_out(held).await;
        let core_works = finding.verdict.shows_core_working();
        let answers_now = self.gate.answers();
        if core_works {
            self.gate.count_answer();
        }
        let attempt = Attempt {
            receive_count: held.message.receive_count,
            at: self.gate.answering_time(),
            answers_before: finding.answers_before,
            answers_now,
        };
        Attempted { next: self.conclude(held, &attempt, finding).await, core_works }
    }

    async fn find_out(&self, held: &Held) -> Finding {
        let answers_before = self.gate.answers();
        match format::parse(&held.message.body) {
            Err(invalid) => Finding {
                format: invalid.format,
                trace: held.trace(),
                verdict: Verdict::Invalid(invalid),
                submission: None,
                answers_before,
            },
            Ok(submission) => {
                let trace = trace_of(held, &submission);
                let verdict = self.submit(&held.message, &submission, trace).await;
                Finding {
                    verdict,
                    format: Some(submission.format),
                    trace,
                    submission: Some(submission),
                    answers_before,
                }
            }
        }
    }

    async fn submit(&self, message: &ReceivedMessage, submission: &Submission, trace: TraceId) -> Verdict {
        let clock = &self.dependencies.clock;
        let sent_at = message.sent_at_unix_ms.map_or_else(|| clock.now(), Timestamp::from_unix_ms);
        let request = request::of(submission, sent_at, trace);
        let (core, started_at) = (self.dependencies.core.clone(), clock.monotonic());
        let verdict = match tokio::time::timeout(self.config.submit_deadline, call(core, request)).await {
            Ok(Ok(reply)) => request::verdict_of(reply),
            Ok(Err(status)) => Verdict::Failed(request::failure_of(&status)),
            Err(_) => Verdict::Failed(Failure::OfDependency(Code::DeadlineExceeded)),
        };
        let outcome = if matches!(verdict, Verdict::Failed(_)) { "error" } else { "ok" };
        telemetry::core_call(outcome, clock.monotonic().saturating_sub(started_at));
        verdict
    }

    async fn conclude(&self, held: &Held, attempt: &Attempt, finding: Finding) -> Next {
        let Finding { verdict, format, trace, submission, .. } = finding;
        let message_id = &held.message.message_id;
        let code = match verdict {
            Verdict::Failed(Failure::OfDependency(code)) => code,
            _ => Code::Unknown,
        };
        let outcome = outcome_label(&verdict);
        let mut history = self.histories.lock().of(message_id, attempt.receive_count);
        let decision = history.judge(attempt, verdict, &self.config.rules());
        telemetry::message(format, outcome);
        match decision {
            Decision::Delete => {
                self.histories.lock().forget(message_id);
                if let Some(submission) = submission {
                    self.report_accepted(held, &submission, trace, outcome);
                }
                Next::Settle(Fate::Delete)
            }
            Decision::DeadLetter { reason, detail } => {
                if self.move_to_dead_letters(&held.message, &reason, &detail).await {
                    self.histories.lock().forget(message_id);
                    telemetry::dead_letter(message_id, trace, format, &reason, &detail);
                    return Next::Settle(Fate::Delete);
                }
                telemetry::dead_letter_kept();
                let delay = history.not_moved();
                self.histories.lock().remember(message_id, history);
                Next::Settle(Fate::GiveBack(delay))
            }
            Decision::RetryAfter(delay) => {
                telemetry::retry(outcome);
                self.histories.lock().remember(message_id, history);
                Next::Settle(Fate::GiveBack(delay))
            }
            Decision::PauseIntake => Next::Probe(code),
        }
    }

    fn report_accepted(&self, held: &Held, submission: &Submission, trace: TraceId, outcome: &'static str) {
        let clock = &self.dependencies.clock;
        let sent_at = held.message.sent_at_unix_ms.map(Timestamp::from_unix_ms);
        let mismatches = match &submission.content {
            Content::Place(placement) if outcome == "committed" => placement.mismatches.as_slice(),
            Content::Place(_) | Content::Update(_) => &[],
        };
        telemetry::committed(
            submission.format,
            mismatches,
            clock.monotonic().saturating_sub(held.received_at),
            sent_at.map(|sent_at| clock.now().since(sent_at)),
        );
        let order_id = submission.content.order();
        let message_id = &held.message.message_id;
        tracing::info!(trace_id = %trace, message_id, %order_id, format = submission.format.label(), outcome, "message accepted");
    }

    /// Whether the dead-letter queue has the message now.
    async fn move_to_dead_letters(&self, message: &ReceivedMessage, reason: &str, detail: &str) -> bool {
        let sending = self.dependencies.dead_letters.send(vec![dead_letter(message, reason, detail)]);
        let sent = tokio::time::timeout(DEAD_LETTER_DEADLINE, sending).await;
        match sent.map(|results| results.into_iter().next()) {
            Ok(Some(Ok(()))) => {
                self.moving.succeeded();
                true
            }
            Ok(Some(Err(error))) => {
                self.moving.failed(&error);
                false
            }
            Ok(None) | Err(_) => {
                self.moving.failed(&std::io::Error::from(std::io::ErrorKind::TimedOut));
                false
            }
        }
    }

    async fn pause(&self, held: Held, code: Code) {
        if self.gate.close() {
            telemetry::intake(true);
            tracing::warn!(?code, "gateway-core does not answer: receiving is stopped until it does");
        }
        if let Err(mpsc::error::TrySendError::Full(held) | mpsc::error::TrySendError::Closed(held)) =
            self.probes.try_send(held)
        {
            self.settle(held, Fate::GiveBack(Duration::ZERO)).await;
        }
    }
}

/// Boxed, because the compiler cannot see that the future of a generated client over a boxed transport is `Send`.
fn call(
    mut core: GatewayCoreClient<Transport>,
    request: SubmitRequest,
) -> BoxFuture<'static, Result<SubmitReply, Status>> {
    async move { core.submit(request).await.map(Response::into_inner) }.boxed()
}

/// The trace of a message: its attribute's, else the one inside a CloudEvents message, else one that only this message
/// has, the same at every attempt.
fn trace_of(held: &Held, submission: &Submission) -> TraceId {
    let sent = [held.trace(), submission.trace].into_iter().find(|trace| trace.is_set());
    sent.unwrap_or_else(|| {
        let mut hash = Sha256::new();
        hash.update(submission.source.as_bytes());
        hash.update([0]);
        hash.update(submission.message_id.as_bytes());
        TraceId(std::array::from_fn({
            let digest = hash.finalize();
            move |index| digest[index]
        }))
    })
}

fn outcome_label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Invalid(_) => "invalid",
        Verdict::Committed => "committed",
        Verdict::Repeated => "repeated",
        Verdict::Rejected { early: true, .. } => "early",
        Verdict::Rejected { early: false, .. } => "rejected",
        Verdict::Failed(Failure::OfDependency(_)) => "dependency_failed",
        Verdict::Failed(Failure::OfMessage(_) | Failure::Doubtful(_)) => "failed",
    }
}

/// The dead letter: the body unchanged, `reason`, the trace, and `detail` where the broker's limit leaves room for it.
fn dead_letter(message: &ReceivedMessage, reason: &str, detail: &str) -> OutgoingMessage {
    let mut attributes = BTreeMap::from([("reason".to_owned(), reason.to_owned())]);
    if let Some(traceparent) =
        message.attributes.get(TRACEPARENT).filter(|text| TraceId::from_traceparent(text).is_set())
    {
        attributes.insert(TRACEPARENT.to_owned(), traceparent.clone());
    }
    // Not every character may stand in an attribute.
    let detail: String = detail
        .chars()
        .map(|char| if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') { ' ' } else { char })
        .collect();
    // Brokers count names, types and values of attributes.
    let attributes_bytes: usize =
        attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
    let with_detail = message.body.len() + attributes_bytes + "detail".len() + "String".len() + detail.len();
    if !detail.is_empty() && with_detail <= MESSAGE_BYTES_MAX {
        attributes.insert("detail".to_owned(), detail);
    }
    OutgoingMessage { body: message.body.clone(), attributes }
}
