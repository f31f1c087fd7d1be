//! What to do with a message after an attempt: a pure value, decided from the attempt and the message's own history.
//!
//! Called by the worker and by the probe. Time enters as the agent's *answering time*: monotonic time in which the core
//! was answering. An outage therefore uses up nobody's ten minutes: an update whose order waits in the queue through an
//! outage of half an hour is still early afterwards. Queues, clocks and logs are deliberately absent.

use std::time::Duration;

use tonic::Code;

use crate::format::Invalid;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The message cannot be read.
    Invalid(Invalid),
    /// The core committed it now.
    Committed,
    /// The core had committed it before.
    Repeated,
    /// The core will not commit it as things stand.
    Rejected {
        /// A stable code.
        reason: String,
        /// Why, without a value of the message.
        detail: String,
        /// A later state may make it valid.
        early: bool,
    },
    /// The core did not judge it.
    Failed(Failure),
}

impl Verdict {
    /// Whether the core is there and working: it judged the message, or refused its form.
    pub const fn shows_core_working(&self) -> bool {
        match self {
            Self::Committed | Self::Repeated | Self::Rejected { .. } | Self::Failed(Failure::OfMessage(_)) => true,
            Self::Invalid(_) | Self::Failed(Failure::Doubtful(_) | Failure::OfDependency(_)) => false,
        }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Certainly this message's: e.g. `INVALID_ARGUMENT`.
    OfMessage(Code),
    /// This message's only if the core answers others meanwhile: e.g. `INTERNAL`.
    Doubtful(Code),
    /// The core's or the network's: e.g. `UNAVAILABLE`. Never counts.
    OfDependency(Code),
}

/// What happens to a message next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is committed: delete it.
    Delete,
    /// It is hopeless: move it to the dead-letter queue.
    DeadLetter {
        /// A stable code.
        reason: String,
        /// At most 1 KiB, never a value of the message.
        detail: String,
    },
    /// Give it back to the queue for this long.
    RetryAfter(Duration),
    /// The core does not answer: stop receiving until it does.
    PauseIntake,
}

/// The limits of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a message may be early, in answering time since its first rejection.
    pub early_for: Duration,
    /// How many failures of its own a message has.
    pub failures_max: u32,
}

/// The first delay between attempts.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
/// The longest delay between attempts: with it a message waits about 25 receives through ten minutes, far below the
/// queue's own `maxReceiveCount` of 1000.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// A message first seen with more receives than this has been retried by processes that forgot it (restarts, eviction)
/// for longer than any of them would have: its patience is taken as used up.
const FORGOTTEN_RECEIVES_MAX: u32 = 200;

/// One attempt at a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The queue's count of receives.
    pub receive_count: u32,
    /// When it ended, in answering time.
    pub at: Duration,
    /// How many answers the core had given to anybody when the attempt began.
    pub answers_before: u64,
    /// The same when it ended.
    pub answers_now: u64,
}

/// What an agent remembers of one message between its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    patience_used_up: bool,
    first_early_at: Option<Duration>,
    retries: u32,
    failures: u32,
    answers_at_last_failure: Option<u64>,
}

impl History {
    /// A message seen for the first time by this process.
    pub const fn new(receive_count: u32) -> Self {
        Self {
            patience_used_up: receive_count > FORGOTTEN_RECEIVES_MAX,
            first_early_at: None,
            retries: 0,
            failures: 0,
            answers_at_last_failure: None,
        }
    }

    /// Decides what follows from `verdict` and remembers it.
    pub fn judge(&mut self, attempt: &Attempt, verdict: Verdict, rules: &Rules) -> Decision {
        match verdict {
            Verdict::Invalid(invalid) => {
                Decision::DeadLetter { reason: invalid.reason.code().to_owned(), detail: invalid.detail }
            }
            Verdict::Committed | Verdict::Repeated => Decision::Delete,
            Verdict::Rejected { reason, detail, early: false } => Decision::DeadLetter { reason, detail },
            Verdict::Rejected { reason, detail, early: true } => self.early(attempt, rules, reason, detail),
            Verdict::Failed(Failure::OfMessage(code)) => self.failed(rules, code),
            Verdict::Failed(Failure::Doubtful(code)) => {
                let since = self.answers_at_last_failure.unwrap_or(attempt.answers_before);
                self.answers_at_last_failure = Some(attempt.answers_now);
                if attempt.answers_now > since { self.failed(rules, code) } else { self.retry() }
            }
            Verdict::Failed(Failure::OfDependency(_)) if attempt.answers_now > attempt.answers_before => {
                // Others were answered meanwhile: waiting for this one would delay them.
                self.retry()
            }
            Verdict::Failed(Failure::OfDependency(_)) => Decision::PauseIntake,
        }
    }

    /// The dead-letter queue did not take the message: it is kept, and tried again after this long.
    pub fn not_moved(&mut self) -> Duration {
        self.backoff()
    }

    fn early(&mut self, attempt: &Attempt, rules: &Rules, reason: String, detail: String) -> Decision {
        let since = *self.first_early_at.get_or_insert(attempt.at);
        let left = rules.early_for.saturating_sub(attempt.at.saturating_sub(since));
        if left.is_zero() || self.patience_used_up {
            return Decision::DeadLetter { reason, detail };
        }
        Decision::RetryAfter(self.backoff().min(left).max(RETRY_DELAY_MIN))
    }

    fn failed(&mut self, rules: &Rules, code: Code) -> Decision {
        self.failures += 1;
        if self.failures < rules.failures_max && !self.patience_used_up {
            return self.retry();
        }
        let detail = format!("gateway-core could not take the message, {} times; last {code:?}", self.failures);
        Decision::DeadLetter { reason: "RETRIES_EXHAUSTED".to_owned(), detail }
    }

    fn retry(&mut self) -> Decision {
        Decision::RetryAfter(self.backoff())
    }

    fn backoff(&mut self) -> Duration {
        let delay = exponential(self.retries, RETRY_DELAY_MIN, RETRY_DELAY_MAX);
        self.retries = self.retries.saturating_add(1);
        delay
    }
}

/// `min` doubled `step` times, at most `max`.
pub(crate) fn exponential(step: u32, min: Duration, max: Duration) -> Duration {
    min.saturating_mul(2u32.saturating_pow(step)).min(max)
}

#[cfg(test)]
mod tests;
