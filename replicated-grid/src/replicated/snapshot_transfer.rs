//! Snapshots on their way to another node: in chunks, each acknowledged, on a lane of their own.
//!
//! The sender cuts; the receiver gathers one snapshot per group, from whoever began last, and gives it to openraft when
//! it is whole. A chunk that does not fit starts the transfer over.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openraft::errors::StreamingError;
use openraft::raft::SnapshotResponse;
use parking_lot::Mutex;

use super::codec::{DecodeError, Reader};
use super::entries::{put_vote, read_vote};
use super::messages::{Kind, answer, open_answer, request};
use super::network::{Connection, not_answered, unreadable};
use super::raft_types::{Snapshot, Types, Vote};
use super::snapshot::decode;
use crate::node::NodeId;
use crate::peers::Lane;
use crate::spawn::task_seed;

/// A chunk: large enough to fill a link, small enough that eight of them fit the transport's window.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long a chunk may take to be acknowledged.
const CHUNK_DEADLINE: Duration = Duration::from_secs(5);
/// How long the last one may take: the snapshot is restored and saved in it.
const INSTALL_DEADLINE: Duration = Duration::from_secs(60);
/// The largest snapshot taken in: far beyond what a partition should hold, and a bound on what a peer can make us keep.
const SNAPSHOT_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;

const GO_ON: u8 = 0;
const INSTALLED: u8 = 1;

/// Sends a snapshot and waits until it is installed.
pub(super) async fn send(
    connection: &Connection,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
    let (transfer, bytes) = (task_seed(), snapshot.snapshot);
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + CHUNK_BYTES);
        let is_last = end == bytes.len();
        let mut body = request(connection.group, Kind::SnapshotChunk);
        put_vote(&mut body, &vote);
        body.u64(transfer);
        body.u64(bytes.len() as u64);
        body.u64(offset as u64);
        body.raw(&bytes[offset..end]);
        let deadline = if is_last { INSTALL_DEADLINE } else { CHUNK_DEADLINE };
        let sent = connection.peers.call(&connection.target(), Lane::Snapshot, body.finish(), deadline).await;
        match read_answer(sent.map_err(not_answered)?).map_err(unreadable)? {
            Some(theirs) => return Ok(SnapshotResponse::new(theirs)),
            None if is_last => return Err(unreadable(DecodeError("a whole snapshot was not installed")).into()),
            None => offset = end,
        }
    }
}

fn read_answer(bytes: Bytes) -> Result<Option<Vote>, DecodeError> {
    let mut reader = open_answer(bytes)?;
    let installed = match reader.u8()? {
        GO_ON => None,
        INSTALLED => Some(read_vote(&mut reader)?),
        _ => return Err(DecodeError("its answer to a chunk is not known")),
    };
    reader.finish()?;
    Ok(installed)
}

/// The answer to a chunk that is not the last.
pub(super) fn go_on() -> Bytes {
    let mut writer = answer();
    writer.u8(GO_ON);
    writer.finish()
}

/// The answer to the last chunk.
pub(super) fn installed(vote: &Vote) -> Bytes {
    let mut writer = answer();
    writer.u8(INSTALLED);
    put_vote(&mut writer, vote);
    writer.finish()
}

/// A chunk as it arrived.
pub(super) struct Chunk {
    pub(super) vote: Vote,
    transfer: u64,
    total: u64,
    offset: u64,
    bytes: Bytes,
}

pub(super) fn read_chunk(mut reader: Reader) -> Result<Chunk, DecodeError> {
    let vote = read_vote(&mut reader)?;
    let (transfer, total, offset) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let bytes = reader.rest();
    let ends_within = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= total);
    if total > SNAPSHOT_BYTES_MAX || !ends_within || bytes.is_empty() {
        return Err(DecodeError("a chunk is outside its snapshot"));
    }
    Ok(Chunk { vote, transfer, total, offset, bytes })
}

/// What has arrived of a snapshot of one group.
#[derive(Default)]
pub(super) struct SnapshotInbox(Mutex<Option<Arriving>>);

struct Arriving {
    from: NodeId,
    transfer: u64,
    bytes: BytesMut,
}

impl SnapshotInbox {
    /// Takes a chunk of `from`; answers the snapshot when it is whole.
    pub(super) fn take(&self, from: NodeId, chunk: Chunk) -> Result<Option<Snapshot>, DecodeError> {
        let mut slot = self.0.lock();
        if chunk.offset == 0 {
            *slot = Some(Arriving { from, transfer: chunk.transfer, bytes: BytesMut::new() });
        }
        let fits = |arriving: &&mut Arriving| {
            (arriving.from, arriving.transfer) == (from, chunk.transfer) && arriving.bytes.len() as u64 == chunk.offset
        };
        let arriving = slot.as_mut().filter(fits).ok_or(DecodeError("a chunk does not continue its snapshot"))?;
        arriving.bytes.extend_from_slice(&chunk.bytes);
        if (arriving.bytes.len() as u64) < chunk.total {
            return Ok(None);
        }
        let snapshot = slot.take().map(|arriving| arriving.bytes.freeze()).unwrap_or_default();
        let (position, _) = decode(snapshot.clone())?;
        let beyond_leader = position.last.is_none_or(|last| last.leader_id.term > chunk.vote.leader_id.term);
        if beyond_leader {
            return Err(DecodeError("a snapshot is empty or later than its leader"));
        }
        Ok(Some(Snapshot { meta: position.meta(), snapshot }))
    }
}
