//! The one type services hold: a grid, whichever runner stands behind it.
//!
//! A service is written against this. Which runner it gets is decided by the binary: [`SingleNode`] for tests and a
//! process that keeps nothing, the replicated one for a cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::error::{ProposeError, ReadError};
use crate::leadership::Leadership;
use crate::questions::{AskError, Questions};
use crate::replicated::ReplicatedNode;
use crate::single_node::SingleNode;
use crate::state_machine::{ReplicatedTime, StateMachine};

/// All partitions of a grid, as this node sees them. Cheap to clone; clones share everything.
pub struct Grid<M: StateMachine> {
    runner: Runner<M>,
}

enum Runner<M: StateMachine> {
    SingleNode(SingleNode<M>),
    Replicated(ReplicatedNode<M>),
}

impl<M: StateMachine> Clone for Grid<M> {
    fn clone(&self) -> Self {
        let runner = match &self.runner {
            Runner::SingleNode(grid) => Runner::SingleNode(grid.clone()),
            Runner::Replicated(grid) => Runner::Replicated(grid.clone()),
        };
        Self { runner }
    }
}

impl<M: StateMachine> From<SingleNode<M>> for Grid<M> {
    fn from(grid: SingleNode<M>) -> Self {
        Self { runner: Runner::SingleNode(grid) }
    }
}

impl<M: StateMachine> From<ReplicatedNode<M>> for Grid<M> {
    fn from(grid: ReplicatedNode<M>) -> Self {
        Self { runner: Runner::Replicated(grid) }
    }
}

impl<M: StateMachine> Grid<M> {
    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        match &self.runner {
            Runner::SingleNode(grid) => grid.partitions(),
            Runner::Replicated(grid) => grid.partitions(),
        }
    }

    /// Who leads each partition, by its number, and every change of it.
    pub fn leadership(&self) -> watch::Receiver<Arc<[Leadership]>> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.leadership(),
            Runner::Replicated(grid) => grid.leadership(),
        }
    }

    /// Applies `commands` one after the other, nothing in between them, wherever the leader is, and answers their replies
    /// in order. An answer means "committed and applied by the leader".
    ///
    /// # Errors
    /// See [`ProposeError`]: whether none was applied or that is unknown.
    pub async fn propose(&self, partition: u16, commands: Vec<Bytes>) -> Result<Vec<Vec<u8>>, ProposeError> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.propose(partition, commands).await,
            Runner::Replicated(grid) => grid.propose(partition, commands).await,
        }
    }

    /// From now on `by` answers what this node is asked as a leader, by [`Grid::ask_leader`] on any node. Only the first
    /// call counts.
    pub fn answer_questions(&self, by: Arc<dyn Questions>) {
        match &self.runner {
            Runner::SingleNode(grid) => grid.answer_questions(by),
            Runner::Replicated(grid) => grid.answer_questions(by),
        }
    }

    /// Asks the leader of `partition`, wherever it is, past the log.
    ///
    /// # Errors
    /// See [`AskError`]: whether it was taken may be unknown.
    pub async fn ask_leader(&self, partition: u16, question: Bytes) -> Result<Bytes, AskError> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.ask_leader(partition, question),
            Runner::Replicated(grid) => grid.ask_leader(partition, question).await,
        }
    }

    /// Reads a partition that this node leads, within its leader's lease and its serving lease. `look` runs under the
    /// read lock: it must be short.
    ///
    /// # Errors
    /// When another node leads, or either lease had ended before `look` or ended while it ran.
    pub fn read<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.read(partition, look),
            Runner::Replicated(grid) => grid.read(partition, look),
        }
    }

    /// Reads a partition that this node leads, within its leader's lease alone: nothing that is committed is missing,
    /// whether or not the partition serves. For callers that bear what the serving lease guards against.
    ///
    /// # Errors
    /// When another node leads, or the leader's lease had ended before `look` or ended while it ran.
    pub fn read_as_leader<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.read_as_leader(partition, look),
            Runner::Replicated(grid) => grid.read_as_leader(partition, look),
        }
    }

    /// Reads this node's copy of a partition, however old: for status and upkeep, and callers that accept what may be stale.
    ///
    /// # Errors
    /// When there is no such partition, or none of its replicas is here.
    pub fn read_without_lease<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        match &self.runner {
            Runner::SingleNode(grid) => grid.read_without_lease(partition, look),
            Runner::Replicated(grid) => grid.read_without_lease(partition, look),
        }
    }

    /// The time that the next command of `partition` would carry, if this node leads it.
    pub fn time(&self, partition: u16) -> ReplicatedTime {
        match &self.runner {
            Runner::SingleNode(grid) => grid.time(partition),
            Runner::Replicated(grid) => grid.time(partition),
        }
    }

    /// How often a step of the wall clock was refused, over all partitions.
    pub fn clock_steps_refused(&self) -> u64 {
        match &self.runner {
            Runner::SingleNode(grid) => grid.clock_steps_refused(),
            Runner::Replicated(grid) => grid.clock_steps_refused(),
        }
    }

    /// Lets `partition` answer reads until the monotonic clock shows `until`, as long as this node leads it in `term`:
    /// what is known of one term says nothing of the next. Does not shorten a longer lease.
    pub fn serve_until(&self, partition: u16, term: u64, until: Duration) {
        match &self.runner {
            Runner::SingleNode(grid) => grid.serve_until(partition, term, until),
            Runner::Replicated(grid) => grid.serve_until(partition, term, until),
        }
    }

    /// Ends the serving lease of `partition`; a read under way is refused as well.
    pub fn stop_serving(&self, partition: u16) {
        match &self.runner {
            Runner::SingleNode(grid) => grid.stop_serving(partition),
            Runner::Replicated(grid) => grid.stop_serving(partition),
        }
    }

    /// Whether `partition` answers reads here at this moment.
    pub fn is_serving(&self, partition: u16) -> bool {
        match &self.runner {
            Runner::SingleNode(grid) => grid.is_serving(partition),
            Runner::Replicated(grid) => grid.is_serving(partition),
        }
    }
}
