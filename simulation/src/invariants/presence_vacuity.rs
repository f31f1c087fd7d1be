//! A run of presence that shows nothing fails: without the faults that were planned, without a new leader, without merchants
//! that open, close and open again, or without a quiet time to compare in.

use super::i06_presence::quiet;
use super::presence_history::{answers, merchants, transitions};
use super::vacuity::{check_faults_but, check_leaders};
use crate::history::History;
use crate::schedule::QUIET_BEFORE;

/// Its name.
pub const NAME: &str = "vacuity";

/// Fewer prove nothing.
const CLOSED_MIN: usize = 12;
const OPENED_AGAIN_MIN: usize = 8;
const ANSWERS_MIN: usize = 5_000;

/// These take effect in the next sync, and presence writes little: a machine that is cut off may have none in time.
const MAY_MISS: &[&str] = &["CrashInSync", "FailingDisk"];

/// The quiet time at the end, in which some merchants stop and some come back, µs.
const QUIET_MIN_US: u64 = 9_000_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(healed_us) = history.phase_us("healed") else { return vec!["it was not healed".to_owned()] };
    check_faults_but(history, MAY_MISS, &mut wrong);
    if history.about.faults_ms > 0 {
        check_leaders(history, u64::try_from(QUIET_BEFORE.as_micros()).unwrap_or(u64::MAX), healed_us, &mut wrong);
    }
    let transitions = transitions(history);
    let of = |sequences: fn(u64) -> bool| transitions.values().flatten().filter(|one| sequences(one.sequence)).count();
    let (opened, everyone) = (of(|sequence| sequence == 1), merchants(history).len());
    if opened < everyone {
        wrong.push(format!("{opened} of {everyone} merchants were ever ONLINE"));
    }
    let (closed, again) = (of(|sequence| sequence % 2 == 0), of(|sequence| sequence > 1 && sequence % 2 == 1));
    if closed < CLOSED_MIN || again < OPENED_AGAIN_MIN {
        wrong.push(format!("{closed} merchants were closed, and {again} opened again"));
    }
    let told: usize = answers(history).map(|(_, shown)| shown.len()).sum();
    if told < ANSWERS_MIN {
        wrong.push(format!("presence was told of only {told} times"));
    }
    for (partition, ranges) in quiet(history).iter().enumerate() {
        let quiet_us = ranges.last().map_or(0, |range| range.end.saturating_sub(range.start));
        if quiet_us < QUIET_MIN_US {
            wrong.push(format!("partition {partition} was quiet for {quiet_us} us in the end"));
        }
    }
    wrong
}
