//! What a node is in a group, read from openraft's metrics.

use openraft::ServerState;

use super::raft_types::RaftMetrics;
use crate::node::NodeId;

/// The role of this node in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Another node leads, or none that is known.
    Following {
        /// Who leads.
        leader: Option<NodeId>,
        /// The term in which that was learnt.
        term: u64,
    },
    /// Elected, but what earlier leaders committed is not all applied yet.
    Preparing {
        /// Its term.
        term: u64,
    },
    /// Elected, and its state holds everything committed before its term.
    Leading {
        /// Its term.
        term: u64,
    },
}

impl Role {
    /// Reads the role of `node`.
    pub(super) fn of(metrics: &RaftMetrics, node: NodeId) -> Self {
        let term = metrics.current_term;
        let vote = &metrics.vote;
        let elected = metrics.state == ServerState::Leader
            && vote.committed
            && (vote.leader_id.term, vote.leader_id.voted_for) == (term, node.0);
        if !elected || metrics.running_state.is_err() {
            let leader = metrics.current_leader.map(NodeId).filter(|leader| *leader != node);
            return Self::Following { leader: leader.filter(|_| metrics.running_state.is_ok()), term };
        }
        // Only the leader of a term writes entries of it, the first one right after its election.
        if metrics.last_applied.is_some_and(|applied| applied.leader_id.term == term) {
            Self::Leading { term }
        } else {
            Self::Preparing { term }
        }
    }
}
