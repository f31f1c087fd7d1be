//! The event feed over HTTP: `events:polling` and `events/acknowledgment` (PARTNER_API, sections 1.3 and 8), and what we
//! have beyond them: polls that wait, a stream, and how
//! much is pending.
//!
//! Called by the routes, under both path prefixes. Which side of the feed answers is `feed`'s decision; what is visible
//! is event-feed's.

mod acknowledgment;
mod id_scanner;
mod pace;
mod permitted;
mod places;
mod polling;
mod query;
mod reader;
mod sent;
mod stream;
mod strike_window;
mod strikes;
mod unacknowledged;
mod vigil;
mod waiting;

pub(crate) use acknowledgment::{acknowledge, acknowledge_at_most};
pub(crate) use polling::{Polled, begin, poll};
pub(crate) use stream::stream;
pub(crate) use strikes::Strikes;
pub(crate) use unacknowledged::unacknowledged;
pub(crate) use vigil::Waits;
