//! What openraft's type parameters are here. No other crate sees these.

use std::fmt;

use bytes::Bytes;
use openraft::RaftTypeConfig;
use openraft::raft::responder::Responder;
use tokio::sync::oneshot;

use super::machine::Machine;
use super::runtime::GridRuntime;

/// openraft's type parameters: its own types where it has them, one leader per term as in the paper, so that a term names
/// a leadership, which the services rely on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = CommandBatch;
    type R = Replies;
    type NodeId = u64;
    type Node = openraft::BasicNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<CommandBatch, u64, openraft::BasicNode>;
    type Entry = openraft::Entry<CommittedLeader, Self::Payload>;
    type AsyncRuntime = GridRuntime;
    type Responder<T>
        = Reply<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(super) type CommittedLeader = openraft::vote::leader_id_std::CommittedLeaderId<u64>;
pub(super) type LogId = openraft::LogId<CommittedLeader>;
pub(super) type Vote = <Types as RaftTypeConfig>::Vote;
pub(super) type Entry = <Types as RaftTypeConfig>::Entry;
pub(super) type Payload = <Types as RaftTypeConfig>::Payload;
pub(super) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(super) type StoredMembership = openraft::StoredMembership<CommittedLeader, u64, openraft::BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeader, u64, openraft::BasicNode>;
pub(super) type Snapshot = openraft::Snapshot<CommittedLeader, u64, openraft::BasicNode, Bytes>;
pub(super) type Raft = openraft::Raft<Types, Machine>;
pub(super) type RaftMetrics = openraft::RaftMetrics<Types>;
pub(super) type WriteResult = openraft::raft::ClientWriteResult<Types>;

/// The log id of `index` in `term`.
pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeader::new(term), index)
}

/// The commands of one entry with their time, encoded by [`super::batch`].
#[derive(Clone)]
pub(super) struct CommandBatch(pub(super) Bytes);

impl fmt::Debug for CommandBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

impl fmt::Display for CommandBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

/// The replies to the commands of one entry.
#[derive(Debug, Default)]
pub(super) struct Replies(pub(super) Vec<Vec<u8>>);

/// Tells whoever waits; nobody does after a timeout, and that is fine.
pub(super) struct Reply<T>(pub(super) oneshot::Sender<T>);

impl<T: Send + 'static> Responder<Types, T> for Reply<T> {
    fn on_complete(self, result: T) {
        let _ = self.0.send(result);
    }
}
