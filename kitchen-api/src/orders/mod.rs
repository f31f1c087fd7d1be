//! Orders over HTTP: details, actions, cancellation reasons (PARTNER_API, section 1.4).
//!
//! Called by the routes. Which transition is legal is gateway-core's decision. Evidence of
//! cancellations is deliberately absent: nobody of ours keeps any.

mod actions;
mod details;
mod disputes;
mod note;

pub(crate) use actions::{act, idempotency_key};
pub(crate) use details::{cancellation_reasons, details, json_response, refusal, unknown, visible_order};
pub(crate) use disputes::answer_dispute;
pub(crate) use note::Note;
