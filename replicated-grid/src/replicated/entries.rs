//! What stands in the log: the commands of an entry, and the entry around them.
//!
//! A batch is encoded once by the leader that stamps its time, and travels and is stored as these bytes. The runner
//! and the log storage use this; what a command means is the state machine's business.

use bytes::Bytes;
use openraft::EntryPayload;

use super::codec::{DecodeError, Reader, Writer};
use super::raft_types::{CommandBatch, Entry, LogId, Membership, Payload, Vote, log_id};
use crate::state_machine::ReplicatedTime;

/// The version of an entry in the log and on the wire.
const ENTRY_VERSION: u8 = 1;
/// What an entry has around the commands: version, term, kind, time, count.
const OVERHEAD_BYTES: usize = 1 + 8 + 1 + 8 + 4;

/// The last term or index that is taken for one, so that there are numbers for those that follow: at a million entries a second
/// it is reached after 292,000 years.
pub(super) const COUNTED_MAX: u64 = u64::MAX / 2;

const BLANK: u8 = 0;
const COMMANDS: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Encodes commands that are applied together, at one time.
pub(super) fn encode_batch<'a>(
    at: ReplicatedTime,
    commands: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
) -> CommandBatch {
    let bytes: usize = commands.clone().map(|command| 4 + command.len()).sum();
    let mut writer = Writer::with_capacity(OVERHEAD_BYTES + bytes);
    writer.i64(at.unix_ms);
    writer.list(commands, |writer, command| writer.bytes(command));
    CommandBatch(writer.finish())
}

/// The time and the commands of a batch.
pub(super) fn decode_batch(batch: &CommandBatch) -> Result<(ReplicatedTime, Vec<Bytes>), DecodeError> {
    let mut reader = Reader::new(batch.0.clone());
    let at = ReplicatedTime { unix_ms: reader.i64()? };
    let commands = reader.list(Reader::bytes)?;
    reader.finish()?;
    Ok((at, commands))
}

/// An entry without its index, which whoever stores or sends it knows.
pub(super) fn encode_entry(entry: &Entry) -> Bytes {
    let capacity = match &entry.payload {
        EntryPayload::Normal(batch) => OVERHEAD_BYTES + batch.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => OVERHEAD_BYTES,
    };
    let mut writer = Writer::with_capacity(capacity);
    writer.u8(ENTRY_VERSION);
    writer.u64(entry.log_id.leader_id.term);
    match &entry.payload {
        EntryPayload::Blank => writer.u8(BLANK),
        EntryPayload::Normal(batch) => {
            writer.u8(COMMANDS);
            writer.raw(&batch.0);
        }
        EntryPayload::Membership(membership) => {
            writer.u8(MEMBERSHIP);
            put_membership(&mut writer, membership);
        }
    }
    writer.finish()
}

/// The entry at `index`.
pub(super) fn decode_entry(index: u64, bytes: Bytes) -> Result<Entry, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.version(ENTRY_VERSION)?;
    let term = read_counted(&mut reader)?;
    let payload = decode_payload(reader)?;
    Ok(openraft::entry::RaftEntry::new(log_id(term, index), payload))
}

fn decode_payload(mut reader: Reader) -> Result<Payload, DecodeError> {
    match reader.u8()? {
        BLANK => reader.finish().map(|()| EntryPayload::Blank),
        COMMANDS => Ok(EntryPayload::Normal(CommandBatch(reader.rest()))),
        MEMBERSHIP => {
            let membership = membership(&mut reader)?;
            reader.finish()?;
            Ok(EntryPayload::Membership(membership))
        }
        _ => Err(DecodeError("its kind of entry is not known")),
    }
}

pub(super) fn put_log_id(writer: &mut Writer, log_id: LogId) {
    writer.u64(log_id.leader_id.term);
    writer.u64(log_id.index);
}

pub(super) fn read_log_id(reader: &mut Reader) -> Result<LogId, DecodeError> {
    Ok(log_id(read_counted(reader)?, read_counted(reader)?))
}

/// A term or an index: whoever takes one adds to it, openraft too.
fn read_counted(reader: &mut Reader) -> Result<u64, DecodeError> {
    let number = reader.u64()?;
    if number <= COUNTED_MAX { Ok(number) } else { Err(DecodeError("nobody has counted to its term or index")) }
}

pub(super) fn put_vote(writer: &mut Writer, vote: &Vote) {
    writer.u64(vote.leader_id.term);
    writer.u64(vote.leader_id.voted_for);
    writer.flag(vote.committed);
}

pub(super) fn read_vote(reader: &mut Reader) -> Result<Vote, DecodeError> {
    let (term, node) = (read_counted(reader)?, reader.u64()?);
    let committed = reader.flag()?;
    Ok(if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

pub(super) fn put_membership(writer: &mut Writer, membership: &Membership) {
    writer.list(membership.get_joint_config().iter(), |writer, voters| {
        writer.list(voters.iter(), |writer, node| writer.u64(*node));
    });
    let nodes: Vec<_> = membership.nodes().collect();
    writer.list(nodes.iter(), |writer, (id, node)| {
        writer.u64(**id);
        writer.bytes(node.addr.as_bytes());
    });
}

pub(super) fn membership(reader: &mut Reader) -> Result<Membership, DecodeError> {
    let configs = reader.list(|reader| Ok(reader.list(Reader::u64)?.into_iter().collect()))?;
    let nodes = reader.list(|reader| Ok((reader.u64()?, openraft::BasicNode::new(reader.text()?))))?;
    let nodes: std::collections::BTreeMap<_, _> = nodes.into_iter().collect();
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| DecodeError("a voter of a membership is none of its nodes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_comes_back(time in any::<i64>(), commands in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..9)) {
            let commands: Vec<Bytes> = commands.into_iter().map(Bytes::from).collect();
            let at = ReplicatedTime { unix_ms: time };
            let batch = encode_batch(at, commands.iter());
            prop_assert_eq!(decode_batch(&batch).unwrap(), (at, commands));
            let entry: Entry = openraft::entry::RaftEntry::new(log_id(7, 9), EntryPayload::Normal(batch.clone()));
            let read = decode_entry(9, encode_entry(&entry)).unwrap();
            prop_assert_eq!(read.log_id, entry.log_id);
            prop_assert!(matches!(read.payload, EntryPayload::Normal(read) if read.0 == batch.0));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from(bytes);
            let _ = decode_batch(&CommandBatch(bytes.clone()));
            let _ = decode_entry(3, bytes.clone());
            let _ = membership(&mut Reader::new(bytes));
        }
    }

    #[test]
    fn a_membership_comes_back() {
        let nodes = [(1, "a:1"), (2, "b:2"), (3, "c:3")].map(|(id, address)| (id, openraft::BasicNode::new(address)));
        let nodes: std::collections::BTreeMap<_, _> = nodes.into_iter().collect();
        let joint = Membership::new(vec![[1, 2].into(), [2].into()], nodes).unwrap();
        let mut writer = Writer::default();
        put_membership(&mut writer, &joint);
        let mut reader = Reader::new(writer.finish());
        assert_eq!(membership(&mut reader).unwrap(), joint);
        reader.finish().unwrap();
    }
}
