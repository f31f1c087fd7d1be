//! The state of the control group: who is a member, and which nodes are to hold which partition.
//!
//! A state machine like any other, replicated to every member, so that each knows the whole map. It holds what is
//! wanted; what is the case, partition by partition, is in the raft groups themselves, and [`plan`] brings one to the
//! other.

pub(super) mod balance;
pub(super) mod command;
pub(super) mod placement;
pub(super) mod plan;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use self::command::Command;
use super::codec::{DecodeError, Reader, Writer};
use crate::node::{Member, NodeId};
use crate::state_machine::{ReplicatedTime, RestoreError, StateMachine};

const SNAPSHOT_VERSION: u8 = 1;
/// The most partitions, so that each has a number of 16 bits, and so has the one behind the last.
const PARTITIONS_MAX: usize = u16::MAX as usize - 1;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ControlState {
    /// How many replicas are wanted; 0 until the grid is formed.
    pub(super) replication_factor: u16,
    pub(super) members: BTreeMap<NodeId, ControlMember>,
    pub(super) partitions: Vec<Placement>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ControlMember {
    pub(super) address: String,
    /// It is being removed: everything moves off it.
    pub(super) is_leaving: bool,
}

/// Where a partition is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// The nodes that are to hold it.
    pub(super) replicas: Vec<NodeId>,
    /// The nodes it begins with. Only ever these, so that it cannot begin twice with two memberships.
    pub(super) initial: Vec<NodeId>,
    /// Whether it has been seen to have a leader; it is not begun again then.
    pub(super) is_started: bool,
}

impl ControlState {
    /// Whether the grid has been formed.
    pub(super) fn is_formed(&self) -> bool {
        self.replication_factor > 0
    }

    /// The members that stay.
    pub(super) fn staying(&self) -> BTreeSet<NodeId> {
        self.members.iter().filter(|(_, member)| !member.is_leaving).map(|(id, _)| *id).collect()
    }

    /// A member as others reach it.
    pub(super) fn member(&self, id: NodeId) -> Option<Member> {
        self.members.get(&id).map(|member| Member { id, address: member.address.clone() })
    }

    /// Every member.
    pub(super) fn all_members(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.iter().map(|(id, member)| Member { id: *id, address: member.address.clone() })
    }

    fn carry_out(&mut self, command: Command) -> Result<(), &'static str> {
        match command {
            Command::Form { replication_factor, members, partitions } => {
                self.form(replication_factor, members, partitions)
            }
            Command::AddMember(member) => self.add(member),
            Command::Leave(node) => self.leave(node),
            Command::Replace { old, new } => self.replace(old, new),
            Command::Forget(node) => self.forget(node),
            Command::Assign { partition, replicas } => self.assign(partition, replicas),
            Command::Started(partition) => {
                let placement = self.partitions.get_mut(usize::from(partition)).ok_or("there is no such partition")?;
                placement.is_started = true;
                Ok(())
            }
        }
    }

    fn form(&mut self, replication_factor: u16, members: Vec<Member>, partitions: u16) -> Result<(), &'static str> {
        if self.is_formed() {
            return Err("the grid has been formed already");
        }
        if replication_factor == 0 || members.is_empty() || partitions == 0 {
            return Err("a grid has members, partitions and replicas");
        }
        if usize::from(partitions) > PARTITIONS_MAX {
            return Err("a grid has at most 65534 partitions");
        }
        let ids: Vec<NodeId> = members.iter().map(|member| member.id).collect();
        self.replication_factor = replication_factor;
        self.members = members
            .into_iter()
            .map(|member| (member.id, ControlMember { address: member.address, is_leaving: false }))
            .collect();
        self.partitions = placement::initial(&ids, partitions, usize::from(replication_factor))
            .into_iter()
            .map(|replicas| Placement { initial: replicas.clone(), replicas, is_started: false })
            .collect();
        Ok(())
    }

    fn add(&mut self, member: Member) -> Result<(), &'static str> {
        if !self.is_formed() {
            return Err("the grid has not been formed yet");
        }
        if self.members.get(&member.id).is_some_and(|known| known.is_leaving) {
            return Err("the node is being removed");
        }
        self.members.insert(member.id, ControlMember { address: member.address, is_leaving: false });
        Ok(())
    }

    /// One at a time: whoever is being moved off still counts for what has not moved.
    fn replace(&mut self, old: NodeId, new: Member) -> Result<(), &'static str> {
        let gone = self.members.get(&old).ok_or("the node to replace is no member")?;
        if gone.address != new.address {
            return Err("the node to replace is at another address");
        }
        let is_other = |member: &ControlMember| member.is_leaving && member.address != new.address;
        if self.members.values().any(is_other) {
            return Err("another node is being removed");
        }
        self.add(new)?;
        self.leave(old)
    }

    fn leave(&mut self, node: NodeId) -> Result<(), &'static str> {
        if self.staying() == BTreeSet::from([node]) {
            return Err("the last node cannot be removed");
        }
        self.members.get_mut(&node).ok_or("the node is no member")?.is_leaving = true;
        Ok(())
    }

    fn forget(&mut self, node: NodeId) -> Result<(), &'static str> {
        if self.partitions.iter().any(|placement| placement.replicas.contains(&node)) {
            return Err("the node still holds partitions");
        }
        self.members.remove(&node).map(|_| ()).ok_or("the node is no member")
    }

    fn assign(&mut self, partition: u16, replicas: Vec<NodeId>) -> Result<(), &'static str> {
        let known = replicas.iter().all(|node| self.members.contains_key(node));
        let placement = self.partitions.get_mut(usize::from(partition)).ok_or("there is no such partition")?;
        if replicas.is_empty() || !known {
            return Err("a partition is held by members");
        }
        placement.replicas = replicas;
        Ok(())
    }

    fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(SNAPSHOT_VERSION)?;
        let replication_factor = reader.u16()?;
        let members = reader.list(|reader| {
            let id = NodeId(reader.u64()?);
            Ok((id, ControlMember { address: reader.text()?, is_leaving: reader.flag()? }))
        })?;
        let partitions = reader.list(|reader| {
            let (replicas, initial) = (read_nodes(reader)?, read_nodes(reader)?);
            Ok(Placement { replicas, initial, is_started: reader.flag()? })
        })?;
        reader.finish()?;
        if partitions.len() > PARTITIONS_MAX {
            return Err(DecodeError("it has more partitions than there are numbers"));
        }
        Ok(Self { replication_factor, members: members.into_iter().collect(), partitions })
    }
}

impl StateMachine for ControlState {
    fn apply(&mut self, _at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        let outcome = match Command::decode(Bytes::copy_from_slice(command)) {
            Ok(command) => self.carry_out(command),
            Err(_) => Err("the command cannot be read"),
        };
        command::encode_outcome(outcome)
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(SNAPSHOT_VERSION);
        writer.u16(self.replication_factor);
        writer.list(self.members.iter(), |writer, (id, member)| {
            writer.u64(id.0);
            writer.bytes(member.address.as_bytes());
            writer.flag(member.is_leaving);
        });
        writer.list(self.partitions.iter(), |writer, placement| {
            put_nodes(writer, &placement.replicas);
            put_nodes(writer, &placement.initial);
            writer.flag(placement.is_started);
        });
        writer.finish().to_vec()
    }

    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        Self::read(Bytes::copy_from_slice(snapshot)).map_err(|error| RestoreError { reason: error.to_string() })
    }
}

pub(super) fn put_nodes(writer: &mut Writer, nodes: &[NodeId]) {
    writer.list(nodes.iter(), |writer, node| writer.u64(node.0));
}

pub(super) fn read_nodes(reader: &mut Reader) -> Result<Vec<NodeId>, DecodeError> {
    reader.list(|reader| reader.u64().map(NodeId))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn member(id: u64) -> Member {
        Member { id: NodeId(id), address: format!("node-{id}:1") }
    }

    fn formed() -> ControlState {
        let mut state = ControlState::default();
        state.form(3, (1..=3).map(member).collect(), 4).unwrap();
        state
    }

    #[test]
    fn there_is_a_number_for_every_partition() {
        let mut state = ControlState::default();
        assert!(state.form(1, vec![member(1)], u16::MAX).is_err());
        state.form(1, vec![member(1)], 1).unwrap();
        for (partitions, is_read) in [(PARTITIONS_MAX, true), (PARTITIONS_MAX + 1, false)] {
            state.partitions.resize_with(partitions, Placement::default);
            assert_eq!(ControlState::restore(&state.snapshot()).is_ok(), is_read, "{partitions}");
        }
    }

    #[test]
    fn it_conforms() {
        let commands = [
            Command::Form { replication_factor: 3, members: (1..=3).map(member).collect(), partitions: 4 },
            Command::AddMember(member(4)),
            Command::Started(2),
            Command::Assign { partition: 1, replicas: vec![NodeId(4), NodeId(2)] },
            Command::Replace { old: NodeId(4), new: Member { id: NodeId(5), address: "node-4:1".to_owned() } },
            Command::Leave(NodeId(3)),
            Command::Assign { partition: 9, replicas: vec![NodeId(4)] },
        ];
        let commands: Vec<_> =
            commands.iter().map(|command| (ReplicatedTime::default(), command.encode().to_vec())).collect();
        assert_eq!(conformance::check(ControlState::default, &commands), Ok(()));
    }

    #[test]
    fn a_grid_is_formed_once_and_a_node_is_forgotten_only_when_it_holds_nothing() {
        let mut state = formed();
        assert!(state.form(3, vec![member(9)], 4).is_err());
        state.leave(NodeId(1)).unwrap();
        assert!(state.forget(NodeId(1)).is_err());
        for partition in 0..4 {
            state.assign(partition, vec![NodeId(2), NodeId(3)]).unwrap();
        }
        state.forget(NodeId(1)).unwrap();
        assert_eq!(state.staying(), [NodeId(2), NodeId(3)].into());
    }

    #[test]
    fn a_node_is_replaced_at_its_address_and_one_at_a_time() {
        let mut state = formed();
        let successor = |id, address: &str| Member { id: NodeId(id), address: address.to_owned() };
        assert!(state.replace(NodeId(3), successor(7, "elsewhere:1")).is_err());
        assert!(state.replace(NodeId(9), successor(7, "node-9:1")).is_err());
        state.replace(NodeId(3), successor(7, "node-3:1")).unwrap();
        assert_eq!(state.staying(), [NodeId(1), NodeId(2), NodeId(7)].into());
        state.replace(NodeId(3), successor(7, "node-3:1")).unwrap();
        assert!(state.replace(NodeId(2), successor(8, "node-2:1")).is_err(), "one is under way");
        state.replace(NodeId(7), successor(8, "node-3:1")).unwrap();
        assert_eq!(state.staying(), [NodeId(1), NodeId(2), NodeId(8)].into(), "it was restarted once more");
    }

    #[test]
    fn the_last_node_stays() {
        let mut state = formed();
        state.leave(NodeId(1)).unwrap();
        state.leave(NodeId(2)).unwrap();
        assert!(state.leave(NodeId(3)).is_err());
    }
}
