//! Who leads a partition, as this node knows it. Published by the runners, watched by the services.

use crate::node::NodeId;

/// The leadership of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// Who leads, as far as this node knows, if it has heard of that node lately.
    pub leader: Option<NodeId>,
    /// The term in which that was learnt; grows with every election. A node that leads in a new term must treat
    /// whatever it remembers beside the replicated state as unknown.
    pub term: u64,
    /// Whether this node leads and has applied everything that was committed before its term: only then do its reads
    /// see every acknowledged command.
    pub is_ours: bool,
}
