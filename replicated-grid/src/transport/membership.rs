//! Who may speak at all, besides having a certificate of the cluster.
//!
//! The runner publishes it from what is committed, each grid its own. Connections and streams are of nodes, whatever
//! grids they are in: the transport judges them by the union ([`Memberships`]) at every handshake and every opening, and
//! closes what a change forbids. What is asked of a grid is judged by that grid's own, request by request
//! ([`super::GridServer::register_with`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::node::NodeId;

/// The nodes of a cluster, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Membership {
    /// Not known, yet or any more: a node that has just been started for a cluster, or hears nobody, is called before anyone
    /// told it who is in it now.
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

/// The memberships of the grids of one process, by name, and their union. Cheap to clone; clones share everything.
///
/// Made before the grids, because TLS and the server want the union first:
/// ```ignore
/// let memberships = Memberships::of_grids(["order-events", "merchant-connection"]);
/// let tls = TlsConfig { membership: memberships.union(), .. };
/// let server = GridServer::new(GridServerConfig { membership: memberships.union(), .. });
/// // for each grid, once it has started:
/// server.register_with(name, node.requests(), node.membership());
/// runtime.spawn(memberships.clone().follow(name, node.membership()));
/// ```
#[derive(Debug, Clone)]
pub struct Memberships {
    grids: Arc<Mutex<BTreeMap<String, Membership>>>,
    union: watch::Sender<Membership>,
}

impl Memberships {
    /// The grids that this process takes part in. Their members are not known yet.
    pub fn of_grids<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let grids = names.into_iter().map(|name| (name.to_owned(), Membership::Unknown)).collect();
        Self { grids: Arc::new(Mutex::new(grids)), union: watch::Sender::default() }
    }

    /// Who is in any of the grids. As long as one of them is not known, neither is the union: nodes that only it has must
    /// reach us to say so.
    pub fn union(&self) -> MembershipWatch {
        self.union.subscribe()
    }

    /// Keeps up with the members of `grid` until its node is gone; the last ones stay.
    pub async fn follow(self, grid: &str, mut members: MembershipWatch) {
        loop {
            let now = members.borrow_and_update().clone();
            self.set(grid, now);
            if members.changed().await.is_err() {
                return;
            }
        }
    }

    fn set(&self, grid: &str, members: Membership) {
        // Held until the union is out, so that two grids do not publish in the wrong order.
        let mut grids = self.grids.lock();
        grids.insert(grid.to_owned(), members);
        let union = grids.values().try_fold(BTreeSet::new(), |mut union, members| match members {
            Membership::Unknown => None,
            Membership::Known(nodes) => {
                union.extend(nodes);
                Some(union)
            }
        });
        let union = union.map_or(Membership::Unknown, Membership::Known);
        self.union.send_if_modified(|before| {
            let changed = *before != union;
            *before = union;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(ids: &[u64]) -> Membership {
        Membership::Known(ids.iter().copied().map(NodeId).collect())
    }

    #[test]
    fn the_union_is_known_when_every_grid_is() {
        let memberships = Memberships::of_grids(["orders", "merchants"]);
        let union = memberships.union();
        memberships.set("orders", known(&[1, 2]));
        assert!(union.borrow().admits(NodeId(9)), "the other grid may have it");
        memberships.set("merchants", known(&[2, 3]));
        assert_eq!(*union.borrow(), known(&[1, 2, 3]));
        memberships.set("orders", known(&[1]));
        assert_eq!(*union.borrow(), known(&[1, 2, 3]), "removed from one of two");
        memberships.set("merchants", known(&[3]));
        assert_eq!(*union.borrow(), known(&[1, 3]), "removed from both");
    }
}
