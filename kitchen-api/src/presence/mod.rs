//! Beats: every authenticated poll says that its merchants are there, and merchant-connection is told.
//!
//! Handlers hold a [`BeatKeeper`]. Whether somebody is ONLINE is judged by merchant-connection alone; a breaker, a
//! fallback or an outage here changes nothing about it.

mod delivery;
mod keeper;
mod kept;
mod nodes;

#[cfg(test)]
mod tests;

pub use keeper::{BEATS_MAX, BeatKeeper};
pub(crate) use nodes::Node;
pub use nodes::{PresenceNode, PresenceNodes};
