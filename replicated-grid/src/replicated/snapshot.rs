//! A snapshot of a group: a header with how far the replica has come, and the state machine's bytes behind it.
//!
//! On the wire it is one piece; on disk the header is what the store keeps beside the data.

use bytes::{Bytes, BytesMut};

use super::codec::{DecodeError, Reader, Writer};
use super::entries::{membership, put_log_id, put_membership, read_log_id};
use super::raft_types::{LogId, SnapshotMeta, StoredMembership};
use crate::log::StoredSnapshot;
use crate::state_machine::ReplicatedTime;

const VERSION: u8 = 1;

/// How far a replica has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    pub(super) last: Option<LogId>,
    pub(super) membership: StoredMembership,
    pub(super) time: ReplicatedTime,
}

impl Position {
    pub(super) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

/// A whole snapshot.
pub(super) fn encode(position: &Position, state: &[u8]) -> Bytes {
    let mut writer = Writer::with_capacity(state.len() + 256);
    writer.u8(VERSION);
    writer.i64(position.time.unix_ms);
    writer.option(position.last, put_log_id);
    writer.option(*position.membership.log_id(), put_log_id);
    put_membership(&mut writer, position.membership.membership());
    writer.raw(state);
    writer.finish()
}

/// The header of a snapshot, and the state behind it.
pub(super) fn decode(snapshot: Bytes) -> Result<(Position, Bytes), DecodeError> {
    let mut reader = Reader::new(snapshot);
    reader.version(VERSION)?;
    let time = ReplicatedTime { unix_ms: reader.i64()? };
    let last = reader.option(read_log_id)?;
    let changed_at = reader.option(read_log_id)?;
    let membership = StoredMembership::new(changed_at, membership(&mut reader)?);
    Ok((Position { last, membership, time }, reader.rest()))
}

/// A whole snapshot as the store keeps it, without copying.
pub(super) fn to_stored(whole: &Bytes) -> Result<(Bytes, Vec<Bytes>), DecodeError> {
    let (_, state) = decode(whole.clone())?;
    Ok((whole.slice(..whole.len() - state.len()), vec![state]))
}

/// The whole of what [`to_stored`] took apart.
pub(super) fn from_stored(stored: &StoredSnapshot) -> Bytes {
    let bytes: usize = stored.data.iter().map(Bytes::len).sum();
    let mut whole = BytesMut::with_capacity(stored.meta.len() + bytes);
    whole.extend_from_slice(&stored.meta);
    stored.data.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}
