//! Who may speak at all, besides having a certificate of the cluster.
//!
//! The runner publishes it from what is committed; the transport asks at every handshake and every opening of a stream,
//! and closes what a change forbids.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::node::NodeId;

/// The nodes of a cluster, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Membership {
    /// Not known yet: a node that has just been started for a cluster is called before anyone told it who is in it.
    /// Every node with a certificate of the cluster is admitted.
    #[default]
    Unknown,
    /// These, learners and nodes that are being added included.
    Known(BTreeSet<NodeId>),
}

/// Membership as it changes. When the sender is dropped, the last one stays.
pub type MembershipWatch = watch::Receiver<Membership>;

impl Membership {
    /// Whether `node` may speak.
    pub fn admits(&self, node: NodeId) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known(nodes) => nodes.contains(&node),
        }
    }
}

/// Resolves when `node` may no longer speak.
pub(super) async fn removed(mut membership: MembershipWatch, node: NodeId) {
    if membership.wait_for(|membership| !membership.admits(node)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
