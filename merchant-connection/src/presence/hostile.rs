//! Commands and snapshots as damaged disks and other versions might hand them over: each is refused, or survives; and a
//! state that was restored from one can still be told anything.

use hostile_inputs::{bytes_near, bytes_of, survives};
use order_model::MerchantId;
use proptest::prelude::*;
use replicated_grid::{ReplicatedTime, StateMachine};

use super::command::{Command, Decision, Head, Reply, RestoredMerchant};
use super::state::PresencePartition;
use super::transition::{Transition, TransitionReason};

fn merchant(number: u8) -> MerchantId {
    MerchantId::from_bytes([number; 16])
}

fn transition(number: u8, online: bool, sequence: u64) -> Transition {
    let reason = TransitionReason::of(online);
    Transition { merchant: merchant(number), online, reason, changed_at_ms: 1000, last_heartbeat_at_ms: 900, sequence }
}

fn commands() -> Vec<Vec<u8>> {
    let restored = RestoredMerchant { last: transition(4, true, 3), age: 7, unpublished: vec![transition(4, true, 3)] };
    let decisions = vec![
        Decision::TakeOver,
        Decision::Restored(vec![restored]),
        Decision::Beats { known: vec![(0, 1)], newcomers: vec![(merchant(1), 5), (merchant(2), 300)] },
        Decision::Transitions(vec![transition(1, true, 1), transition(2, true, 1)]),
        Decision::Published(1),
        Decision::Brake(Some(500)),
    ];
    decisions.into_iter().map(|decision| Command { head: Head { term: 1, hearing: 40 }, decision }.encode()).collect()
}

fn partition() -> PresencePartition {
    let mut state = PresencePartition::default();
    for command in commands() {
        let reply = state.apply(ReplicatedTime { unix_ms: 1_795_000_000_000 }, &command);
        assert_eq!(Reply::decode(&reply), Reply::Applied);
    }
    state
}

#[test]
fn the_sample_has_everything() {
    let state = partition();
    assert_eq!((state.known(), state.online(), state.unpublished(), state.brake()), (3, 3, 2, Some(500)));
}

proptest! {
    #[test]
    fn a_command_is_refused_or_survives(bytes in bytes_near(commands())) {
        survives(Command::decode(&bytes).ok(), |command| Command::decode(&command.encode()).ok());
    }

    /// Replicas that took the same snapshot and the same bytes stay equal, and what waits has places.
    #[test]
    fn a_state_takes_anything_after_any_snapshot(
        snapshot in bytes_of(partition().snapshot()),
        told in prop::collection::vec((bytes_near(commands()), any::<i64>()), 0..6),
    ) {
        let restored = PresencePartition::restore(&snapshot).ok();
        survives(restored.clone(), |state| PresencePartition::restore(&state.snapshot()).ok());
        if let Some(mut state) = restored {
            let mut replica = state.clone();
            for (command, unix_ms) in &told {
                let at = ReplicatedTime { unix_ms: *unix_ms };
                prop_assert_eq!(state.apply(at, command), replica.apply(at, command));
            }
            prop_assert_eq!(&state, &replica);
            let (waiting, through) = state.outbox(usize::MAX);
            let head = Head { term: u64::MAX, hearing: u32::MAX };
            let published = Command { head, decision: Decision::Published(through) };
            state.apply(ReplicatedTime { unix_ms: 0 }, &published.encode());
            prop_assert_eq!((state.unpublished(), state.outbox(1).1), (0, through), "{} waited", waiting.len());
            prop_assert!(state.online() <= state.known());
        }
    }
}
