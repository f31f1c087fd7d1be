//! The calls of services, behind [`crate::Grid`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::erased::typed;
use super::node::ReplicatedNode;
use super::time::reading;
use crate::error::{ProposeError, ReadError};
use crate::leadership::Leadership;
use crate::state_machine::{ReplicatedTime, StateMachine};
use crate::transport::MembershipWatch;

/// What is not answered at once is boxed in this crate: compiled here, and not in each crate that calls it.
impl<M: StateMachine> ReplicatedNode<M> {
    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        self.shared.around.config.partitions.get()
    }

    /// Who leads each partition, by its number, and every change of it.
    pub fn leadership(&self) -> watch::Receiver<Arc<[Leadership]>> {
        self.shared.leadership.subscribe()
    }

    /// Who belongs to the grid, for the transport.
    pub fn membership(&self) -> MembershipWatch {
        self.shared.membership.subscribe()
    }

    /// Applies `commands` one after the other, nothing in between them, wherever the leader is.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn propose(&self, partition: u16, commands: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ProposeError>> {
        self.shared.propose(partition, commands)
    }

    /// Reads a partition that this node leads, within its leader's lease and its serving lease.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let slot = self.shared.partitions.get(usize::from(partition));
        let group = slot.ok_or(ReadError::UnknownPartition { partition })?.load();
        match &*group {
            Some(group) => group.read(|state| look(typed(state))),
            None => Err(self.elsewhere(partition)),
        }
    }

    /// See [`crate::Grid::read_as_leader`].
    ///
    /// # Errors
    /// As there.
    pub fn read_as_leader<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let slot = self.shared.partitions.get(usize::from(partition));
        let group = slot.ok_or(ReadError::UnknownPartition { partition })?.load();
        match &*group {
            Some(group) => group.read_as_leader(|state| look(typed(state))),
            None => Err(self.elsewhere(partition)),
        }
    }

    /// Reads this node's copy of a partition, however old.
    ///
    /// # Errors
    /// When there is no such partition, or none of its replicas is here.
    pub fn read_without_lease<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let slot = self.shared.partitions.get(usize::from(partition));
        let group = slot.ok_or(ReadError::UnknownPartition { partition })?.load();
        match &*group {
            Some(group) => Ok(group.replica.look(|state| look(typed(state)))),
            None => Err(self.elsewhere(partition)),
        }
    }

    /// The time that the next command of `partition` would carry, as far as this node knows; zero where it knows nothing.
    pub fn time(&self, partition: u16) -> ReplicatedTime {
        let now = reading(&*self.shared.around.clock);
        let group = self.shared.partition(partition);
        group.and_then(|group| group.time.peek(now)).unwrap_or_default()
    }

    /// How often a step of the wall clock was refused, over all partitions led here.
    pub fn clock_steps_refused(&self) -> u64 {
        self.shared.clock_steps_refused()
    }

    /// Lets `partition` answer reads until the monotonic clock shows `until`, as long as this node leads it in `term`.
    pub fn serve_until(&self, partition: u16, term: u64, until: Duration) {
        if let Some(group) = self.shared.partition(partition) {
            group.serve_until(term, until);
        }
    }

    /// Ends the serving lease of `partition`.
    pub fn stop_serving(&self, partition: u16) {
        if let Some(group) = self.shared.partition(partition) {
            group.stop_serving();
        }
    }

    /// Whether `partition` answers reads here at this moment.
    pub fn is_serving(&self, partition: u16) -> bool {
        self.shared.partition(partition).is_some_and(|group| group.served_term().is_some())
    }

    fn elsewhere(&self, partition: u16) -> ReadError {
        let known = self.shared.leadership.borrow().get(usize::from(partition)).copied().unwrap_or_default();
        ReadError::NotLeader { partition, leader: known.leader }
    }
}
