//! Orders over HTTP: details, actions, cancellation reasons (PARTNER_API, section 1.4).
//!
//! Called by the routes and by `logistics`. Which transition is legal is gateway-core's decision; it keeps the evidence of
//! cancellations, too.

mod actions;
mod codes;
mod delivery;
mod details;
mod disputes;
mod evidence;
mod note;

pub(crate) use actions::{accepted, act, ask, idempotency_key, perform};
pub(crate) use codes::{check as check_code, validate_pickup_code, verify_delivery_code};
pub(crate) use delivery::{tracking, virtual_bag};
pub(crate) use details::{
    cancellation_reasons, details, json_response, order_in_path, refusal, unknown, visible_order,
};
pub(crate) use disputes::answer_dispute;
pub(crate) use evidence::cancellation_evidence;
pub(crate) use note::Note;
