//! What every [`StateMachine`] must hold, as one check for the tests of the crates that implement one.

use crate::state_machine::{ReplicatedTime, StateMachine};

/// Applies `commands` to two fresh states and demands equal replies, equal snapshots, and a snapshot that restores to
/// itself and answers what follows (the second half of the commands) alike.
///
/// # Errors
/// With what differs, for the test's message.
pub fn check<M: StateMachine>(
    initial: impl Fn() -> M,
    commands: &[(ReplicatedTime, Vec<u8>)],
) -> Result<(), &'static str> {
    let (first_half, second_half) = commands.split_at(commands.len() / 2);
    let (mut one, mut other) = (initial(), initial());
    if replies(&mut one, first_half) != replies(&mut other, first_half) {
        return Err("the same commands were answered differently");
    }
    let snapshot = one.snapshot();
    if snapshot != other.snapshot() {
        return Err("the same commands left different snapshots");
    }
    let Ok(mut restored) = M::restore(&snapshot) else {
        return Err("its own snapshot cannot be restored");
    };
    if restored.snapshot() != snapshot {
        return Err("a restored state has another snapshot");
    }
    if replies(&mut one, second_half) != replies(&mut restored, second_half) {
        return Err("a restored state answers differently");
    }
    if one.snapshot() != restored.snapshot() {
        return Err("a restored state goes another way");
    }
    Ok(())
}

fn replies<M: StateMachine>(state: &mut M, commands: &[(ReplicatedTime, Vec<u8>)]) -> Vec<Vec<u8>> {
    commands.iter().map(|(at, command)| state.apply(*at, command)).collect()
}
