//! Orders over HTTP: details, actions, cancellation reasons (PARTNER_API, section 1.4).
//!
//! Called by the routes. Which transition is legal is gateway-core's decision. Driver requests, codes, tracking and
//! disputes are absent: later issues'.

mod actions;
mod details;
mod note;

pub(crate) use actions::{act, idempotency_key};
pub(crate) use details::{cancellation_reasons, details, json_response, refusal, unknown, visible_order};
pub(crate) use note::Note;
