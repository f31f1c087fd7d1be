//! The command line; see the README.
use simulation::grid_run::{Options, run};
use simulation::seed::Seed;
use std::time::Duration;

fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    if std::env::args().nth(2).is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let o = Options { seed: Seed(seed), nodes: 3, faults_for: Duration::from_secs(30), partitions: 3 };
    let (h, r) = run(o);
    print!("{}", h.to_jsonl().expect("a history is plain data"));
    eprintln!("{r:?} ops {} seen {}", h.operations.len(), h.seen.len());
}
