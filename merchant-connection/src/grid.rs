//! The presence grid: replicated states and, beside each, the leader's board of beats.
//!
//! Called by the RPCs (beats, reads) and by the sweep. A beat takes a shared lock and one atomic store; only a merchant
//! never seen before takes the lock for itself.

use std::time::Duration;

use bytes::Bytes;
use order_model::{MerchantId, RoutingHash, SharedClock};
use parking_lot::RwLock;
use replicated_grid::{Grid, ProposeError, SingleNode};

use crate::config::Config;
use crate::presence::presence_clock::Tenths;
use crate::presence::state::Command;
use crate::presence::{BeatBoard, MerchantState, PresencePartition, Transition};

/// All partitions on this node.
pub(crate) struct PresenceGrid {
    replicated: Grid<PresencePartition>,
    boards: Vec<RwLock<BeatBoard>>,
}

impl PresenceGrid {
    pub(crate) fn new(config: &Config, clock: SharedClock) -> Self {
        let grid = replicated_grid::Config { name: "merchant-connection", partitions: config.partitions };
        let replicated = Grid::from(SingleNode::new(&grid, clock, PresencePartition::default));
        let boards = (0..config.partitions.get()).map(|_| RwLock::default()).collect();
        // On a single node nobody else can lead, so the lease never ends.
        (0..config.partitions.get()).for_each(|partition| replicated.serve_until(partition, 1, Duration::MAX));
        Self { replicated, boards }
    }

    pub(crate) fn partitions(&self) -> u16 {
        self.replicated.partitions()
    }

    pub(crate) fn partition_of(&self, merchant: MerchantId) -> u16 {
        RoutingHash::of(merchant).0 % self.partitions()
    }

    pub(crate) fn board(&self, partition: u16) -> &RwLock<BeatBoard> {
        &self.boards[usize::from(partition)]
    }

    /// Records a beat heard at `at`; `false` when the board is full.
    pub(crate) fn beat(&self, merchant: MerchantId, at: Tenths) -> bool {
        let board = self.board(self.partition_of(merchant));
        let shared = board.read();
        if let Some(index) = shared.index(merchant) {
            shared.beat(index, at);
            return true;
        }
        drop(shared);
        let mut exclusive = board.write();
        match exclusive.intern(merchant) {
            Some(index) => {
                exclusive.beat(index, at);
                true
            }
            None => false,
        }
    }

    /// What is recorded of `merchant`.
    pub(crate) fn state(&self, merchant: MerchantId) -> MerchantState {
        let read = self.replicated.read(self.partition_of(merchant), |partition| partition.merchant(merchant));
        read.unwrap_or_default()
    }

    /// Hearing time of the latest beat of `merchant`, replicated or not.
    pub(crate) fn last_beat(&self, merchant: MerchantId) -> Option<Tenths> {
        let board = self.board(self.partition_of(merchant)).read();
        board.index(merchant).map(|index| board.last_beat(index)).filter(|beat| *beat > 0)
    }

    /// Replicates who has beaten since the last call; answers how many.
    pub(crate) async fn replicate_beats(&self, partition: u16) -> Result<usize, ProposeError> {
        let beaten = self.board(partition).read().take_beaten();
        let count = beaten.len();
        if count > 0 {
            let beats = beaten.into_iter().map(|(merchant, at)| (*merchant.as_bytes(), at)).collect();
            self.propose(partition, &Command::Beats(beats)).await?;
        }
        Ok(count)
    }

    /// Replicates transitions of one partition and records them on its board.
    pub(crate) async fn replicate_transitions(
        &self,
        partition: u16,
        transitions: Vec<Transition>,
    ) -> Result<(), ProposeError> {
        self.propose(partition, &Command::Transitions(transitions.clone())).await?;
        let mut board = self.board(partition).write();
        for transition in transitions {
            if let Some(index) = board.intern(transition.merchant()) {
                board.set_online(index, transition.online);
            }
        }
        Ok(())
    }

    async fn propose(&self, partition: u16, command: &Command) -> Result<(), ProposeError> {
        self.replicated.propose(partition, vec![Bytes::from(command.encode())]).await.map(|_| ())
    }
}
