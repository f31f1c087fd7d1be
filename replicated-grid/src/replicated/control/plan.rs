//! What to do next so that the grid becomes what is wanted: a pure function of the control state and of what was seen.
//!
//! Computed by whoever leads the control group, over and over; it looks at the state of things, never at what was done
//! before. At most one partition moves at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::balance::{Led, next_transfer};
use super::{ControlState, placement};
use crate::node::NodeId;

/// A replica this many entries behind its leader takes over without anyone noticing.
const NEARLY: u64 = 64;

/// What was seen of a group at its leader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::replicated) struct SeenGroup {
    pub(in crate::replicated) leader: NodeId,
    pub(in crate::replicated) term: u64,
    pub(in crate::replicated) voters: BTreeSet<NodeId>,
    pub(in crate::replicated) learners: BTreeSet<NodeId>,
    /// Whether two sets of voters are in force at once.
    pub(in crate::replicated) is_joint: bool,
    pub(in crate::replicated) last_index: u64,
    /// How far each other replica has come.
    pub(in crate::replicated) matched: BTreeMap<NodeId, u64>,
}

impl SeenGroup {
    fn holds_exactly(&self, replicas: &BTreeSet<NodeId>) -> bool {
        !self.is_joint && self.voters == *replicas && self.learners.is_empty()
    }

    /// The voters besides the leader that could take over.
    pub(in crate::replicated) fn ready(&self) -> Vec<NodeId> {
        let is_near = |index: &u64| index.saturating_add(NEARLY) >= self.last_index;
        let is_near = |node: &NodeId| self.matched.get(node).is_some_and(is_near);
        self.voters.iter().copied().filter(|node| *node != self.leader && is_near(node)).collect()
    }
}

/// What was seen of the grid.
#[derive(Debug, Clone, Default)]
pub(in crate::replicated) struct Seen {
    /// The partitions that have a leader.
    pub(in crate::replicated) partitions: BTreeMap<u16, SeenGroup>,
    /// The control group, led by the node that plans.
    pub(in crate::replicated) control: SeenGroup,
    /// The nodes that are reached.
    pub(in crate::replicated) reached: BTreeSet<NodeId>,
    /// Those of them that may lead.
    pub(in crate::replicated) willing: BTreeSet<NodeId>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replicated) enum Step {
    /// Make the nodes of the control group these: voters, and all others learners.
    Control { voters: BTreeSet<NodeId>, members: BTreeSet<NodeId> },
    /// Let another node lead the control group, because this one is to leave or should not lead.
    HandOverControl { to: NodeId },
    /// Begin a partition on this node, with its initial replicas.
    Start { partition: u16, on: NodeId },
    /// Note that a partition has begun.
    Started { partition: u16 },
    /// Tell its leader where a partition is wanted.
    Move { partition: u16, leader: NodeId, replicas: Vec<NodeId> },
    /// Want a partition elsewhere.
    Assign { partition: u16, replicas: Vec<NodeId> },
    /// Let another replica lead.
    Lead { partition: u16, leader: NodeId, to: NodeId },
    /// Take out a node that holds nothing any more.
    Forget { node: NodeId },
}

/// What to do now.
pub(in crate::replicated) fn next_steps(state: &ControlState, seen: &Seen) -> Vec<Step> {
    if !state.is_formed() {
        return Vec::new();
    }
    let mut steps: Vec<Step> = control_step(state, seen).into_iter().collect();
    let starting = starts(state, seen);
    let moving = moves(state, seen);
    let is_settled = starting.is_empty() && moving.is_empty() && seen.partitions.len() == state.partitions.len();
    steps.extend(starting);
    // A node that cannot be reached would hold up everything; its partitions move when it is back, or elsewhere when it is
    // removed.
    steps.extend(moving.into_iter().filter(|step| can_move(step, seen)));
    if is_settled {
        steps.extend(forgettable(state, seen).or_else(|| next_assignment(state)).or_else(|| lead(seen)));
    } else if let Some(step) = lead_away(seen) {
        steps.push(step);
    }
    steps
}

/// The control group has as many voters as partitions have replicas, those it has first, and every member as a learner.
fn control_step(state: &ControlState, seen: &Seen) -> Option<Step> {
    let control = &seen.control;
    let staying = state.staying();
    let should_lead = staying.contains(&control.leader) && seen.willing.contains(&control.leader);
    if !should_lead
        && let Some(to) = control.ready().into_iter().find(|node| staying.contains(node) && seen.willing.contains(node))
    {
        return Some(Step::HandOverControl { to });
    }
    let wanted = usize::from(state.replication_factor).min(staying.len());
    let kept = control.voters.iter().filter(|node| staying.contains(node));
    let others = staying.iter().filter(|node| !control.voters.contains(node));
    let voters: BTreeSet<NodeId> = kept.chain(others).copied().take(wanted).collect();
    let members: BTreeSet<NodeId> = state.members.keys().copied().collect();
    let present: BTreeSet<NodeId> = control.voters.union(&control.learners).copied().collect();
    let is_so = !control.is_joint && control.voters == voters && present == members;
    (!is_so).then_some(Step::Control { voters, members })
}

fn starts(state: &ControlState, seen: &Seen) -> Vec<Step> {
    let unstarted = (0..).zip(&state.partitions).filter(|(_, placement)| !placement.is_started);
    let step = |(partition, placement): (u16, &super::Placement)| {
        if seen.partitions.contains_key(&partition) {
            return Some(Step::Started { partition });
        }
        // Whichever begins it, and if several do, the first entry is the same; a node that never comes back holds up nothing.
        let on = placement.initial.iter().find(|node| seen.reached.contains(node)).or(placement.initial.first());
        on.map(|on| Step::Start { partition, on: *on })
    };
    unstarted.filter_map(step).collect()
}

fn moves(state: &ControlState, seen: &Seen) -> Vec<Step> {
    let step = |(partition, placement): (u16, &super::Placement)| {
        let group = seen.partitions.get(&partition)?;
        let wanted = placement.replicas.iter().copied().collect();
        (!group.holds_exactly(&wanted)).then(|| Step::Move {
            partition,
            leader: group.leader,
            replicas: placement.replicas.clone(),
        })
    };
    (0..).zip(&state.partitions).filter_map(step).collect()
}

fn can_move(step: &Step, seen: &Seen) -> bool {
    let Step::Move { partition, replicas, .. } = step else { return true };
    let has_vote = |node| seen.partitions.get(partition).is_some_and(|group| group.voters.contains(node));
    replicas.iter().all(|node| seen.reached.contains(node) || has_vote(node))
}

fn next_assignment(state: &ControlState) -> Option<Step> {
    let placed: Vec<Vec<NodeId>> = state.partitions.iter().map(|placement| placement.replicas.clone()).collect();
    placement::next_change(&state.staying(), usize::from(state.replication_factor), &placed)
        .map(|(partition, replicas)| Step::Assign { partition, replicas })
}

/// A leaving node that holds nothing: neither wanted nor there.
fn forgettable(state: &ControlState, seen: &Seen) -> Option<Step> {
    let holds = |node: &NodeId| {
        state.partitions.iter().any(|placement| placement.replicas.contains(node))
            || seen.partitions.values().any(|group| group.voters.contains(node) || group.learners.contains(node))
            || seen.control.voters.contains(node)
    };
    let leaving = state.members.iter().filter(|(_, member)| member.is_leaving).map(|(id, _)| *id);
    leaving.into_iter().find(|node| !holds(node)).map(|node| Step::Forget { node })
}

fn lead(seen: &Seen) -> Option<Step> {
    let led = |(partition, group): (&u16, &SeenGroup)| Led {
        partition: *partition,
        leader: group.leader,
        ready: group.ready(),
    };
    let led: Vec<Led> = seen.partitions.iter().map(led).collect();
    let (partition, to) = next_transfer(&led, &seen.willing)?;
    let leader = seen.partitions.get(&partition)?.leader;
    Some(Step::Lead { partition, leader, to })
}

/// While something moves, only nodes that should not lead give up a leadership.
fn lead_away(seen: &Seen) -> Option<Step> {
    lead(seen).filter(|step| matches!(step, Step::Lead { leader, .. } if !seen.willing.contains(leader)))
}

#[cfg(test)]
mod tests;
