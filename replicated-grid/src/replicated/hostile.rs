//! What other nodes say and what disks hold, damaged: each is refused, or survives being written and read again.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use hostile_inputs::{bytes_near, bytes_of, survives};
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::{BasicNode, EntryPayload};
use proptest::prelude::*;

use super::codec::{DecodeError, Reader, Writer};
use super::control::{ControlState, command};
use super::entries::{decode_batch, decode_entry, encode_batch, encode_entry, membership, put_membership};
use super::messages::{
    append_answer, put_append, put_transfer, put_vote_request, read_append, read_append_answer, read_transfer,
    read_vote_answer, read_vote_request, vote_answer,
};
use super::raft_types::{CommandBatch, Entry, Membership, StoredMembership, Vote, log_id};
use super::reports::Report;
use super::snapshot;
use crate::node::{Member, NodeId};
use crate::state_machine::{ReplicatedTime, StateMachine};

/// What can only be compared as it is shown.
#[derive(Debug)]
struct Shown<T>(T);

impl<T: Debug> PartialEq for Shown<T> {
    fn eq(&self, other: &Self) -> bool {
        format!("{:?}", self.0) == format!("{:?}", other.0)
    }
}

fn written(put: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::default();
    put(&mut writer);
    writer.finish()
}

fn read<T>(bytes: &[u8], read: impl FnOnce(Reader) -> Result<T, DecodeError>) -> Option<Shown<T>> {
    read(Reader::new(Bytes::copy_from_slice(bytes))).ok().map(Shown)
}

fn joint() -> Membership {
    let nodes = [(1, "a:1"), (2, "b:2"), (3, "c:3")].map(|(id, address)| (id, BasicNode::new(address)));
    Membership::new(vec![[1, 2].into(), [2].into()], BTreeMap::from(nodes)).unwrap()
}

fn batch() -> CommandBatch {
    let commands = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
    encode_batch(ReplicatedTime { unix_ms: 1_795_000_000_000 }, commands.iter())
}

fn entries() -> Vec<Entry> {
    let payloads = [EntryPayload::Blank, EntryPayload::Normal(batch()), EntryPayload::Membership(joint())];
    (7..).zip(payloads).map(|(index, payload)| RaftEntry::new(log_id(3, index), payload)).collect()
}

fn append() -> AppendEntriesRequest<super::raft_types::Types> {
    AppendEntriesRequest {
        vote: Vote::new_committed(3, 9),
        prev_log_id: Some(log_id(2, 6)),
        entries: entries(),
        leader_commit: Some(log_id(2, 5)),
    }
}

fn position() -> snapshot::Position {
    snapshot::Position {
        last: Some(log_id(3, 9)),
        membership: StoredMembership::new(Some(log_id(3, 9)), joint()),
        time: ReplicatedTime { unix_ms: 1_795_000_000_000 },
    }
}

fn member(id: u64) -> Member {
    Member { id: NodeId(id), address: format!("node-{id}:1") }
}

fn commands() -> Vec<command::Command> {
    vec![
        command::Command::Form { replication_factor: 3, members: (1..=3).map(member).collect(), partitions: 4 },
        command::Command::AddMember(member(4)),
        command::Command::Assign { partition: 1, replicas: vec![NodeId(4), NodeId(2)] },
        command::Command::Started(2),
        command::Command::Replace { old: NodeId(4), new: Member { id: NodeId(5), ..member(4) } },
        command::Command::Leave(NodeId(3)),
        command::Command::Forget(NodeId(3)),
    ]
}

fn encoded() -> Vec<Vec<u8>> {
    commands().iter().map(|command| command.encode().to_vec()).collect()
}

fn control() -> ControlState {
    let mut state = ControlState::default();
    for command in encoded() {
        state.apply(ReplicatedTime::default(), &command);
    }
    state
}

proptest! {
    #[test]
    fn an_append_is_refused_or_survives(bytes in bytes_of(written(|writer| put_append(writer, &append())).to_vec())) {
        survives(read(&bytes, read_append), |append| read(&written(|writer| put_append(writer, &append.0)), read_append));
    }

    #[test]
    fn the_answer_to_an_append_is_refused_or_survives(
        bytes in bytes_near(vec![
            append_answer(&AppendEntriesResponse::PartialSuccess(Some(log_id(3, 7)))).to_vec(),
            append_answer(&AppendEntriesResponse::HigherVote(Vote::new(4, 2))).to_vec(),
        ]),
    ) {
        let answer = |bytes: Bytes| read_append_answer(bytes).ok().map(Shown);
        survives(answer(bytes.into()), |response| answer(append_answer(&response.0)));
    }

    #[test]
    fn votes_are_refused_or_survive(
        asked in bytes_of(written(|writer| {
            put_vote_request(writer, &VoteRequest::new(Vote::new(4, 2), Some(log_id(3, 7))));
        }).to_vec()),
        answered in bytes_of(vote_answer(&VoteResponse::new(Vote::new(4, 2), Some(log_id(3, 7)), true)).to_vec()),
    ) {
        let again = |request: &Shown<_>| {
            read(&written(|writer| put_vote_request(writer, &request.0)), read_vote_request)
        };
        survives(read(&asked, read_vote_request), again);
        let answer = |bytes: Bytes| read_vote_answer(bytes).ok().map(Shown);
        survives(answer(answered.into()), |response| answer(vote_answer(&response.0)));
    }

    #[test]
    fn a_transfer_is_refused_or_survives(
        bytes in bytes_of(written(|writer| {
            put_transfer(writer, &TransferLeaderRequest::new(Vote::new_committed(4, 2), 3, Some(log_id(3, 7))));
        }).to_vec()),
    ) {
        let again = |request: &Shown<_>| read(&written(|writer| put_transfer(writer, &request.0)), read_transfer);
        survives(read(&bytes, read_transfer), again);
    }

    #[test]
    fn an_entry_is_refused_or_survives(
        bytes in bytes_near(entries().iter().map(|entry| encode_entry(entry).to_vec()).collect()),
    ) {
        let entry = |bytes: Bytes| decode_entry(7, bytes).ok().map(Shown);
        survives(entry(bytes.into()), |read| entry(encode_entry(&read.0)));
    }

    #[test]
    fn a_batch_is_refused_or_survives(bytes in bytes_of(batch().0.to_vec())) {
        let read = decode_batch(&CommandBatch(bytes.into())).ok();
        survives(read, |(at, commands)| decode_batch(&encode_batch(*at, commands.iter())).ok());
    }

    #[test]
    fn a_membership_is_refused_or_survives(
        bytes in bytes_of(written(|writer| put_membership(writer, &joint())).to_vec()),
    ) {
        let read = |bytes: &[u8]| membership(&mut Reader::new(Bytes::copy_from_slice(bytes))).ok();
        survives(read(&bytes), |joint| read(&written(|writer| put_membership(writer, joint))));
    }

    #[test]
    fn a_snapshot_is_refused_or_survives(bytes in bytes_of(snapshot::encode(&position(), b"the state").to_vec())) {
        let read = |bytes: Bytes| snapshot::decode(bytes).ok().map(Shown);
        survives(read(bytes.into()), |whole| read(snapshot::encode(&whole.0.0, &whole.0.1)));
    }

    #[test]
    fn a_report_is_refused_or_survives(bytes in bytes_of(report().encode(Writer::default()).to_vec())) {
        let read = |bytes: &[u8]| Report::read(NodeId(4), Reader::new(Bytes::copy_from_slice(bytes))).ok();
        survives(read(&bytes), |report| read(&report.encode(Writer::default())));
    }

    #[test]
    fn a_command_of_the_control_group_is_refused_or_survives(bytes in bytes_near(encoded())) {
        let read = |bytes: Bytes| command::Command::decode(bytes).ok();
        survives(read(bytes.into()), |command| read(command.encode()));
    }

    /// Replicas that took the same snapshot and the same bytes stay equal.
    #[test]
    fn the_control_group_takes_anything_after_any_snapshot(
        snapshot in bytes_of(control().snapshot()),
        told in prop::collection::vec(bytes_near(encoded()), 0..6),
    ) {
        let restored = ControlState::restore(&snapshot).ok();
        survives(restored.clone(), |state| ControlState::restore(&state.snapshot()).ok());
        if let Some(mut state) = restored {
            let mut replica = state.clone();
            for command in &told {
                let at = ReplicatedTime::default();
                prop_assert_eq!(state.apply(at, command), replica.apply(at, command));
            }
            prop_assert_eq!(&state, &replica);
        }
    }
}

fn report() -> Report {
    let group = super::control::plan::SeenGroup {
        leader: NodeId(4),
        term: 9,
        voters: [NodeId(4), NodeId(5)].into(),
        learners: [NodeId(6)].into(),
        is_joint: true,
        last_index: 77,
        matched: [(NodeId(5), 76)].into(),
    };
    Report { is_draining: true, led: vec![(3, group, ReplicatedTime { unix_ms: -5 })], control_applied: 12 }
}
