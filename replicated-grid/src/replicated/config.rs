//! What a replicated node is made of, and under which id it runs.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use order_model::SharedClock;
use parking_lot::Mutex;

use crate::log::{LogStore, SnapshotStore};
use crate::node::NodeId;
use crate::peers::Peers;
use crate::single_node::BATCH_COMMANDS_MAX;

/// One grid on one node.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names the grid in metrics and logs, e.g. `order-events`.
    pub name: &'static str,
    /// How many partitions; fixed for the life of a cluster, and the same on every node.
    pub partitions: NonZeroU16,
    /// How many nodes hold each partition, as far as there are that many. Default 3. What counts is that of the node
    /// that forms the cluster.
    pub replication_factor: NonZeroU16,
    /// Without a sign of the leader for this long, a node stands for election. Default 250 ms.
    pub election_timeout_min: Duration,
    /// At most for this long; also the leader's lease. Default 350 ms: failover takes this and an election timeout.
    pub election_timeout_max: Duration,
    /// How often a leader shows itself. Default 75 ms: an idle node costs a third less than at 50, a failover takes as long,
    /// and a lease still outlives two that are lost.
    pub heartbeat_interval: Duration,
    /// The most commands of one log entry; a proposal with more is one entry all the same. Default 64.
    pub batch_commands_max: usize,
    /// How long a batch that is not full waits for more. Default zero: what arrives while earlier batches are on their way
    /// gathers by itself.
    pub linger: Duration,
    /// A group takes a snapshot after this many entries. Default 20,000.
    pub snapshot_after_entries: u64,
    /// How many entries stay in the log behind a snapshot, for replicas that are a little behind. Default 2,000.
    pub entries_kept: u64,
    /// How long a proposal waits to be applied. Default 3 s: longer than a failover.
    pub proposal_timeout: Duration,
}

impl Config {
    /// The defaults for the grid `name`.
    pub const fn new(name: &'static str, partitions: NonZeroU16) -> Self {
        Self {
            name,
            partitions,
            replication_factor: NonZeroU16::new(3).expect("three is not zero"),
            election_timeout_min: Duration::from_millis(250),
            election_timeout_max: Duration::from_millis(350),
            heartbeat_interval: Duration::from_millis(75),
            batch_commands_max: BATCH_COMMANDS_MAX,
            linger: Duration::ZERO,
            snapshot_after_entries: 20_000,
            entries_kept: 2_000,
            proposal_timeout: Duration::from_secs(3),
        }
    }

    pub(super) fn raft(&self) -> Result<openraft::Config, StartError> {
        let config = openraft::Config {
            cluster_name: self.name.to_owned(),
            election_timeout_min: whole_ms(self.election_timeout_min),
            election_timeout_max: whole_ms(self.election_timeout_max),
            heartbeat_interval: whole_ms(self.heartbeat_interval),
            enable_pre_vote: Some(true),
            // Elections wait until promises made before a restart have run out; see `Group::open`.
            enable_elect: false,
            // A restored leader could not tell what it had applied before.
            enable_leader_restore: Some(false),
            // 256 full batches; what they may weigh is bounded where the log is read.
            max_payload_entries: 256,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_after_entries),
            max_in_snapshot_log_to_keep: self.entries_kept,
            replication_lag_threshold: self.snapshot_after_entries.saturating_add(self.entries_kept),
            // Constant and short: a healed link is used at once. The transport has its own backoff.
            backoff: "20ms 20ms 20ms".to_owned(),
            // One proposal is one batch, and few are under way: the defaults reserve 2 MiB per group.
            api_channel_size: Some(1_024),
            notification_channel_size: Some(4_096),
            state_machine_channel_size: Some(256),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| StartError::Config { reason: error.to_string() })
    }
}

/// What a node needs from outside.
#[derive(Clone)]
pub struct Dependencies {
    /// Under which id.
    pub identity: Identity,
    /// Where peers reach this node, as `host:port`.
    pub address: String,
    /// Its log, of this grid alone.
    pub log: Arc<dyn LogStore>,
    /// Its snapshots, of this grid alone.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// The way to its peers.
    pub peers: Arc<dyn Peers>,
    /// Wall clock and monotonic clock.
    pub clock: SharedClock,
}

/// The id of a node, and whether its log lasts as long as the id.
///
/// A node that forgets its vote and what it has acknowledged, and comes back under its old id, can elect two leaders and
/// lose what was committed. So a log in memory goes only with an id made for it, which works once per grid.
#[derive(Debug, Clone)]
pub struct Identity {
    id: NodeId,
    /// The grids that have used it; `None`: it is durable, like the logs that go with it.
    used: Option<Arc<Mutex<BTreeSet<&'static str>>>>,
}

impl Identity {
    /// The id of a node whose logs are on disk.
    pub const fn durable(id: NodeId) -> Self {
        Self { id, used: None }
    }

    /// A new id for a node whose logs are in memory, from `random`, which must not repeat between starts.
    pub fn volatile(random: u64) -> Self {
        // Above all ids that people give, and never zero.
        Self { id: NodeId(random | 1 << 63), used: Some(Arc::default()) }
    }

    /// The id.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Whether logs under this id are kept on disk.
    pub const fn is_durable(&self) -> bool {
        self.used.is_none()
    }

    /// Takes the id for `grid` with a log that is durable or not.
    pub(super) fn claim(&self, grid: &'static str, log_is_durable: bool) -> Result<NodeId, StartError> {
        match &self.used {
            None if log_is_durable => Ok(self.id),
            None => Err(StartError::VolatileLog { id: self.id }),
            Some(_) if log_is_durable => Err(StartError::DurableLog { id: self.id }),
            Some(used) if used.lock().insert(grid) => Ok(self.id),
            Some(_) => Err(StartError::IdUsed { id: self.id }),
        }
    }
}

/// A node cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error("the grid cannot be configured so: {reason}")]
    Config {
        /// Which and why.
        reason: String,
    },
    /// A log in memory under a lasting id.
    #[error("node {id} has a log in memory, which takes a new id at every start")]
    VolatileLog {
        /// The id.
        id: NodeId,
    },
    /// A log on disk under an id that will be forgotten.
    #[error("node {id} has a log on disk, which needs an id that lasts as long")]
    DurableLog {
        /// The id.
        id: NodeId,
    },
    /// A log in memory under an id that had another one.
    #[error("id {id} has been used by another log in memory")]
    IdUsed {
        /// The id.
        id: NodeId,
    },
    /// A group does not start from what its log and its snapshot hold.
    #[error("starting group {group} failed: {reason}")]
    Group {
        /// The partition, or 65535 for the control group.
        group: u16,
        /// Why.
        reason: String,
    },
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volatile_log_never_starts_under_an_old_id() {
        let durable = Identity::durable(NodeId(7));
        assert!(matches!(durable.claim("a", false), Err(StartError::VolatileLog { .. })));
        assert!(durable.claim("a", true).is_ok() && durable.claim("a", true).is_ok());
        let volatile = Identity::volatile(7);
        assert!(matches!(volatile.claim("a", true), Err(StartError::DurableLog { .. })));
        assert!(volatile.claim("a", false).is_ok() && volatile.claim("b", false).is_ok());
        assert!(matches!(volatile.clone().claim("a", false), Err(StartError::IdUsed { .. })));
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(Config::new("a", NonZeroU16::MIN).raft().is_ok());
    }
}
