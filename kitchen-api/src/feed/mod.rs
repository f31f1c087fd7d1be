//! The feed behind polling and acknowledging: order-events first, connection-polling where that does not answer.
//!
//! Handlers hold a [`FeedRouter`]; the binary gives it a [`PrimaryFeed`]. A poll walks through [`poll`], an acknowledgment
//! through [`acknowledgment`] and, where a leader does not apply it, the fence protocol of [`fence`]. Decisions
//! ([`breaker`], [`fence`], [`shadow::compare`]) are pure. HTTP, tokens and presence are deliberately absent.

pub mod acknowledgment;
pub mod breaker;
mod breakers;
mod fallback;
pub mod fence;
mod fence_board;
pub mod leaders;
mod link;
mod news;
mod page;
mod pending;
pub mod poll;
pub mod primary;
pub mod remote;
mod replay;
pub mod routed;
mod router;
mod served_log;
mod serving;
pub mod shadow;
mod shadow_batch;
mod wire;

#[cfg(test)]
mod tests;

pub use acknowledgment::AcknowledgmentError;
pub use fallback::FallbackError;
pub use fence_board::FenceError;
pub use leaders::{LeaderHint, LeaderMap, NodeId};
pub use news::{Heard, Listener, News, WAITED_FOR_MAX};
pub use pending::{COUNTED_MAX, PendingCount};
pub use primary::{CachedOrder, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused, Standing};
pub use remote::RemoteFeed;
pub use replay::{ReplayPlace, ReplayedPage};
pub use routed::{FeedNode, RoutedFeed};
pub use router::{AnsweredBy, Begun, FeedConfig, FeedDependencies, FeedRouter, FeedUnavailable, PolledPage};
pub use shadow::SharedRandom;
