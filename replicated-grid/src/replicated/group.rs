//! One raft group on this node: its replica, its leases, its proposals.
//!
//! The node opens it when it holds a replica and closes it when it holds none. What other nodes say to it arrives through
//! [`super::requests`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::Fatal;
use order_model::SharedClock;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::batcher::Batcher;
use super::config::{Config, StartError};
use super::erased::{ErasedState, StateKind};
use super::group_watch::GroupWatch;
use super::lease::TermLease;
use super::log_storage::GroupLogStorage;
use super::machine::{Machine, Replica};
use super::network::Network;
use super::proposals::{Outcome, Proposals};
use super::raft_types::{Raft, RaftMetrics};
use super::role::Role;
use super::snapshot_transfer::SnapshotInbox;
use super::standing::Standing;
use super::time::GroupTime;
use crate::clock::ClockReading;
use crate::error::{ProposeError, ReadError};
use crate::leadership::Leadership;
use crate::log::{GroupId, LogStore, SnapshotStore};
use crate::node::NodeId;
use crate::peers::Peers;
use crate::spawn::spawn;

/// What groups of a node share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) node: NodeId,
    pub(super) config: Arc<Config>,
    pub(super) raft_config: Arc<openraft::Config>,
    pub(super) log: Arc<dyn LogStore>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) addresses: Arc<Addresses>,
    pub(super) clock: SharedClock,
    /// What the clocks said when the node was started.
    pub(super) started: ClockReading,
    /// Told whenever a role changes.
    pub(super) roles_changed: Arc<Notify>,
    /// Whether this node may lead.
    pub(super) standing: watch::Sender<Standing>,
}

/// See the module.
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) raft: Raft,
    pub(super) replica: Arc<Replica>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) time: Arc<GroupTime>,
    pub(super) inbox: SnapshotInbox,
    /// Until then it helps to elect nobody: before this start it may have promised a leader to wait that long.
    pub(super) votes_from: Instant,
    /// Held while a membership change of this group is under way.
    pub(super) changing: tokio::sync::Mutex<()>,
    pub(super) standing: watch::Receiver<Standing>,
    lease: Arc<TermLease>,
    serving: TermLease,
    proposals: Arc<Proposals>,
    clock: SharedClock,
    node: NodeId,
    ending: CancellationToken,
    proposal_seconds: metrics::Histogram,
}

impl Group {
    /// Starts the group from its log and its snapshot, or empty.
    pub(super) async fn open(
        id: GroupId,
        around: &Surroundings,
        kind: Arc<StateKind>,
    ) -> Result<Arc<Self>, StartError> {
        let failed = |reason: String| StartError::Group { group: id, reason };
        let storage = GroupLogStorage::new(Arc::clone(&around.log), id);
        let has_voted = storage.vote().map_err(|error| failed(error.to_string()))?.is_some();
        let ending = CancellationToken::new();
        let replica = Replica::load(id, Arc::clone(&around.snapshots), ending.clone(), kind).await;
        let replica = Arc::new(replica.map_err(|error| failed(error.to_string()))?);
        let lease = Arc::new(TermLease::default());
        let network = Network {
            group: id,
            peers: Arc::clone(&around.peers),
            addresses: Arc::clone(&around.addresses),
            lease: Arc::clone(&lease),
        };
        let machine = Machine(Arc::clone(&replica));
        let raft = Raft::new(around.node.0, Arc::clone(&around.raft_config), network, storage, machine).await;
        let raft: Raft = raft.map_err(|error| failed(error.to_string()))?;
        let promised = if has_voted { around.config.election_timeout_max } else { Duration::ZERO };
        let (role, watched) = watch::channel(Role::Following { leader: None, term: 0 });
        let group = Arc::new(Self {
            id,
            raft: raft.clone(),
            replica,
            role: watched,
            time: Arc::new(GroupTime::new(around.started)),
            inbox: SnapshotInbox::default(),
            votes_from: Instant::now() + promised,
            changing: tokio::sync::Mutex::default(),
            standing: around.standing.subscribe(),
            lease,
            serving: TermLease::default(),
            proposals: Arc::default(),
            clock: Arc::clone(&around.clock),
            node: around.node,
            ending,
            proposal_seconds: metrics::histogram!("comanda_grid_proposal_seconds", "grid" => around.config.name),
        });
        group.start_tasks(around, role);
        Ok(group)
    }

    fn start_tasks(&self, around: &Surroundings, role: watch::Sender<Role>) {
        let (raft, ending, votes_from) = (self.raft.clone(), self.ending.clone(), self.votes_from);
        let mut standing = self.standing.clone();
        spawn(ending.run_until_cancelled_owned(async move {
            tokio::time::sleep_until(votes_from).await;
            loop {
                raft.runtime_config().elect(standing.borrow_and_update().may_lead());
                if standing.changed().await.is_err() {
                    return;
                }
            }
        }));
        let watch = GroupWatch {
            node: self.node,
            group: self.id,
            grid: around.config.name,
            metrics: self.raft.metrics(),
            replica: Arc::clone(&self.replica),
            lease: Arc::clone(&self.lease),
            time: Arc::clone(&self.time),
            clock: Arc::clone(&self.clock),
            role,
            roles_changed: Arc::clone(&around.roles_changed),
            lease_length: around.config.election_timeout_max,
        };
        spawn(self.ending.clone().run_until_cancelled_owned(watch.run()));
        let batcher = Batcher {
            partition: self.id,
            raft: self.raft.clone(),
            proposals: Arc::clone(&self.proposals),
            role: self.role.clone(),
            time: Arc::clone(&self.time),
            clock: Arc::clone(&self.clock),
            commands_max: around.config.batch_commands_max,
            linger: around.config.linger,
            batch_commands: metrics::histogram!("comanda_grid_batch_commands", "grid" => around.config.name),
        };
        spawn(self.ending.clone().run_until_cancelled_owned(batcher.run()));
    }

    /// Ends it; its log stays.
    pub(super) async fn close(&self) {
        self.ending.cancel();
        self.lease.revoke(u64::MAX);
        self.proposals.close(ProposeError::Stopped { partition: self.id });
        // It ends either way; how its task ended was logged by whoever saw it fail.
        let _ = self.raft.shutdown().await;
    }

    /// Proposes `commands`, if this node leads.
    pub(super) async fn propose(&self, commands: Vec<Bytes>, timeout: Duration) -> Outcome {
        let partition = self.id;
        if let Role::Following { leader, .. } = *self.role.borrow() {
            return Err(ProposeError::NotLeader { partition, leader });
        }
        if !self.standing.borrow().takes_entries() {
            return Err(ProposeError::NotLeader { partition, leader: None });
        }
        let began = self.clock.monotonic();
        let (ticket, outcome) = self.proposals.push(partition, commands)?;
        let outcome = match tokio::time::timeout(timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) if ticket.withdraw() => Err(ProposeError::Stopped { partition }),
            Err(_) if ticket.withdraw() => Err(ProposeError::NotLeader { partition, leader: None }),
            Ok(Err(_)) | Err(_) => Err(ProposeError::OutcomeUnknown { partition }),
        };
        self.proposal_seconds.record(self.clock.monotonic().saturating_sub(began));
        outcome
    }

    /// Reads within both leases.
    pub(super) fn read<R>(&self, look: impl FnOnce(&dyn ErasedState) -> R) -> Result<R, ReadError> {
        let Some(term) = self.served_term() else { return Err(self.refusal()) };
        let found = self.replica.look(look);
        if self.served_term() == Some(term) { Ok(found) } else { Err(self.refusal()) }
    }

    /// Reads within the leader's lease alone.
    pub(super) fn read_as_leader<R>(&self, look: impl FnOnce(&dyn ErasedState) -> R) -> Result<R, ReadError> {
        let Some(term) = self.lease.term_at(self.clock.monotonic()) else { return Err(self.refusal()) };
        let found = self.replica.look(look);
        if self.lease.term_at(self.clock.monotonic()) == Some(term) { Ok(found) } else { Err(self.refusal()) }
    }

    /// The term in which this node may answer reads at this moment.
    pub(super) fn served_term(&self) -> Option<u64> {
        #[cfg(feature = "planted-bugs")]
        if crate::planted_bugs::GridBug::StaleRead.is_planted()
            && let Role::Leading { term } = *self.role.borrow()
        {
            return Some(term);
        }
        let now = self.clock.monotonic();
        let term = self.lease.term_at(now)?;
        (self.serving.term_at(now) == Some(term)).then_some(term)
    }

    fn refusal(&self) -> ReadError {
        match *self.role.borrow() {
            Role::Following { leader, .. } => ReadError::NotLeader { partition: self.id, leader },
            Role::Preparing { .. } | Role::Leading { .. } => ReadError::LeaseExpired { partition: self.id },
        }
    }

    /// Extends the serving lease of `term`.
    pub(super) fn serve_until(&self, term: u64, until: Duration) {
        self.serving.extend(term, until);
    }

    /// Ends the serving lease.
    pub(super) fn stop_serving(&self) {
        self.serving.end();
    }

    /// The leadership as services see it.
    pub(super) fn leadership(&self) -> Leadership {
        match *self.role.borrow() {
            Role::Following { leader, term } => Leadership { leader, term, is_ours: false },
            Role::Preparing { term } => Leadership { leader: Some(self.node), term, is_ours: false },
            Role::Leading { term } => Leadership { leader: Some(self.node), term, is_ours: true },
        }
    }

    /// What openraft says of itself.
    pub(super) fn metrics(&self) -> RaftMetrics {
        use openraft::async_runtime::watch::WatchReceiver;
        self.raft.metrics().borrow_watched().clone()
    }

    /// Why openraft has given the group up, if it has.
    pub(super) fn failure(&self) -> Option<Fatal<super::raft_types::Types>> {
        self.metrics().running_state.err()
    }
}
