//! What changes the control group's state, as bytes.

use bytes::Bytes;

use super::{put_nodes, read_nodes};
use crate::node::{Member, NodeId};
use crate::replicated::codec::{DecodeError, Reader, Writer};

const VERSION: u8 = 1;

/// A change of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replicated) enum Command {
    /// Forms the grid.
    Form {
        /// Replicas of each partition.
        replication_factor: u16,
        /// Its first members.
        members: Vec<Member>,
        /// How many partitions.
        partitions: u16,
    },
    /// Takes a node in, or notes that it is reached elsewhere now.
    AddMember(Member),
    /// Begins to move everything off a node.
    Leave(NodeId),
    /// Takes a node out that holds nothing any more.
    Forget(NodeId),
    /// Wants a partition elsewhere.
    Assign {
        /// Which.
        partition: u16,
        /// On which nodes.
        replicas: Vec<NodeId>,
    },
    /// A partition has begun.
    Started(u16),
    /// Takes a node in for one that has lost its memory and its id, and begins to move everything off that one.
    Replace {
        /// Which is gone.
        old: NodeId,
        /// Who came, at the same address.
        new: Member,
    },
}

impl Command {
    pub(in crate::replicated) fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        match self {
            Self::Form { replication_factor, members, partitions } => {
                writer.u8(0);
                writer.u16(*replication_factor);
                writer.list(members.iter(), put_member);
                writer.u16(*partitions);
            }
            Self::AddMember(member) => {
                writer.u8(1);
                put_member(&mut writer, member);
            }
            Self::Leave(node) => {
                writer.u8(2);
                writer.u64(node.0);
            }
            Self::Forget(node) => {
                writer.u8(3);
                writer.u64(node.0);
            }
            Self::Assign { partition, replicas } => {
                writer.u8(4);
                writer.u16(*partition);
                put_nodes(&mut writer, replicas);
            }
            Self::Started(partition) => {
                writer.u8(5);
                writer.u16(*partition);
            }
            Self::Replace { old, new } => {
                writer.u8(6);
                writer.u64(old.0);
                put_member(&mut writer, new);
            }
        }
        writer.finish()
    }

    pub(in crate::replicated) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let command = match reader.u8()? {
            0 => Self::Form {
                replication_factor: reader.u16()?,
                members: reader.list(read_member)?,
                partitions: reader.u16()?,
            },
            1 => Self::AddMember(read_member(&mut reader)?),
            2 => Self::Leave(NodeId(reader.u64()?)),
            3 => Self::Forget(NodeId(reader.u64()?)),
            4 => Self::Assign { partition: reader.u16()?, replicas: read_nodes(&mut reader)? },
            5 => Self::Started(reader.u16()?),
            6 => Self::Replace { old: NodeId(reader.u64()?), new: read_member(&mut reader)? },
            _ => return Err(DecodeError("its kind of command is not known")),
        };
        reader.finish()?;
        Ok(command)
    }
}

/// The reply to a command.
pub(in crate::replicated) fn encode_outcome(outcome: Result<(), &'static str>) -> Vec<u8> {
    match outcome {
        Ok(()) => vec![0],
        Err(reason) => [&[1], reason.as_bytes()].concat(),
    }
}

/// Reads the reply to a command; the error is why it was refused.
pub(in crate::replicated) fn decode_outcome(reply: &[u8]) -> Result<(), String> {
    match reply {
        [0] => Ok(()),
        [1, reason @ ..] => Err(String::from_utf8_lossy(reason).into_owned()),
        _ => Err("its outcome cannot be read".to_owned()),
    }
}

pub(in crate::replicated) fn put_member(writer: &mut Writer, member: &Member) {
    writer.u64(member.id.0);
    writer.bytes(member.address.as_bytes());
}

pub(in crate::replicated) fn read_member(reader: &mut Reader) -> Result<Member, DecodeError> {
    Ok(Member { id: NodeId(reader.u64()?), address: reader.text()? })
}
