//! Where nodes are, as the control group's state says. A node that comes back elsewhere is reached without touching the
//! membership of every group.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::node::{Member, NodeId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Addresses(RwLock<BTreeMap<NodeId, Member>>);

impl Addresses {
    /// The node, if it is known.
    pub(super) fn get(&self, node: NodeId) -> Option<Member> {
        self.0.read().get(&node).cloned()
    }

    /// Learns where `members` are; forgets nobody, because a removed node may still have to be told so.
    pub(super) fn learn(&self, members: impl IntoIterator<Item = Member>) {
        self.0.write().extend(members.into_iter().map(|member| (member.id, member)));
    }
}
