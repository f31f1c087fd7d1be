//! A run of the feed that shows nothing fails: beside what every run must show, polls and acknowledgments of quiet times
//! succeed, and some polls are answered by the fallback.

use super::feed_history::{acknowledgments, committed, polls};
use super::vacuity::{check_faults, check_leaders};
use crate::history::{Call, History, Outcome};
use crate::schedule::QUIET_BEFORE;

/// Its name.
pub const NAME: &str = "vacuity";

/// Of the operations of quiet times, in percent, at least so many succeed.
const QUIET_SUCCESS_MIN: usize = 90;

/// Forming, rebuilding and taking back need that long before it is quiet, µs.
const QUIET_AFTER_US: u64 = 5_000_000;

/// Fewer prove nothing.
const EVENTS_MIN: usize = 100;
const TAKEN_MIN: usize = 50;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let (Some(formed_us), Some(healed_us)) = (history.phase_us("formed"), history.phase_us("healed")) else {
        return vec!["it was not formed and healed".to_owned()];
    };
    let begins_us = u64::try_from(QUIET_BEFORE.as_micros()).unwrap_or(u64::MAX);
    check_faults(history, &mut wrong);
    if history.about.faults_ms > 0 {
        check_leaders(history, begins_us, healed_us, &mut wrong);
        if polls(history).all(|poll| poll.by == "Primary") {
            wrong.push("no poll was answered by the fallback".to_owned());
        }
    }
    check_quiet(history, "before the faults", formed_us + QUIET_AFTER_US, begins_us, &mut wrong);
    check_quiet(history, "after healing", healed_us + QUIET_AFTER_US, u64::MAX, &mut wrong);
    let (events, taken) = (committed(history).count(), acknowledgments(history).filter(|one| one.is_taken()).count());
    if events < EVENTS_MIN || taken < TAKEN_MIN {
        wrong.push(format!("{events} events were committed and {taken} acknowledgments taken"));
    }
    wrong
}

fn check_quiet(history: &History, when: &str, from_us: u64, until_us: u64, wrong: &mut Vec<String>) {
    let ended_us = history.phase_us("end").unwrap_or(u64::MAX);
    let quiet: Vec<bool> = history
        .operations
        .iter()
        .filter(|operation| matches!(operation.call, Call::Poll { .. } | Call::Acknowledge { .. }))
        .filter(|operation| (from_us..until_us).contains(&operation.invoked_us))
        // What was under way when the run ended has no answer.
        .filter(|operation| operation.returned_us < ended_us)
        .map(|operation| matches!(operation.outcome, Outcome::Ok(_)))
        .collect();
    let succeeded = quiet.iter().filter(|succeeded| **succeeded).count();
    if quiet.is_empty() || succeeded * 100 < quiet.len() * QUIET_SUCCESS_MIN {
        wrong.push(format!("{when} {succeeded} of {} operations succeeded", quiet.len()));
    }
}
