//! The plan, played against a model that does what it says.

use super::*;
use crate::node::Member;
use crate::replicated::control::command::Command;
use crate::state_machine::{ReplicatedTime, StateMachine};

#[test]
fn a_partition_begins_although_its_first_node_is_gone() {
    let mut model = Model::formed(3);
    model.seen.reached.remove(&NodeId(1));
    let steps = next_steps(&model.state, &model.seen);
    let on = |step: &Step| if let Step::Start { on, .. } = step { Some(*on) } else { None };
    let nodes: BTreeSet<NodeId> = steps.iter().filter_map(on).collect();
    assert_eq!(nodes, [NodeId(2), NodeId(3)].into());
}

/// How far others have come is what a peer says.
#[test]
fn a_report_at_the_end_of_its_range_is_only_a_report() {
    let seen = |matched: u64, last_index: u64| SeenGroup {
        leader: NodeId(1),
        voters: [NodeId(1), NodeId(2)].into(),
        matched: [(NodeId(2), matched)].into(),
        last_index,
        ..SeenGroup::default()
    };
    assert_eq!(seen(u64::MAX, u64::MAX).ready(), [NodeId(2)]);
    assert_eq!(seen(u64::MAX, 0).ready(), [NodeId(2)]);
    assert_eq!(seen(0, u64::MAX).ready(), []);
}

/// A grid in which every step succeeds at once.
struct Model {
    state: ControlState,
    seen: Seen,
}

impl Model {
    fn formed(nodes: u64) -> Self {
        let member = |id| Member { id: NodeId(id), address: format!("{id}:1") };
        let mut model = Self { state: ControlState::default(), seen: Seen::default() };
        model.apply(Command::Form {
            replication_factor: 3,
            members: (1..=nodes).map(member).collect(),
            partitions: 16,
        });
        model.seen.willing = (1..=nodes).map(NodeId).collect();
        model.seen.reached = model.seen.willing.clone();
        model.seen.control = group(NodeId(1), &[NodeId(1)]);
        model
    }

    fn apply(&mut self, command: Command) {
        assert_eq!(self.state.apply(ReplicatedTime::default(), &command.encode()), [0], "{command:?}");
    }

    fn add(&mut self, id: u64) {
        self.apply(Command::AddMember(Member { id: NodeId(id), address: format!("{id}:1") }));
        self.seen.willing.insert(NodeId(id));
        self.seen.reached.insert(NodeId(id));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Control { voters, members } => {
                self.seen.control.learners = members.difference(&voters).copied().collect();
                self.seen.control.matched = members.iter().map(|node| (*node, 0)).collect();
                self.seen.control.voters = voters;
            }
            Step::HandOverControl { to } => self.seen.control.leader = to,
            Step::Start { partition, on } => {
                let initial = self.state.partitions[usize::from(partition)].initial.clone();
                self.seen.partitions.insert(partition, group(on, &initial));
            }
            Step::Started { partition } => self.apply(Command::Started(partition)),
            Step::Move { partition, leader, replicas } => {
                let leader = if replicas.contains(&leader) { leader } else { replicas[0] };
                self.seen.partitions.insert(partition, group(leader, &replicas));
            }
            Step::Assign { partition, replicas } => self.apply(Command::Assign { partition, replicas }),
            Step::Lead { partition, to, .. } => {
                self.seen.partitions.get_mut(&partition).unwrap().leader = to;
            }
            Step::Forget { node } => self.apply(Command::Forget(node)),
        }
    }

    fn settle(&mut self) {
        for _ in 0..500 {
            let steps = next_steps(&self.state, &self.seen);
            if steps.is_empty() {
                return;
            }
            let moving = steps.iter().filter(|step| matches!(step, Step::Move { .. })).count();
            assert!(moving <= 1, "one at a time");
            steps.into_iter().for_each(|step| self.take(step));
        }
        panic!("it does not settle: {:?}", next_steps(&self.state, &self.seen));
    }

    fn leads(&self, node: u64) -> usize {
        self.seen.partitions.values().filter(|group| group.leader == NodeId(node)).count()
    }
}

fn group(leader: NodeId, voters: &[NodeId]) -> SeenGroup {
    let matched = voters.iter().map(|node| (*node, 0)).collect();
    SeenGroup { leader, voters: voters.iter().copied().collect(), matched, ..SeenGroup::default() }
}

#[test]
fn a_new_grid_starts_every_partition_and_spreads_the_leaders() {
    let mut model = Model::formed(3);
    model.settle();
    assert_eq!(model.seen.partitions.len(), 16);
    assert_eq!(model.seen.control.voters.len(), 3);
    assert!((1..=3).all(|node| (5..=6).contains(&model.leads(node))));
}

#[test]
fn nodes_come_and_go() {
    let mut model = Model::formed(3);
    model.settle();
    model.add(4);
    model.add(5);
    model.settle();
    assert!((1..=5).all(|node| (3..=4).contains(&model.leads(node))));
    model.apply(Command::Leave(NodeId(1)));
    model.settle();
    assert_eq!(model.leads(1), 0);
    assert!(!model.state.members.contains_key(&NodeId(1)), "it is forgotten once it holds nothing");
    assert_ne!(model.seen.control.leader, NodeId(1));
    assert!(!model.seen.control.voters.contains(&NodeId(1)) && !model.seen.control.learners.contains(&NodeId(1)));
}

#[test]
fn a_draining_node_leads_nothing_and_keeps_its_replicas() {
    let mut model = Model::formed(3);
    model.settle();
    model.seen.willing.remove(&NodeId(1));
    model.settle();
    assert_eq!((model.leads(1), model.leads(2), model.leads(3)), (0, 8, 8));
    assert!(model.seen.partitions.values().all(|group| group.voters.contains(&NodeId(1))));
    assert_ne!(model.seen.control.leader, NodeId(1));
}

#[test]
fn a_partition_that_has_begun_is_not_begun_again() {
    let mut model = Model::formed(3);
    model.settle();
    model.seen.partitions.remove(&4);
    assert_eq!(next_steps(&model.state, &model.seen), [], "its replicas elect by themselves");
}

#[test]
fn nothing_moves_to_a_node_that_is_not_reached() {
    let mut model = Model::formed(3);
    model.settle();
    model.add(4);
    model.seen.reached.remove(&NodeId(4));
    for _ in 0..3 {
        let steps = next_steps(&model.state, &model.seen);
        assert!(!steps.iter().any(|step| matches!(step, Step::Move { .. })), "{steps:?}");
        steps.into_iter().for_each(|step| model.take(step));
    }
    model.seen.reached.insert(NodeId(4));
    model.settle();
    assert!(model.seen.partitions.values().any(|group| group.voters.contains(&NodeId(4))));
}
