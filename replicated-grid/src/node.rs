//! Who is in a cluster: node ids and where nodes are reached. Used by the runner, the transport and whoever shows them.

use std::fmt;

/// A node of the cluster; never given to another process that has not this one's log. Zero is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A node and the address (`host:port`) at which its peers reach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Where.
    pub address: String,
}
