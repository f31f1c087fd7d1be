//! The pure rules of a feed: who may see which event, which of them a poll shows, and what an acknowledgment means.
//!
//! order-events and connection-polling answer with the same code, and the tests judge both with [`oracle`]. No I/O, no
//! clock, no randomness; time is an argument. How events are stored is deliberately absent. The one wire format here is
//! the notification on the `order-events` topic, because both feeds must read it alike.

pub mod acknowledgment;
pub mod event;
pub mod filter;
pub mod hold_back;
#[cfg(test)]
mod hostile;
pub mod notification;
pub mod oracle;
pub mod page;
pub mod scope;
pub mod visibility;

pub use event::{FeedEvent, TraceId};
pub use filter::{CategoryFilter, Dialect, Filter, Verdict};
pub use hold_back::{HOLD_BACK, SequenceTrack};
pub use notification::NotificationError;
pub use page::{Candidate, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
pub use scope::{AuthorisedMerchants, Grant, GrantedMerchant, Scope, Unauthorised};
