//! The event feed over HTTP: `events:polling` and `events/acknowledgment` (PARTNER_API, sections 1.3 and 8).
//!
//! Called by the routes, under both path prefixes. Which side of the feed answers is `feed`'s decision; what is visible
//! is event-feed's.

mod acknowledgment;
mod id_scanner;
mod polling;
mod query;

pub(crate) use acknowledgment::{acknowledge, acknowledge_at_most};
pub(crate) use polling::{Polled, begin, poll};
