//! One event on its way to one application: its states, and what moves it from one to the next.
//!
//! Pure: `begin` and `finish` take time, the outcome and randomness, and change the value; [`super::store`] writes it where its version
//! is still the one that was read, so that of two workers one wins. The instant at which a delivery is due is its lease at the
//! same time: who takes it moves that instant into the future, and if it never comes back, it is due again.

use std::time::Duration;

use bytes::Bytes;
use event_feed::FeedEvent;
use order_model::{ApplicationId, EventCode, EventId, MerchantId, OrderId, Timestamp};

use super::dialect::Dialect;
use super::schedule::{Outcome, Schedule, Verdict};

/// How long who takes a delivery has for it: an attempt takes 5 s at most, writing what became of it a few more.
pub const LEASE: Duration = Duration::from_secs(30);
/// Attempts that the log of a delivery holds, the latest: more than any schedule makes.
pub const ATTEMPTS_LOGGED_MAX: usize = 20;
/// When an acknowledgment that failed is tried again.
const ACKNOWLEDGE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// When what could not be made ready is tried again.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be sent at this instant.
    Waiting {
        /// When.
        due_at: Timestamp,
    },
    /// The receiver has it; the event is still to be acknowledged for polls, at this instant.
    Acknowledging {
        /// When.
        due_at: Timestamp,
    },
    /// Done.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// Given up on, until somebody asks for it.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        reason: DeathReason,
    },
}

/// Why a delivery was given up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathReason {
    /// The receiver refuses it.
    Rejected,
    /// Every attempt failed.
    RetriesExhausted,
    /// The event expired before it could be sent.
    Expired,
    /// The application no longer has the merchant.
    Revoked,
    /// The webhook has changed to a dialect that has no word for it.
    NotInDialect,
}

impl DeathReason {
    const ALL: [Self; 5] = [Self::Rejected, Self::RetriesExhausted, Self::Expired, Self::Revoked, Self::NotInDialect];

    /// A stable code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::RetriesExhausted => "RETRIES_EXHAUSTED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::NotInDialect => "NOT_IN_DIALECT",
        }
    }

    /// Reads the code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == text)
    }
}

/// One attempt, as the log shows it. What the receiver said beyond its status is deliberately absent: it may hold personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in ms.
    pub latency_ms: u64,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// [`Outcome::code`].
    pub result: String,
}

/// One event on its way to one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To whom.
    pub application: ApplicationId,
    /// The event; the same at every attempt, and what a receiver recognises a repetition by.
    pub event: EventId,
    /// The event's merchant.
    pub merchant: MerchantId,
    /// The event's order.
    pub order: OrderId,
    /// What happened.
    pub code: EventCode,
    /// The event as polls show it.
    pub body: Bytes,
    /// When the event expires: nobody is served it any more then.
    pub expires_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Attempts of this run that failed; asking for a dead letter begins a new run.
    pub failures: u32,
    /// When the first attempt of this run began.
    pub began_at: Option<Timestamp>,
    /// Somebody asked for it, so that its event's expiry is no matter.
    pub is_asked_for: bool,
    /// The latest attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Grows with every write.
    pub version: u64,
}

/// What is to be done with a delivery that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Send it.
    Send,
    /// Acknowledge its event.
    Acknowledge,
    /// Nothing: it is not due, most often because another worker has it.
    Nothing,
    /// Nothing but to write it: it is dead now.
    Bury,
}

impl Delivery {
    /// A delivery of `event`, due at once; with `is_taken`, leased to who records it.
    pub fn recorded(event: &FeedEvent, application: &ApplicationId, now: Timestamp, is_taken: bool) -> Self {
        Self {
            application: application.clone(),
            event: event.id,
            merchant: event.merchant,
            order: event.order,
            code: event.code,
            body: event.body.clone(),
            expires_at: event.expires_at,
            recorded_at: now,
            state: State::Waiting { due_at: if is_taken { now.plus(LEASE) } else { now } },
            failures: 0,
            began_at: is_taken.then_some(now),
            is_asked_for: false,
            attempts: Vec::new(),
            version: 1,
        }
    }

    /// Takes it for work. `obstacle` says why it must not be sent any more.
    pub fn begin(&mut self, now: Timestamp, obstacle: Option<DeathReason>) -> Task {
        let (due_at, task) = match self.state {
            State::Waiting { due_at } => (due_at, Task::Send),
            State::Acknowledging { due_at } => (due_at, Task::Acknowledge),
            State::Delivered { .. } | State::Dead { .. } => return Task::Nothing,
        };
        if now < due_at {
            return Task::Nothing;
        }
        self.version += 1;
        if let Some(reason) = obstacle.filter(|_| task == Task::Send) {
            return self.bury(now, reason);
        }
        // An acknowledgment of an expired event is one of nothing: it is given up on as delivered.
        if now >= self.expires_at && task == Task::Acknowledge {
            self.state = State::Delivered { at: now };
            return Task::Bury;
        }
        if now >= self.expires_at && !self.is_asked_for {
            return self.bury(now, DeathReason::Expired);
        }
        match task {
            Task::Send => {
                self.state = State::Waiting { due_at: now.plus(LEASE) };
                self.began_at.get_or_insert(now);
            }
            Task::Acknowledge | Task::Nothing | Task::Bury => {
                self.state = State::Acknowledging { due_at: now.plus(LEASE) };
            }
        }
        task
    }

    fn bury(&mut self, now: Timestamp, reason: DeathReason) -> Task {
        self.state = State::Dead { at: now, reason };
        Task::Bury
    }

    /// What has become of an attempt that began at `at`. `is_acknowledged` says whether the event was acknowledged since, where the
    /// webhook asks for that; `resumed_at`, when the webhook was last resumed: a pause does not count against the retries.
    pub fn finish(&mut self, attempt: &Finished, webhook: &Policy, now: Timestamp, random: u64) {
        self.version += 1;
        self.log(attempt);
        match attempt.outcome.verdict() {
            Verdict::Delivered if attempt.is_acknowledged => self.state = State::Delivered { at: now },
            Verdict::Delivered => self.owe_acknowledgment(now),
            Verdict::Dead | Verdict::DeadAndGone => {
                self.state = State::Dead { at: now, reason: DeathReason::Rejected };
            }
            Verdict::Retry => {
                self.failures = self.failures.saturating_add(1);
                let began_at = self.began_at.unwrap_or(attempt.at);
                let began_at = webhook.resumed_at.map_or(began_at, |resumed_at| resumed_at.max(began_at));
                let next = Schedule::of(webhook.dialect).next(self.failures, began_at, now, random);
                self.state = match next {
                    Some(due_at) => State::Waiting { due_at },
                    None => State::Dead { at: now, reason: DeathReason::RetriesExhausted },
                };
            }
        }
    }

    /// It was taken and could not be made ready: it is due again soon, and the receiver has no part in it.
    pub fn postpone(&mut self, now: Timestamp) {
        self.version += 1;
        self.state = State::Waiting { due_at: now.plus(PREPARE_AGAIN_AFTER) };
    }

    /// What has become of an acknowledgment alone.
    pub fn acknowledged(&mut self, is_acknowledged: bool, now: Timestamp) {
        self.version += 1;
        if is_acknowledged {
            self.state = State::Delivered { at: now };
        } else {
            self.owe_acknowledgment(now);
        }
    }

    fn owe_acknowledgment(&mut self, now: Timestamp) {
        self.state = State::Acknowledging { due_at: now.plus(ACKNOWLEDGE_AGAIN_AFTER) };
    }

    /// Sends it once more, from the start, when it is a dead letter; whether it is one.
    pub fn redeliver(&mut self, now: Timestamp) -> bool {
        if !matches!(self.state, State::Dead { .. }) {
            return false;
        }
        self.version += 1;
        self.state = State::Waiting { due_at: now };
        self.failures = 0;
        self.began_at = None;
        self.is_asked_for = true;
        true
    }

    fn log(&mut self, attempt: &Finished) {
        let status = match attempt.outcome {
            Outcome::Answered(status) => Some(status),
            Outcome::TimedOut | Outcome::Unreachable | Outcome::Refused => None,
        };
        let latency_ms = u64::try_from(attempt.latency.as_millis()).unwrap_or(u64::MAX);
        let result = attempt.outcome.code().to_owned();
        self.attempts.push(Attempt { at: attempt.at, latency_ms, status, result });
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_LOGGED_MAX);
        self.attempts.drain(..surplus);
    }
}

/// An attempt that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Nothing is left to acknowledge.
    pub is_acknowledged: bool,
}

/// What of a webhook decides about a failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Whose schedule counts.
    pub dialect: Dialect,
    /// When the webhook was last resumed.
    pub resumed_at: Option<Timestamp>,
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
pub(super) mod tests;
