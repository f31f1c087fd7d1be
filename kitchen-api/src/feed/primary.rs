//! What the router asks of order-events, wherever it lives.
//!
//! Implemented by the binary's adapter over `order_events::Handle` for the same process, by [`super::remote::RemoteFeed`]
//! for a peer, and by [`super::routed::RoutedFeed`] for several nodes that each lead some partitions. Deadlines of a poll and the fallback are deliberately absent: the router
//! owns both.

use std::time::Duration;

use bytes::Bytes;
use event_feed::{AuthorisedMerchants, FeedEvent, Filter};
use futures::future::BoxFuture;
use order_model::{ApplicationId, EventId, MerchantId, OrderId, PartitionId};
use tokio_util::sync::CancellationToken;

use super::leaders::{LeaderHint, NodeId};
use super::news::News;

/// One poll, borrowed from whoever makes it.
#[derive(Debug, Clone, Copy)]
pub struct PollQuery<'a> {
    /// The application and the merchants it asks for.
    pub authorised: &'a AuthorisedMerchants,
    /// What it wants to see of them.
    pub filter: &'a Filter,
    /// The most events, 1 to 1,000.
    pub limit: usize,
    /// The fallback was tried and could not be reached: a leader that cannot read its fence serves all the same.
    pub fallback_unreachable: bool,
    /// A comparison read, which must not count as a delivery.
    pub shadow: bool,
    /// How long whoever asks will wait: a feed of several nodes answers by then what it has.
    pub within: Duration,
}

/// What a side answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollOutcome {
    /// Events to show.
    pub events: Vec<FeedEvent>,
    /// Events that a sent filter hides: to be acknowledged before the answer.
    pub hidden: Vec<EventId>,
    /// Partitions that this side may not answer for; their merchants were left out.
    pub refused: Vec<Refused>,
    /// More may be pending than the number of events tells: a part of the answer had all events that fit into it.
    pub is_cut: bool,
    /// Strikes: events that were delivered often enough with this answer and never acknowledged. Each is told once.
    pub struck: Vec<EventId>,
    /// Of a comparison read: how many of the events are strikes. `None`: this side counts no deliveries.
    pub strikes: Option<u32>,
}

/// A partition that was left out of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The partition.
    pub partition: PartitionId,
    /// Why.
    pub refusal: Refusal,
}

/// Why a side may not answer for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Starting, rebuilding or fenced out.
    NotServing,
    /// Another node leads it, or nobody.
    NotLeader {
        /// Who leads it, as far as the node asked knows.
        leader: Option<NodeId>,
        /// The term in which it learnt that.
        term: u64,
    },
    /// The node that leads it did not answer, or is not known.
    Unreachable,
    /// It cannot read its fence; it serves whoever cannot reach the fallback either.
    FenceUnreadable,
    /// It has too much to do, or not all that a merchant asked for has pending.
    Overloaded,
}

/// An order kept for when the core cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedOrder {
    /// Whose order it is; the caller checks it against the scope.
    pub merchant: MerchantId,
    /// The order as the partner API shows it, JSON. Empty when it was patched and not read again: nobody has it as it is.
    pub body: Bytes,
    /// The sequence of the last event that the body takes account of; 0 when that is not known.
    pub sequence: u32,
}

/// How a node says that partitions stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who says it; `None` where the feed is no node of a grid.
    pub node: Option<NodeId>,
    /// Who leads what, as far as it knows.
    pub leaders: Vec<LeaderHint>,
    /// What it does not serve itself.
    pub unserved: Vec<PartitionId>,
}

/// The primary feed. A future that is dropped abandons its call; nothing has to be undone.
pub trait PrimaryFeed: Send + Sync + 'static {
    /// Answers at once where the feed lives in this process, so that a local poll costs neither a boxed future nor a
    /// wakeup. `None`: ask with [`PrimaryFeed::poll`].
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let _ = query;
        None
    }

    /// Answers a poll. Called only where [`PrimaryFeed::poll_now`] answered `None`.
    ///
    /// # Errors
    /// When no partition at all was answered for.
    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>>;

    /// Acknowledges genuine ids, at most 10,000, which DynamoDB has already. Answers the partitions whose leader did
    /// not apply them; empty when all did.
    ///
    /// # Errors
    /// When none was applied for certain.
    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>>;

    /// The cached details of an order, `None` when they are not cached.
    ///
    /// # Errors
    /// When the feed cannot be asked.
    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>>;

    /// The partitions that are not being served now; empty when polls of every merchant could be answered.
    ///
    /// # Errors
    /// When the feed cannot be asked.
    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>>;

    /// How partitions stand, as this node sees it.
    ///
    /// # Errors
    /// When the feed cannot be asked.
    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        Box::pin(async move { Ok(Standing { unserved: self.unserved().await?, ..Standing::default() }) })
    }

    /// Tells `news`, from the moment it is wanted, which merchants get something new, for as long as [`PrimaryFeed::run`]
    /// runs. A feed that cannot does nothing: whoever waits looks for itself then.
    fn bring_news(&self, news: &News) {
        let _ = news;
    }

    /// Whether nothing new goes untold at the moment.
    fn brings_all_news(&self) -> bool {
        false
    }

    /// Whether asking has a chance now.
    fn is_connected(&self) -> bool {
        true
    }

    /// Keeps the feed connected until `shutdown`; nothing to do in the same process.
    fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move { shutdown.cancelled().await })
    }
}

/// The primary feed did not answer. Every kind may pass: the router falls back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PrimaryError {
    /// There is no stream to the peer, or it broke before the answer came.
    #[error("the stream to order-events is not connected")]
    Disconnected,
    /// As many calls as are allowed are waiting for answers.
    #[error("too many calls to order-events are outstanding")]
    Overloaded,
    /// The answer did not come in time.
    #[error("order-events did not answer in {deadline_ms} ms")]
    Deadline {
        /// How long it was given.
        deadline_ms: u64,
    },
    /// The peer could not read the request.
    #[error("order-events could not read the request")]
    Misunderstood,
    /// The peer's answer could not be read.
    #[error("order-events answered what cannot be read")]
    Malformed(#[source] tonic::Status),
    /// A call beside the stream failed.
    #[error("calling order-events failed")]
    Rpc(#[source] tonic::Status),
}
