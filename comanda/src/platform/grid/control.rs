//! A grid as an operator sees it, whatever its partitions hold.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use replicated_grid::replicated::{AdminError, GridStatus, ReplicatedNode};
use replicated_grid::{Member, NodeId, StateMachine};

/// What can be asked of one grid on this node; see [`ReplicatedNode`] for each.
pub trait GridControl: Send + Sync + 'static {
    /// Forms a grid of these members.
    fn init(&self, members: Vec<Member>, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>>;
    /// Takes a node in.
    fn add_node(&self, member: Member) -> BoxFuture<'_, Result<(), AdminError>>;
    /// Takes a node out.
    fn remove_node(&self, node: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>>;
    /// Makes a replica lead.
    fn transfer(&self, partition: u16, to: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>>;
    /// Hands over everything led here.
    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>>;
    /// The grid as this node sees it.
    fn status(&self) -> GridStatus;
    /// Why this node cannot do its part.
    ///
    /// # Errors
    /// With the reason, in words.
    fn readiness(&self) -> Result<(), String>;
    /// Ends its groups.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

impl<M: StateMachine> GridControl for ReplicatedNode<M> {
    fn init(&self, members: Vec<Member>, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Self::init(self, members, timeout).boxed()
    }

    fn add_node(&self, member: Member) -> BoxFuture<'_, Result<(), AdminError>> {
        Self::add_node(self, member).boxed()
    }

    fn remove_node(&self, node: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Self::remove_node(self, node, timeout).boxed()
    }

    fn transfer(&self, partition: u16, to: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Self::transfer(self, partition, to, timeout).boxed()
    }

    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Self::drain(self, timeout).boxed()
    }

    fn status(&self) -> GridStatus {
        Self::status(self)
    }

    fn readiness(&self) -> Result<(), String> {
        Self::readiness(self)
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Self::stop(self).boxed()
    }
}
