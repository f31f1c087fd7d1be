//! The network as the replicated runner sees it: byte requests to other nodes, answered or not in time.
//!
//! `transport` implements it over one stream per node pair and lane; the simulation implements it with faults. What the
//! bytes mean is the runner's business.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::node::{Member, NodeId};

/// What a request is about; lanes do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Votes, appends, heartbeats: small or at most one batch, and urgent.
    Raft,
    /// Chunks of snapshots: large, and must never delay a heartbeat.
    Snapshot,
    /// Proposals on their way to a leader.
    Proposal,
}

/// A request was not answered. Whether it was carried out is unknown, unless the error says that it was never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// There is no connection, and the request was not sent.
    #[error("node {node} cannot be reached: {reason}")]
    Unreachable {
        /// Who was asked.
        node: NodeId,
        /// Why, e.g. `connection refused`.
        reason: String,
    },
    /// It was sent; the connection broke or the deadline passed before an answer.
    #[error("node {node} did not answer within {after:?}")]
    NoAnswer {
        /// Who was asked.
        node: NodeId,
        /// How long was waited.
        after: Duration,
    },
    /// The other side refused to take it, e.g. because it is overloaded or does not know us.
    #[error("node {node} refused: {reason}")]
    Refused {
        /// Who was asked.
        node: NodeId,
        /// Its reason.
        reason: String,
    },
}

/// Sends requests to other nodes.
pub trait Peers: Send + Sync + 'static {
    /// Asks `to`, and answers with its reply or an error, at the latest after `deadline`.
    fn call(
        &self,
        to: &Member,
        lane: Lane,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerError>>;
}

/// Takes requests of other nodes. Must not panic on any bytes.
pub trait PeerRequests: Send + Sync + 'static {
    /// Answers one request of `from`, whose identity the transport has verified.
    fn answer(self: Arc<Self>, from: NodeId, lane: Lane, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;

    /// Answers one request of a node that is no member, and of whose identity nothing is verified. Refuses, unless the
    /// request is one that a stranger may make.
    fn answer_stranger(self: Arc<Self>, from: NodeId, _request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async move { Err(format!("node {from} is not a member of this grid")) })
    }
}
