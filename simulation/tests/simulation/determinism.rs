//! The same seed gives the same history byte for byte, in a process of its own, whatever runs beside it.

use simulation::options::Options;

use crate::{feed, grid, presence};

fn history(options: Options) -> String {
    crate::history(Options { faults_for: std::time::Duration::from_secs(8), ..options })
}

#[test]
fn a_seed_of_the_grid_repeats_byte_for_byte() {
    let first = history(grid(31, None));
    assert_ne!(first, history(grid(32, None)));
    assert!(first == history(grid(31, None)), "seed 31 gave another history");
    assert!(first.lines().count() > 1_000);
}

#[test]
fn a_seed_of_the_feed_repeats_byte_for_byte() {
    let first = history(feed(31, None));
    assert!(first == history(feed(31, None)), "seed 31 gave another history");
    assert!(first.lines().count() > 300);
}

#[test]
fn a_seed_of_presence_repeats_byte_for_byte() {
    let first = history(presence(31, None));
    assert!(first == history(presence(31, None)), "seed 31 gave another history");
    assert!(first.lines().count() > 1_000);
}
