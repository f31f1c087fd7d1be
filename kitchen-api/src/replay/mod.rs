//! Events again: `GET /comanda/v1/events`, the one exception to "an acknowledged event never comes back".
//!
//! Called by the routes. A client asks for it by name, one merchant at a time, and each use is logged (who, which merchant,
//! which range, when; nothing of an event's content). connection-polling reads; acknowledgments, presence and polls are untouched.

mod cursor;
mod endpoint;

pub(crate) use endpoint::replay;
