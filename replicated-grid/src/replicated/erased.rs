//! States without their type: raft, its log and its snapshots need bytes in and bytes out, nothing more.
//!
//! One copy of the runner, openraft included, serves every state machine: it is compiled once, here, and not once more in
//! each crate that brings a state machine of its own. [`super::ReplicatedNode`] alone knows the type and shows it to reads.

use std::any::Any;

use crate::state_machine::{ReplicatedTime, RestoreError, StateMachine};

/// The state of one partition, whatever it is.
pub(super) trait ErasedState: Send + Sync {
    /// See [`StateMachine::apply`].
    fn apply_command(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8>;
    /// See [`StateMachine::snapshot`].
    fn write_snapshot(&self) -> Vec<u8>;
    /// The state itself, for [`typed`].
    fn as_any(&self) -> &dyn Any;
}

impl<M: StateMachine> ErasedState for M {
    fn apply_command(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        self.apply(at, command)
    }

    fn write_snapshot(&self) -> Vec<u8> {
        self.snapshot()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The state as what it is.
pub(super) fn typed<M: StateMachine>(state: &dyn ErasedState) -> &M {
    state.as_any().downcast_ref().expect("every state of a group is made by the kind that the group was opened with")
}

/// How states of one type come to be.
pub(super) struct StateKind {
    begin: Box<dyn Fn() -> Box<dyn ErasedState> + Send + Sync>,
    restore: Restore,
}

type Restore = fn(&[u8]) -> Result<Box<dyn ErasedState>, RestoreError>;

impl StateKind {
    /// States of the type that `initial` makes.
    pub(super) fn of<M: StateMachine>(initial: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self {
            begin: Box::new(move || Box::new(initial())),
            restore: |snapshot| M::restore(snapshot).map(|state| Box::new(state) as Box<dyn ErasedState>),
        }
    }

    /// The state with which a new partition begins.
    pub(super) fn begin(&self) -> Box<dyn ErasedState> {
        (self.begin)()
    }

    /// See [`StateMachine::restore`].
    pub(super) fn restore(&self, snapshot: &[u8]) -> Result<Box<dyn ErasedState>, RestoreError> {
        (self.restore)(snapshot)
    }
}
