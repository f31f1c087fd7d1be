//! Metrics and log lines of the agent, in one place so that what they may not hold is easy to see.
//!
//! The queues' calls are measured by message-bus. Labels are from small fixed sets; nothing of a message's body, attributes or producer-chosen ids enters either.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_feed::TraceId;

use crate::format::{Format, SumMismatch};

/// The reasons that a metric tells apart; any other is `OTHER`.
const REASONS: [&str; 10] = [
    "MALFORMED",
    "TOO_LARGE",
    "UNKNOWN_TYPE",
    "UNKNOWN_MERCHANT",
    "UNKNOWN_ORDER",
    "ILLEGAL_TRANSITION",
    "ID_REUSED",
    "ORDER_EXISTS",
    "RETRIES_EXHAUSTED",
    "REJECTED",
];

fn reason_label(reason: &str) -> &'static str {
    REASONS.into_iter().find(|known| *known == reason).unwrap_or("OTHER")
}

fn format_label(format: Option<Format>) -> &'static str {
    format.map_or("unknown", Format::label)
}

/// An attempt at a message ended.
pub(crate) fn message(format: Option<Format>, outcome: &'static str) {
    metrics::counter!("comanda_gateway_agent_messages_total", "format" => format_label(format), "outcome" => outcome)
        .increment(1);
}

/// A message is committed: `held_for` since it was received, `waited_for` since it was sent, where the broker tells.
pub(crate) fn committed(format: Format, mismatches: &[SumMismatch], held_for: Duration, waited_for: Option<Duration>) {
    metrics::histogram!("comanda_gateway_agent_commit_seconds", "format" => format.label()).record(held_for);
    if let Some(waited_for) = waited_for {
        metrics::histogram!("comanda_gateway_agent_sent_to_commit_seconds").record(waited_for);
    }
    for mismatch in mismatches {
        metrics::counter!("comanda_gateway_agent_sum_mismatches_total", "sum" => mismatch.label()).increment(1);
    }
}

/// A message is given back to be tried again.
pub(crate) fn retry(why: &'static str) {
    metrics::counter!("comanda_gateway_agent_retries_total", "why" => why).increment(1);
}

/// A message went to the dead-letter queue.
pub(crate) fn dead_letter(message_id: &str, trace: TraceId, format: Option<Format>, reason: &str, detail: &str) {
    metrics::counter!("comanda_gateway_agent_dead_letters_total", "reason" => reason_label(reason)).increment(1);
    tracing::info!(trace_id = %trace, message_id, format = format_label(format), reason, detail, "message dead-lettered");
}

/// The dead-letter queue did not take a message.
pub(crate) fn dead_letter_kept() {
    metrics::counter!("comanda_gateway_agent_dead_letters_kept_total").increment(1);
}

/// One call to the core ended.
pub(crate) fn core_call(outcome: &'static str, took: Duration) {
    metrics::histogram!("comanda_dependency_seconds", "dependency" => "gateway-core", "operation" => "submit", "outcome" => outcome)
        .record(took);
}

/// Receiving stopped or resumed.
pub(crate) fn intake(paused: bool) {
    metrics::gauge!("comanda_gateway_agent_intake_paused").set(if paused { 1.0 } else { 0.0 });
}

/// Something that fails again and again is logged when it begins and when it ends.
pub(crate) struct Episode {
    what: &'static str,
    failing: AtomicBool,
}

impl Episode {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, failing: AtomicBool::new(false) }
    }

    pub(crate) fn failed(&self, error: &dyn Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, %source, "{} fails", self.what);
        }
    }

    pub(crate) fn succeeded(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("{} works again", self.what);
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}
