//! Runs of the simulation: some seeds of each scenario, that a seed repeats, and, with the feature `planted-bugs`, that every
//! invariant catches the bug it is there for.
//!
//! Hundreds of seeds are run by the command; see the crate's `main`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod determinism;
mod planted;
mod seeds;

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use simulation::history::History;
use simulation::invariants::{Violation, judge};
use simulation::options::{Options, Scenario};
use simulation::planted::Planted;
use simulation::seed::Seed;

/// No run takes nearly as long.
pub const LIMIT: Duration = Duration::from_secs(150);

/// A run of the grid as the tests have it: shorter than those by command.
pub fn grid(seed: u64, planted: Option<Planted>) -> Options {
    let faults_for = Duration::from_secs(20);
    Options { scenario: Scenario::Grid, seed: Seed(seed), nodes: 3, faults_for, partitions: 3, planted }
}

/// The same of the feed.
pub fn feed(seed: u64, planted: Option<Planted>) -> Options {
    Options { scenario: Scenario::Feed, ..grid(seed, planted) }
}

/// The same of presence.
pub fn presence(seed: u64, planted: Option<Planted>) -> Options {
    let scenario = Scenario::Presence;
    Options { scenario, partitions: scenario.partitions(), ..grid(seed, planted) }
}

/// What is wrong with a run.
pub fn violations(options: Options) -> Vec<Violation> {
    judge(&History::from_jsonl(&history(options)).unwrap())
}

/// The history of a run. In a process of its own: a panic in a run stops its thread within the panic hook, and the test
/// harness would wait for that hook when it ends.
pub fn history(options: Options) -> String {
    let Options { scenario, seed, nodes, faults_for, planted, .. } = options;
    let bug = planted.map(Planted::name);
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("simulation-{}-{number}.jsonl", std::process::id());
    let file = std::env::temp_dir().join(name);
    let mut run = Command::new(env!("CARGO_BIN_EXE_simulation"));
    run.args(["run", "--scenario", scenario.name(), "--seeds", &seed.0.to_string(), "--nodes", &nodes.to_string()]);
    run.args(["--duration", &format!("{}s", faults_for.as_secs()), "--limit", &format!("{}s", LIMIT.as_secs())]);
    run.args(bug.iter().flat_map(|bug| ["--planted", bug])).arg("--history").arg(&file);
    let ran = run.output().unwrap();
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no history: {ran:?}"));
    std::fs::remove_file(&file).unwrap();
    text
}
