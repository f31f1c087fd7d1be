//! openraft's way to other nodes, over [`Peers`].
//!
//! Appends of one follower go one after the other: each waits for its answer, which gathers what arrives meanwhile into
//! the next one. Every call has a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::addresses::Addresses;
use super::codec::{DecodeError, Writer};
use super::lease::TermLease;
use super::messages::{
    Kind, put_append, put_transfer, put_vote_request, read_append_answer, read_vote_answer, request,
};
use super::raft_types::{Snapshot, Types, Vote};
use super::snapshot_transfer;
use crate::log::GroupId;
use crate::node::{Member, NodeId};
use crate::peers::{Lane, PeerError, Peers};

/// How long an append may take: the follower's disk is in it. Longer than an election, so that a slow disk is not
/// taken for a dead node by the replication, and short enough to catch up soon after a link has healed.
const APPEND_DEADLINE: Duration = Duration::from_millis(750);

/// Makes the connections of one group.
pub(super) struct Network {
    pub(super) group: GroupId,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) addresses: Arc<Addresses>,
    pub(super) lease: Arc<TermLease>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Connection {
        Connection {
            group: self.group,
            to: Member { id: NodeId(target), address: node.addr.clone() },
            peers: Arc::clone(&self.peers),
            addresses: Arc::clone(&self.addresses),
            lease: Arc::clone(&self.lease),
        }
    }
}

/// The way of one group to one node.
pub(super) struct Connection {
    pub(super) group: GroupId,
    pub(super) to: Member,
    pub(super) peers: Arc<dyn Peers>,
    addresses: Arc<Addresses>,
    lease: Arc<TermLease>,
}

impl Connection {
    /// Where the node is now; what the group's membership says may be older.
    pub(super) fn target(&self) -> Member {
        self.addresses.get(self.to.id).unwrap_or_else(|| self.to.clone())
    }

    async fn call(&self, body: Writer, deadline: Duration) -> Result<Bytes, RPCError<Types>> {
        self.peers.call(&self.target(), Lane::Raft, body.finish(), deadline).await.map_err(not_answered)
    }
}

impl RaftNetworkV2<Types> for Connection {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        append: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        // An empty one is a heartbeat, and a late answer to it is worth nothing.
        let deadline = if append.entries.is_empty() { option.hard_ttl() } else { APPEND_DEADLINE };
        let mut body = request(self.group, Kind::Append);
        put_append(&mut body, &append);
        let answered = self.call(body, deadline).await;
        #[cfg(feature = "planted-bugs")]
        if answered.is_err() && crate::planted_bugs::GridBug::ApplyBeforeCommit.is_planted() {
            return Ok(AppendEntriesResponse::Success);
        }
        let answer = answered?;
        match read_append_answer(answer).map_err(unreadable)? {
            // Nothing precedes the first entry, so nothing can be in conflict there; openraft relies on it.
            AppendEntriesResponse::Conflict if append.prev_log_id.is_none() => {
                Err(unreadable(DecodeError("a conflict before the first entry")))
            }
            response => Ok(response),
        }
    }

    async fn vote(
        &mut self,
        vote: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut body = request(self.group, Kind::Vote);
        put_vote_request(&mut body, &vote);
        let answer = self.call(body, option.hard_ttl()).await?;
        read_vote_answer(answer).map_err(unreadable)
    }

    async fn pre_vote(
        &mut self,
        vote: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut body = request(self.group, Kind::PreVote);
        put_vote_request(&mut body, &vote);
        let answer = self.call(body, option.hard_ttl()).await?;
        read_vote_answer(answer).map_err(unreadable)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            sent = snapshot_transfer::send(self, vote, snapshot) => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        transfer: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        // From here on another node may be elected without waiting for our lease to end.
        self.lease.revoke(transfer.from_leader().leader_id.term);
        let mut body = request(self.group, Kind::TransferLeader);
        put_transfer(&mut body, &transfer);
        self.call(body, option.hard_ttl()).await?;
        Ok(Ok(()))
    }
}

/// A call without an answer, as openraft classifies them: what was never sent is worth a pause.
pub(super) fn not_answered(error: PeerError) -> RPCError<Types> {
    match error {
        PeerError::Unreachable { .. } | PeerError::Refused { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        PeerError::NoAnswer { .. } => RPCError::Network(NetworkError::new(&error)),
    }
}

/// An answer that is none.
pub(super) fn unreadable(error: DecodeError) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&error))
}
