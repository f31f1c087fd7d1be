//! What a node says of the grid when asked: plain values.

use std::sync::atomic::Ordering;

use super::node::{ReplicatedNode, Shared};
use crate::node::{Member, NodeId};
use crate::state_machine::StateMachine;

/// A replica this many entries behind has missed something: what is under way at full load is less.
const BEHIND_ENTRIES: u64 = 1_000;

/// A grid as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridStatus {
    /// Whether the grid has been formed, as far as this node knows.
    pub is_formed: bool,
    /// How many nodes hold each partition, as far as there are that many.
    pub replication_factor: u16,
    /// Who leads the control group.
    pub control_leader: Option<NodeId>,
    /// The nodes that decide in the control group.
    pub control_voters: Vec<NodeId>,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// Every partition, by its number.
    pub partitions: Vec<PartitionStatus>,
}

/// A member of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Who and where.
    pub member: Member,
    /// It is being removed.
    pub is_leaving: bool,
    /// It hands its leaderships over, or has done so: it drains, or its log takes nothing.
    pub is_draining: bool,
    /// It has reported lately.
    pub is_reached: bool,
}

/// A partition as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: u16,
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// In which term.
    pub term: u64,
    /// The nodes that are to hold it.
    pub replicas: Vec<NodeId>,
    /// Whether a replica is on this node. What follows is zero otherwise.
    pub is_here: bool,
    /// The last entry of the log here.
    pub last_index: u64,
    /// The last entry applied here.
    pub applied_index: u64,
    /// How many entries of the log here are not applied yet.
    pub lag: u64,
    /// Whether this node answers reads of it.
    pub is_serving: bool,
}

impl<M: StateMachine> ReplicatedNode<M> {
    /// The grid as this node sees it.
    pub fn status(&self) -> GridStatus {
        let shared = &self.shared;
        let state = shared.control_state();
        let control_leader = shared.control.load().as_ref().and_then(|control| control.leadership().leader);
        GridStatus {
            is_formed: state.is_formed(),
            replication_factor: state.replication_factor,
            control_leader,
            control_voters: shared.control_voters().into_iter().collect(),
            members: shared.member_statuses(),
            partitions: shared.partition_numbers().map(|partition| shared.partition_status(partition)).collect(),
        }
    }

    /// Why this node cannot do its part, if it cannot: a log that takes nothing, no part in a grid, a place that it has not
    /// taken over wholly, a partition that has not begun or has stopped, or a replica that is far behind.
    ///
    /// # Errors
    /// With the reason, in words.
    pub fn readiness(&self) -> Result<(), String> {
        let shared = &self.shared;
        shared.around.standing.borrow().check()?;
        if !shared.view.borrow().is_formed() {
            return Err("it is not part of a grid".to_owned());
        }
        let replaced = NodeId(shared.replaces.load(Ordering::SeqCst));
        if shared.view.borrow().members.contains_key(&replaced) {
            return Err(format!("it has not taken over everything of node {replaced} yet"));
        }
        let unbegun = shared
            .view
            .borrow()
            .partitions
            .iter()
            .position(|placement| !placement.is_started && placement.replicas.contains(&shared.ours.id));
        if let Some(partition) = unbegun {
            return Err(format!("partition {partition} has not begun yet"));
        }
        let failed = shared.partition_numbers().find_map(|partition| {
            let failure = shared.partition(partition)?.failure()?;
            Some(format!("partition {partition} has stopped: {failure}"))
        });
        failed.or_else(|| shared.far_behind()).map_or(Ok(()), Err)
    }
}

impl Shared {
    /// A partition of which a leader says that our vote counts and that we miss much of it.
    fn far_behind(&self) -> Option<String> {
        let ours = self.ours.id;
        let mut behind = None;
        self.reports.for_each(|_, report| {
            for (partition, group, _) in &report.led {
                // A leader that has just been elected does not know yet.
                let Some(matched) = group.matched.get(&ours) else { continue };
                let missing = group.last_index.saturating_sub(*matched);
                if group.leader != ours && group.voters.contains(&ours) && missing > BEHIND_ENTRIES {
                    behind = Some(format!("partition {partition} is {missing} entries behind"));
                }
            }
        });
        behind
    }

    fn member_statuses(&self) -> Vec<MemberStatus> {
        let state = self.control_state();
        let mut members: Vec<MemberStatus> = state
            .all_members()
            .map(|member| MemberStatus {
                is_leaving: state.members.get(&member.id).is_some_and(|known| known.is_leaving),
                is_draining: false,
                is_reached: false,
                member,
            })
            .collect();
        self.reports.for_each(|node, report| {
            if let Some(status) = members.iter_mut().find(|status| status.member.id == node) {
                (status.is_reached, status.is_draining) = (true, report.is_draining);
            }
        });
        members
    }

    fn partition_status(&self, partition: u16) -> PartitionStatus {
        let known = self.leadership.borrow().get(usize::from(partition)).copied().unwrap_or_default();
        let placement = self.control_state().partitions.get(usize::from(partition)).cloned().unwrap_or_default();
        let group = self.partition(partition);
        let metrics = group.as_ref().map(|group| group.metrics());
        let last_index = metrics.as_ref().and_then(|metrics| metrics.last_log_index).unwrap_or(0);
        let applied = metrics.as_ref().and_then(|metrics| metrics.last_applied);
        let applied_index = applied.map_or(0, |applied| applied.index);
        PartitionStatus {
            partition,
            leader: known.leader,
            term: known.term,
            replicas: placement.replicas,
            is_here: group.is_some(),
            last_index,
            applied_index,
            lag: last_index.saturating_sub(applied_index),
            is_serving: group.is_some_and(|group| group.served_term().is_some()),
        }
    }
}
