//! The fence of a partition as a pure value: who may raise it, who may lower it.
//!
//! A fence is raised by whoever must acknowledge without the partition's leader, and lowered by a leader that takes
//! the partition back. Every raise is a new epoch, so that "raised at 4, lowered, raised at 5" cannot be mistaken for
//! "still raised". `fences.rs` reads the state, asks [`apply`] and writes its effect on the condition that the state is
//! still what was read. Waiting and serving are deliberately absent: they are the business of kitchen-api and order-events.

use order_model::Timestamp;

/// What the store holds of a fence; all zero when it was never raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FenceState {
    /// How often it was raised.
    pub(crate) epoch: u64,
    /// Whether it is.
    pub(crate) raised: bool,
    /// When it was last raised: at the earliest bound known to be no earlier than the write, by the store's clock.
    pub(crate) raised_at: Timestamp,
}

/// What somebody wants of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceCommand {
    /// Fence the leader out; `at` is no earlier than the write will be, by the store's clock.
    Raise {
        /// That instant.
        at: Timestamp,
    },
    /// Take the partition back after it was raised at this epoch.
    Lower {
        /// That epoch.
        epoch: u64,
    },
}

/// What to do about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceEffect {
    /// Write this state, if the stored one is still what was read.
    Write(FenceState),
    /// Nothing: already so, or the command is about another epoch. The state read is the answer.
    Keep,
}

/// Decides `command` on `state`.
pub(crate) fn apply(state: FenceState, command: FenceCommand) -> FenceEffect {
    match (command, state.raised) {
        (FenceCommand::Raise { .. }, true) => FenceEffect::Keep,
        (FenceCommand::Raise { at }, false) => {
            FenceEffect::Write(FenceState { epoch: state.epoch + 1, raised: true, raised_at: at })
        }
        (FenceCommand::Lower { epoch }, true) if epoch == state.epoch => {
            FenceEffect::Write(FenceState { raised: false, ..state })
        }
        // Lowered already, or raised anew since: a leader that has not read the newer log must not lower it.
        (FenceCommand::Lower { .. }, _) => FenceEffect::Keep,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn a_raised_fence_keeps_its_epoch_and_its_instant() {
        let FenceEffect::Write(raised) = apply(FenceState::default(), FenceCommand::Raise { at: at(10) }) else {
            panic!("not raised")
        };
        assert_eq!(raised, FenceState { epoch: 1, raised: true, raised_at: at(10) });
        assert_eq!(apply(raised, FenceCommand::Raise { at: at(20) }), FenceEffect::Keep);
    }

    #[test]
    fn only_the_epoch_that_was_seen_can_be_lowered() {
        let raised = FenceState { epoch: 2, raised: true, raised_at: at(10) };
        assert_eq!(apply(raised, FenceCommand::Lower { epoch: 1 }), FenceEffect::Keep);
        let lowered = FenceState { raised: false, ..raised };
        assert_eq!(apply(raised, FenceCommand::Lower { epoch: 2 }), FenceEffect::Write(lowered));
        assert_eq!(apply(lowered, FenceCommand::Lower { epoch: 2 }), FenceEffect::Keep);
    }

    proptest! {
        #[test]
        fn epochs_grow_by_one_with_every_raise(commands in proptest::collection::vec(any::<Option<u8>>(), 0..50)) {
            let mut state = FenceState::default();
            for command in commands {
                let before = state;
                let command = match command {
                    None => FenceCommand::Raise { at: at(1) },
                    Some(epoch) => FenceCommand::Lower { epoch: u64::from(epoch % 8) },
                };
                if let FenceEffect::Write(next) = apply(state, command) {
                    state = next;
                }
                let raised_now = state.raised && !before.raised;
                prop_assert_eq!(state.epoch, before.epoch + u64::from(raised_now));
            }
        }
    }
}
