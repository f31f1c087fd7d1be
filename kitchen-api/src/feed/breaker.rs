//! The circuit breaker of one partition, as a value: `state.apply(settings, at, input) -> (state, effect)`.
//!
//! It only saves the attempt. Whether a poll is answered never depends on it: what it skips, the fallback answers, and
//! where that cannot be reached the primary is asked all the same. Presence knows nothing of it. Time is the monotonic
//! clock's, passed in; locks, logs and metrics are in [`super::breakers`].

use std::time::Duration;

/// How a breaker judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it. Three: one slow poll proves nothing, and each failure costs a poll 300 ms.
    pub failures_to_open: u32,
    /// How long it stays open at first; doubles with every failed probe.
    pub open_for: Duration,
    /// The longest it stays open: how late a recovered primary is noticed.
    pub open_for_max: Duration,
    /// A probe without an outcome for this long is lost (its client went away) and another may be made.
    pub probe_lost_after: Duration,
}

impl BreakerSettings {
    /// For polls: what is skipped costs a fallback read, so probing may be leisurely.
    pub const POLLS: Self = Self {
        failures_to_open: 3,
        open_for: Duration::from_millis(500),
        open_for_max: Duration::from_secs(5),
        probe_lost_after: Duration::from_secs(1),
    };
    /// For acknowledgments: what is skipped raises the fence, which stops the leader for a moment. So a leader that is
    /// back is to be found soon.
    pub const ACKNOWLEDGMENTS: Self = Self {
        failures_to_open: 3,
        open_for: Duration::from_millis(500),
        open_for_max: Duration::from_secs(2),
        probe_lost_after: Duration::from_secs(2),
    };
}

/// Where a breaker stands. Instants are on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts are made.
    Closed {
        /// Failures in a row so far.
        failures: u32,
    },
    /// Attempts are saved.
    Open {
        /// When the episode began.
        since: Duration,
        /// When a probe may be made.
        until: Duration,
        /// How long this opening lasts.
        open_for: Duration,
    },
    /// One attempt is being made, all others are saved.
    HalfOpen {
        /// When the episode began.
        since: Duration,
        /// When the probe was let through.
        probed_at: Duration,
        /// How long the last opening lasted.
        open_for: Duration,
    },
}

/// What a breaker is told or asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerInput {
    /// May an attempt be made?
    Asked,
    /// An attempt was answered in time.
    Answered,
    /// An attempt was refused or not answered in time.
    Failed,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerEffect {
    /// Make the attempt.
    Attempt,
    /// Make the attempt; it is the probe.
    Probe,
    /// Save the attempt.
    Skip,
    /// Nothing to do.
    Nothing,
    /// It opened: a failure episode began.
    Opened,
    /// The probe failed: the episode goes on.
    Reopened,
    /// The probe was answered: the episode is over.
    Closed {
        /// How long the episode lasted.
        lasted: Duration,
    },
}

impl Default for BreakerState {
    fn default() -> Self {
        Self::PRISTINE
    }
}

impl BreakerState {
    /// Closed, without a failure on record.
    pub const PRISTINE: Self = Self::Closed { failures: 0 };

    /// The next state, and what to do. `at` must not run backwards; if it does, nothing worse happens than a probe
    /// made late.
    pub fn apply(self, settings: &BreakerSettings, at: Duration, input: BreakerInput) -> (Self, BreakerEffect) {
        match (self, input) {
            (Self::Closed { .. }, BreakerInput::Asked) => (self, BreakerEffect::Attempt),
            (Self::Closed { .. }, BreakerInput::Answered) => (Self::PRISTINE, BreakerEffect::Nothing),
            (Self::Closed { failures }, BreakerInput::Failed) => Self::failed(settings, at, failures.saturating_add(1)),
            (Self::Open { since, until, open_for }, BreakerInput::Asked) if at >= until => {
                (Self::HalfOpen { since, probed_at: at, open_for }, BreakerEffect::Probe)
            }
            (Self::Open { .. }, BreakerInput::Asked) => (self, BreakerEffect::Skip),
            // Outcomes of attempts made before it opened: the probe tells what is true now.
            (Self::Open { .. }, BreakerInput::Answered | BreakerInput::Failed) => (self, BreakerEffect::Nothing),
            (Self::HalfOpen { since, probed_at, open_for }, BreakerInput::Asked) => {
                if at >= probed_at.saturating_add(settings.probe_lost_after) {
                    (Self::HalfOpen { since, probed_at: at, open_for }, BreakerEffect::Probe)
                } else {
                    (self, BreakerEffect::Skip)
                }
            }
            (Self::HalfOpen { since, .. }, BreakerInput::Answered) => {
                (Self::PRISTINE, BreakerEffect::Closed { lasted: at.saturating_sub(since) })
            }
            (Self::HalfOpen { since, open_for, .. }, BreakerInput::Failed) => {
                let open_for = open_for.saturating_mul(2).min(settings.open_for_max);
                (Self::Open { since, until: at.saturating_add(open_for), open_for }, BreakerEffect::Reopened)
            }
        }
    }

    fn failed(settings: &BreakerSettings, at: Duration, failures: u32) -> (Self, BreakerEffect) {
        if failures < settings.failures_to_open {
            return (Self::Closed { failures }, BreakerEffect::Nothing);
        }
        let open_for = settings.open_for;
        (Self::Open { since: at, until: at.saturating_add(open_for), open_for }, BreakerEffect::Opened)
    }
}
