//! The calls of one connection that have no answer yet. A pure value; [`super::session`] holds it under a lock.
//!
//! Calls are sent in the order in which they began, so one number separates those that were sent from those that were
//! certainly not: what a caller may conclude from a failure depends on nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::grid_transport::{Frame, frame::Content};
use tokio::sync::oneshot;

use super::limits::{BYTES_IN_FLIGHT_MAX, FRAMES_PER_MESSAGE_MAX, MESSAGE_BYTES_TARGET, cost};

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer.
    Answered(Bytes),
    /// The other side, or this one, refused to take it; it was not carried out.
    Refused(String),
    /// It was certainly not sent, for this reason.
    NotSent(String),
    /// It was sent, and the connection is lost.
    Lost,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    /// For people.
    pub(super) reason: String,
    /// Whether the other side understood us and refused; what was not sent then counts as refused.
    pub(super) refused: bool,
}

/// A call cannot begin on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// The limit of what is under way is reached.
    Full,
    /// The connection has ended.
    Ended,
}

/// The caller's end of a call.
pub(super) type Reply = oneshot::Sender<Outcome>;

struct Call {
    reply: Reply,
    /// What to send, until it is sent.
    request: Option<(Bytes, Bytes)>,
    cost: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The other side has not yet agreed; nothing is sent.
    Opening,
    Open,
    Ended,
}

/// The calls of one connection.
pub(super) struct Outstanding {
    calls: BTreeMap<u64, Call>,
    next: u64,
    /// Calls from here on have not been sent.
    unsent_from: u64,
    cost: usize,
    stage: Stage,
}

impl Outstanding {
    pub(super) fn new() -> Self {
        Self { calls: BTreeMap::new(), next: 1, unsent_from: 1, cost: 0, stage: Stage::Opening }
    }

    /// Begins a call of `grid`, and answers its correlation.
    pub(super) fn begin(&mut self, grid: Bytes, payload: Bytes, reply: Reply) -> Result<u64, NotBegun> {
        if self.stage == Stage::Ended {
            return Err(NotBegun::Ended);
        }
        let cost = cost(payload.len());
        if self.cost + cost > BYTES_IN_FLIGHT_MAX {
            return Err(NotBegun::Full);
        }
        let correlation = self.next;
        self.next += 1;
        self.cost += cost;
        self.calls.insert(correlation, Call { reply, request: Some((grid, payload)), cost });
        Ok(correlation)
    }

    /// The other side has agreed to take calls.
    pub(super) fn open(&mut self) {
        if self.stage == Stage::Opening {
            self.stage = Stage::Open;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// The next message, empty when there is nothing to send. What it holds counts as sent.
    pub(super) fn gather(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.stage != Stage::Open {
            return frames;
        }
        let mut bytes = 0;
        for (correlation, call) in self.calls.range_mut(self.unsent_from..) {
            if frames.len() == FRAMES_PER_MESSAGE_MAX || bytes >= MESSAGE_BYTES_TARGET {
                return frames;
            }
            if let Some((grid, payload)) = call.request.take() {
                bytes += payload.len();
                frames.push(Frame { correlation: *correlation, grid, content: Some(Content::Payload(payload)) });
            }
            self.unsent_from = correlation + 1;
        }
        self.unsent_from = self.next;
        frames
    }

    /// Ends the call that `answer` is for; `None` when nobody waits for it any more, or nothing such was asked.
    pub(super) fn answer(&mut self, answer: Frame) -> Option<(Reply, Outcome)> {
        if answer.correlation >= self.unsent_from {
            return None;
        }
        let call = self.remove(answer.correlation)?;
        let outcome = match answer.content {
            Some(Content::Payload(payload)) => Outcome::Answered(payload),
            Some(Content::Refusal(reason)) => Outcome::Refused(reason),
            None => Outcome::Lost,
        };
        Some((call.reply, outcome))
    }

    /// The caller gives up; it will not be sent if it was not. Answers whether it was sent, `None` if it has ended.
    pub(super) fn abandon(&mut self, correlation: u64) -> Option<bool> {
        self.remove(correlation).map(|call| call.request.is_none())
    }

    /// Ends the connection and all its calls.
    pub(super) fn end(&mut self, loss: &Loss) -> Vec<(Reply, Outcome)> {
        self.stage = Stage::Ended;
        self.cost = 0;
        let outcome = |call: &Call| match (&call.request, loss.refused) {
            (None, _) => Outcome::Lost,
            (Some(_), true) => Outcome::Refused(loss.reason.clone()),
            (Some(_), false) => Outcome::NotSent(loss.reason.clone()),
        };
        let calls = std::mem::take(&mut self.calls).into_values();
        calls.map(|call| (outcome(&call), call.reply)).map(|(outcome, reply)| (reply, outcome)).collect()
    }

    /// Whether nothing is under way, and nothing began since a call of this answered `idle_since`.
    pub(super) fn is_idle(&self, idle_since: &mut u64) -> bool {
        let began = std::mem::replace(idle_since, self.next);
        self.calls.is_empty() && began == self.next
    }

    fn remove(&mut self, correlation: u64) -> Option<Call> {
        let call = self.calls.remove(&correlation)?;
        self.cost -= call.cost;
        Some(call)
    }
}

#[cfg(test)]
mod tests;
