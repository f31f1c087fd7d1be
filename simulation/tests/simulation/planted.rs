//! Each invariant catches the bug that is there for it, within so many seeds.

use std::ops::RangeInclusive;

use simulation::invariants::{
    Violation, i01_no_loss, i02_no_resurrection, i04_exactly_once, i07_isolation, i08_linearizable, i09_convergence,
    i12_raft,
};
use simulation::options::Options;
use simulation::planted::Planted;

use crate::{feed, grid, presence, violations};

/// Runs `options` with each of `seeds`, until one of `expected` catches the bug.
fn caught_by(bug: &str, expected: &[&str], options: fn(u64, Option<Planted>) -> Options, seeds: RangeInclusive<u64>) {
    let planted = Planted::named(bug).unwrap();
    let mut other: Vec<String> = Vec::new();
    for seed in seeds.clone() {
        let found = violations(options(seed, Some(planted)));
        if found.iter().any(|violation: &Violation| expected.contains(&violation.invariant)) {
            return;
        }
        other.extend(found.iter().map(Violation::to_string));
    }
    panic!("{bug} was not caught by {expected:?} within the seeds {seeds:?}; but {other:?}");
}

#[test]
fn a_log_that_answers_before_it_syncs_loses_what_was_acknowledged() {
    caught_by("ack-before-sync", &[i08_linearizable::NAME, i12_raft::NAME], grid, 1..=4);
}

#[test]
fn a_state_that_depends_on_a_hash_map_diverges() {
    caught_by("hash-map-iteration", &[i09_convergence::NAME, i12_raft::NAME], grid, 1..=1);
}

#[test]
fn a_part_of_the_state_that_is_not_in_the_snapshot_is_lost() {
    caught_by("not-in-snapshot", &[i08_linearizable::NAME, i09_convergence::NAME], grid, 1..=2);
}

#[test]
fn a_retry_without_an_id_is_applied_twice() {
    caught_by("retry-without-id", &[i04_exactly_once::NAME], grid, 1..=10);
}

#[test]
fn a_message_that_is_deleted_before_its_event_is_committed_is_lost() {
    caught_by("delete-before-commit", &[i01_no_loss::NAME], feed, 36..=42);
}

#[test]
fn a_fallback_that_ignores_acknowledgments_brings_them_back() {
    caught_by("fallback-ignores-acks", &[i02_no_resurrection::NAME], feed, 1..=1);
}

#[test]
fn a_fallback_without_its_filter_shows_what_belongs_to_others() {
    caught_by("fallback-drops-filter", &[i07_isolation::NAME], feed, 1..=1);
}

#[cfg(feature = "planted-bugs")]
mod in_the_grid {
    use simulation::invariants::{i06_presence, time};

    use super::*;

    #[test]
    fn an_old_leader_that_skips_its_lease_reads_what_is_stale() {
        caught_by("stale-read", &[i08_linearizable::NAME], grid, 1..=10);
    }

    #[test]
    fn what_is_applied_before_it_is_committed_diverges() {
        caught_by("apply-before-commit", &[i12_raft::NAME, i09_convergence::NAME], grid, 1..=20);
    }

    #[test]
    fn time_that_follows_the_wall_clock_jumps_with_it() {
        caught_by("time-of-wall-clock", &[time::NAME], grid, 10..=15);
    }

    #[test]
    fn silence_that_is_measured_by_the_wall_clock_closes_merchants_that_poll() {
        caught_by("presence-of-wall-clock", &[i06_presence::NAME], presence, 7..=7);
    }

    #[test]
    fn beats_that_nobody_passes_on_close_merchants_that_poll_beyond_a_cut_link() {
        caught_by("beats-not-passed-on", &[i06_presence::NAME], presence, 30..=30);
    }
}
