//! What a sweep costs: `cargo bench -p merchant-connection --bench sweep [runs]`.
//!
//! A fleet of one and of ten million merchants in four partitions, as a leader of all of them holds it: the replicated
//! state out of a snapshot, the board of beats beside it. Prints the median time to sweep all partitions when nobody has
//! changed, when every thousandth is silent, and what a merchant takes in memory. Also what follows a sweep: the bytes of
//! the delta in which a sixth of the fleet has beaten.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "an example measures real time and may fail loudly")]
#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "figures for people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use merchant_connection::PresencePartition;
use merchant_connection::presence::command::{NEWCOMERS_MAX, delta};
use merchant_connection::presence::{BeatBoard, Command, Decision, Head};
use order_model::MerchantId;
use replicated_grid::{ReplicatedTime, StateMachine};

const PARTITIONS: u32 = 4;
/// Hearing time now, and how long silence may last, in tenths of a second.
const NOW: u32 = 2_000_000;
const OFFLINE_AFTER: u32 = 1_200;

struct Led {
    state: PresencePartition,
    board: BeatBoard,
}

fn led(partition: u32, merchants: u32) -> Led {
    let mut state = PresencePartition::default();
    let id = |number: u32| MerchantId::from_bytes((u128::from(number) << 32 | u128::from(partition)).to_be_bytes());
    let everyone: Vec<_> = (0..merchants).map(|number| (id(number), number % 300)).collect();
    for newcomers in everyone.chunks(NEWCOMERS_MAX) {
        let decision = Decision::Beats { known: Vec::new(), newcomers: newcomers.to_vec() };
        state.apply(ReplicatedTime::default(), &command(decision));
    }
    let state = PresencePartition::restore(&state.snapshot()).unwrap();
    let mut board = BeatBoard::with_capacity(state.known());
    state.extend_board(&mut board);
    (0..merchants).for_each(|index| board.set_online(index, true));
    Led { state, board }
}

fn command(decision: Decision) -> Vec<u8> {
    Command { head: Head { term: 1, hearing: NOW }, decision }.encode()
}

fn median(runs: usize, mut run: impl FnMut() -> usize) -> (Duration, usize) {
    let mut found = 0;
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let started = Instant::now();
            found = black_box(run());
            started.elapsed()
        })
        .collect();
    times.sort();
    (times[runs / 2], found)
}

fn report(merchants: u32, runs: usize) {
    let mut fleet: Vec<Led> = (0..PARTITIONS).map(|partition| led(partition, merchants / PARTITIONS)).collect();
    let sweep = |fleet: &[Led], limit: u32| {
        fleet.iter().map(|led| led.board.sweep(limit)).map(|silence| silence.silent.len() + silence.heard.len()).sum()
    };
    let per_merchant = |time: Duration| time.as_nanos() as f64 / f64::from(merchants);
    let (quiet, changed) = median(runs, || sweep(&fleet, NOW - OFFLINE_AFTER));
    assert_eq!(changed, 0);
    println!("{merchants:>10} merchants  sweep, nobody changed  {quiet:>10.1?}  {:.2} ns each", per_merchant(quiet));
    for led in &mut fleet {
        (0..merchants / PARTITIONS).step_by(1_000).for_each(|index| led.board.set_online(index, false));
    }
    let (some, changed) = median(runs, || sweep(&fleet, NOW - OFFLINE_AFTER));
    println!("{:>10} of them change    {some:>20.1?}  {:.2} ns each", changed, per_merchant(some));
    let bytes = |of: fn(&Led) -> usize| fleet.iter().map(of).sum::<usize>() as f64 / f64::from(merchants);
    let (state, board) = (bytes(|led| led.state.bytes()), bytes(|led| led.board.bytes()));
    println!("{:>10} bytes each beside the id map: state {state:.2}, board of the leader {board:.2}", "");
    let beaten: Vec<(u32, u32)> = (0..merchants / PARTITIONS).step_by(6).map(|index| (index, index % 50)).collect();
    let bytes: usize = delta(&beaten, &[]).into_iter().map(|decision| command(decision).len()).sum();
    println!(
        "{:>10} delta of a partition: {} beats, {:.2} bytes each",
        "",
        beaten.len(),
        bytes as f64 / beaten.len() as f64
    );
}

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

fn main() {
    let runs = arguments().nth(1).map_or(21, |runs| runs.parse().unwrap());
    report(1_000_000, runs);
    report(10_000_000, runs);
}
