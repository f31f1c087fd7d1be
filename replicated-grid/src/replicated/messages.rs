//! What the nodes of a grid say to each other: the frame of a request, and openraft's messages within it.
//!
//! A request is a version, the group it is about, its kind, and a body. Appends carry entries as they stand in the log.
//! Snapshots, proposals and the rest have bodies of their own, beside the code that sends and answers them.

use bytes::Bytes;
use openraft::LogIdOptionExt;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};

use super::codec::{DecodeError, Reader, Writer};
use super::entries::{decode_entry, encode_entry, put_log_id, put_vote, read_log_id, read_vote};
use super::raft_types::Types;
use crate::log::GroupId;

/// The version of every request and answer. Nodes of two versions can run side by side as long as this stays.
const WIRE_VERSION: u8 = 1;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Append,
    Vote,
    PreVote,
    TransferLeader,
    SnapshotChunk,
    Propose,
    Report,
    Change,
    Initialize,
    Move,
    Lead,
    Hello,
    Rejoin,
    Ask,
}

const KINDS: [Kind; 14] = [
    Kind::Append,
    Kind::Vote,
    Kind::PreVote,
    Kind::TransferLeader,
    Kind::SnapshotChunk,
    Kind::Propose,
    Kind::Report,
    Kind::Change,
    Kind::Initialize,
    Kind::Move,
    Kind::Lead,
    Kind::Hello,
    Kind::Rejoin,
    Kind::Ask,
];

/// Begins a request; its body follows.
pub(super) fn request(group: GroupId, kind: Kind) -> Writer {
    let mut writer = Writer::default();
    writer.u8(WIRE_VERSION);
    writer.u16(group);
    writer.u8(kind as u8);
    writer
}

/// Reads what [`request`] began.
pub(super) fn open_request(bytes: Bytes) -> Result<(GroupId, Kind, Reader), DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.version(WIRE_VERSION)?;
    let group = reader.u16()?;
    let kind = KINDS.get(usize::from(reader.u8()?)).ok_or(DecodeError("its kind is not known"))?;
    Ok((group, *kind, reader))
}

/// Begins an answer.
pub(super) fn answer() -> Writer {
    let mut writer = Writer::default();
    writer.u8(WIRE_VERSION);
    writer
}

/// Reads what [`answer`] began.
pub(super) fn open_answer(bytes: Bytes) -> Result<Reader, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.version(WIRE_VERSION)?;
    Ok(reader)
}

pub(super) fn put_append(writer: &mut Writer, append: &AppendEntriesRequest<Types>) {
    put_vote(writer, &append.vote);
    writer.option(append.prev_log_id, put_log_id);
    writer.option(append.leader_commit, put_log_id);
    writer.list(append.entries.iter(), |writer, entry| writer.bytes(&encode_entry(entry)));
}

/// Entries follow the one before them without a gap, whatever the bytes say: their indexes are not on the wire. Their
/// terms never fall and are no later than the vote's.
pub(super) fn read_append(mut reader: Reader) -> Result<AppendEntriesRequest<Types>, DecodeError> {
    let vote = read_vote(&mut reader)?;
    let prev_log_id = reader.option(read_log_id)?;
    let leader_commit = reader.option(read_log_id)?;
    let mut before = prev_log_id;
    let entries = reader.list(|reader| {
        let entry = decode_entry(before.next_index(), reader.bytes()?)?;
        let term = entry.log_id.leader_id.term;
        if term > vote.leader_id.term || before.is_some_and(|before| before.leader_id.term > term) {
            return Err(DecodeError("the terms of its entries are out of order"));
        }
        before = Some(entry.log_id);
        Ok(entry)
    })?;
    reader.finish()?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

pub(super) fn append_answer(response: &AppendEntriesResponse<Types>) -> Bytes {
    let mut writer = answer();
    match response {
        AppendEntriesResponse::Success => writer.u8(0),
        AppendEntriesResponse::PartialSuccess(through) => {
            writer.u8(1);
            writer.option(*through, put_log_id);
        }
        AppendEntriesResponse::Conflict => writer.u8(2),
        AppendEntriesResponse::HigherVote(vote) => {
            writer.u8(3);
            put_vote(&mut writer, vote);
        }
    }
    writer.finish()
}

pub(super) fn read_append_answer(bytes: Bytes) -> Result<AppendEntriesResponse<Types>, DecodeError> {
    let mut reader = open_answer(bytes)?;
    let response = match reader.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(reader.option(read_log_id)?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(read_vote(&mut reader)?),
        _ => return Err(DecodeError("its answer to an append is not known")),
    };
    reader.finish()?;
    Ok(response)
}

pub(super) fn put_vote_request(writer: &mut Writer, request: &VoteRequest<Types>) {
    put_vote(writer, &request.vote);
    writer.option(request.last_log_id, put_log_id);
    writer.flag(request.leadership_transfer);
}

pub(super) fn read_vote_request(mut reader: Reader) -> Result<VoteRequest<Types>, DecodeError> {
    let vote = read_vote(&mut reader)?;
    let mut request = VoteRequest::new(vote, reader.option(read_log_id)?);
    request.leadership_transfer = reader.flag()?;
    reader.finish()?;
    Ok(request)
}

pub(super) fn vote_answer(response: &VoteResponse<Types>) -> Bytes {
    let mut writer = answer();
    put_vote(&mut writer, &response.vote);
    writer.flag(response.vote_granted);
    writer.option(response.last_log_id, put_log_id);
    writer.finish()
}

pub(super) fn read_vote_answer(bytes: Bytes) -> Result<VoteResponse<Types>, DecodeError> {
    let mut reader = open_answer(bytes)?;
    let vote = read_vote(&mut reader)?;
    let granted = reader.flag()?;
    let last = reader.option(read_log_id)?;
    reader.finish()?;
    Ok(VoteResponse::new(vote, last, granted))
}

pub(super) fn put_transfer(writer: &mut Writer, request: &TransferLeaderRequest<Types>) {
    put_vote(writer, request.from_leader());
    writer.u64(*request.to_node_id());
    writer.option(request.last_log_id().copied(), put_log_id);
}

pub(super) fn read_transfer(mut reader: Reader) -> Result<TransferLeaderRequest<Types>, DecodeError> {
    let from = read_vote(&mut reader)?;
    let to = reader.u64()?;
    let last = reader.option(read_log_id)?;
    reader.finish()?;
    Ok(TransferLeaderRequest::new(from, to, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replicated::entries::COUNTED_MAX;
    use crate::replicated::raft_types::{Vote, log_id};
    use proptest::prelude::*;

    #[test]
    fn an_append_comes_back() {
        let entry = |index| openraft::entry::RaftEntry::new(log_id(3, index), openraft::EntryPayload::Blank);
        let append = AppendEntriesRequest {
            vote: Vote::new_committed(3, 9),
            prev_log_id: Some(log_id(2, 6)),
            entries: vec![entry(7), entry(8)],
            leader_commit: Some(log_id(2, 5)),
        };
        let mut writer = request(4, Kind::Append);
        put_append(&mut writer, &append);
        let (group, kind, reader) = open_request(writer.finish()).unwrap();
        assert_eq!((group, kind), (4, Kind::Append));
        assert_eq!(format!("{:?}", read_append(reader).unwrap()), format!("{append:?}"));
    }

    #[test]
    fn terms_out_of_order_are_refused() {
        let entry = |term| openraft::entry::RaftEntry::new(log_id(term, 0), openraft::EntryPayload::Blank);
        for (vote, terms) in [(3, vec![3, 2]), (1, vec![2])] {
            let mut writer = Writer::default();
            put_vote(&mut writer, &Vote::new_committed(vote, 9));
            writer.option(None, put_log_id);
            writer.option(None, put_log_id);
            writer.list(terms.into_iter(), |writer, term| writer.bytes(&encode_entry(&entry(term))));
            assert!(read_append(Reader::new(writer.finish())).is_err());
        }
    }

    #[test]
    fn a_term_or_an_index_that_nobody_counts_to_is_refused() {
        let entry = openraft::entry::RaftEntry::new(log_id(1, 0), openraft::EntryPayload::Blank);
        for (term, index, is_read) in [
            (1, COUNTED_MAX, true),
            (COUNTED_MAX, 1, true),
            (1, COUNTED_MAX + 1, false),
            (COUNTED_MAX + 1, 1, false),
            (1, u64::MAX, false),
            (u64::MAX, 1, false),
        ] {
            let mut writer = Writer::default();
            put_vote(&mut writer, &Vote::new_committed(term, 9));
            writer.option(Some(log_id(1, index)), put_log_id);
            writer.option(None, put_log_id);
            writer.list(0..2, |writer, _| writer.bytes(&encode_entry(&entry)));
            assert_eq!(read_append(Reader::new(writer.finish())).is_ok(), is_read, "term {term}, index {index}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let bytes = Bytes::from(bytes);
            let reader = || Reader::new(bytes.clone());
            let _ = (open_request(bytes.clone()).is_ok(), read_append(reader()).is_ok(), read_vote_request(reader()).is_ok());
            let _ = (read_transfer(reader()).is_ok(), read_append_answer(bytes.clone()).is_ok(), read_vote_answer(bytes.clone()).is_ok());
        }
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, number);
        }
    }
}
