//! The decision itself: a pure function from a state, an instant and a command to events and the next state.
//!
//! Called by gateway-core for every message, action and timer, and by `reach` to explore what can still happen. Each
//! family of commands has a file of its own: `updates`, `actions`, `answers`, `timers`.

use crate::event_code::EventCode;
use crate::lifecycle::actions::acted;
use crate::lifecycle::answers::answered;
use crate::lifecycle::command::Command;
use crate::lifecycle::decision::{Decision, EventMetadata, Illegal, NewEvent};
use crate::lifecycle::draft::already;
use crate::lifecycle::kind::OrderKind;
use crate::lifecycle::reach;
use crate::lifecycle::state::{Happened, Lifecycle};
use crate::lifecycle::status::OrderStatus;
use crate::lifecycle::timers::{conclude_due, confirm_timed_out, dispute_timed_out};
use crate::lifecycle::updates::updated;
use crate::timestamp::Timestamp;

/// A new order of `kind`, placed at `at`: its first event (`PLC`, sequence 1) and its state.
pub fn place(kind: OrderKind, at: Timestamp) -> (NewEvent, Lifecycle) {
    let event = NewEvent { sequence: 1, code: EventCode::Placed, created_at: at, metadata: EventMetadata::None };
    let lifecycle = Lifecycle {
        kind,
        status: OrderStatus::Placed,
        happened: Happened::default().with(EventCode::Placed),
        merchant_request: None,
        consumer_request: None,
        dispute: None,
        settled_dispute: None,
        next_sequence: 2,
        last_created_at: at,
    };
    (event, lifecycle)
}

/// What `command` does to an order at `at`.
///
/// # Errors
/// When the command is illegal where the order stands; the error names the state, what would be legal, and whether the
/// command is only early.
pub fn decide(lifecycle: &Lifecycle, at: Timestamp, command: &Command) -> Result<Decision, Illegal> {
    outcome(lifecycle, at, command).ok_or_else(|| Illegal {
        attempted: command.name(),
        status: lifecycle.status,
        legal: reach::legal_instead_of(lifecycle, at, command),
        may_become_legal: reach::may_become_legal(lifecycle, command),
    })
}

/// As [`decide`], `None` for illegal: without the explanation, which needs many outcomes itself.
pub(crate) fn outcome(lifecycle: &Lifecycle, at: Timestamp, command: &Command) -> Option<Decision> {
    match command {
        Command::Place => already(lifecycle),
        Command::Update(update) => updated(lifecycle, at, update),
        Command::Act(action) => acted(lifecycle, at, *action),
        Command::Answer(answer) => answered(lifecycle, at, answer),
        Command::ConfirmTimeout => confirm_timed_out(lifecycle, at),
        Command::Conclude => conclude_due(lifecycle, at),
        Command::DisputeTimeout => dispute_timed_out(lifecycle, at),
    }
}
