//! The one place of this crate at which tasks are started and randomness for elections is taken, so that a simulation
//! can seed both.
//!
//! Inside [`seeded`] every task started here, and every task those start, draws from its own stream of the seed; outside
//! of it, from the thread's generator. Tasks that tokio was asked for elsewhere leave the seed behind.

use std::cell::Cell;
use std::future::Future;

use rand::RngCore;
use tokio::task::JoinHandle;

tokio::task_local! {
    static SEED: Cell<u64>;
}

/// Runs `future`, and all that it starts through this crate, on randomness that follows from `seed`.
pub fn seeded<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
    SEED.scope(Cell::new(seed), future)
}

/// Runs `future` beside its caller.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match next_seed() {
        Some(seed) => tokio::spawn(SEED.scope(Cell::new(seed), future)),
        None => tokio::spawn(future),
    }
}

/// Something random, drawn from the current task's stream.
pub(crate) fn task_seed() -> u64 {
    next_seed().unwrap_or_else(|| rand::rng().next_u64())
}

fn next_seed() -> Option<u64> {
    SEED.try_with(|seed| {
        let current = seed.get();
        seed.set(mixed(current));
        mixed(!current)
    })
    .ok()
}

/// SplitMix64: neighbouring seeds give unrelated values.
fn mixed(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
