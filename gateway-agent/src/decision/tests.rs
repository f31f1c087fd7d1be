//! The rules of retrying, as tables and walks.

use super::*;
use crate::format::parse;

const RULES: Rules = Rules { early_for: Duration::from_secs(600), failures_max: 5 };

fn attempt(at_s: u64) -> Attempt {
    Attempt { receive_count: 1, at: Duration::from_secs(at_s), answers_before: 0, answers_now: 0 }
}

fn early() -> Verdict {
    Verdict::Rejected { reason: "UNKNOWN_ORDER".into(), detail: "no such order".into(), early: true }
}

fn dead(reason: &str, detail: &str) -> Decision {
    Decision::DeadLetter { reason: reason.to_owned(), detail: detail.to_owned() }
}

#[test]
fn what_is_final_is_final_at_once() {
    let judge = |verdict| History::new(1).judge(&attempt(0), verdict, &RULES);
    assert_eq!(judge(Verdict::Committed), Decision::Delete);
    assert_eq!(judge(Verdict::Repeated), Decision::Delete);
    let rejected = Verdict::Rejected { reason: "ID_REUSED".into(), detail: "d".into(), early: false };
    assert_eq!(judge(rejected), dead("ID_REUSED", "d"));
    let invalid = parse("[]").unwrap_err();
    assert_eq!(judge(Verdict::Invalid(invalid.clone())), dead("MALFORMED", &invalid.detail));
    assert_eq!(judge(Verdict::Failed(Failure::OfDependency(Code::Unavailable))), Decision::PauseIntake);
}

#[test]
fn an_early_message_is_retried_for_ten_minutes_of_answering_time() {
    let (mut history, mut at_s, mut delays) = (History::new(1), 5_000, Vec::new());
    let ended = loop {
        match history.judge(&attempt(at_s), early(), &RULES) {
            Decision::RetryAfter(delay) => {
                delays.push(delay.as_secs());
                at_s += delay.as_secs();
            }
            other => break other,
        }
    };
    assert_eq!(ended, dead("UNKNOWN_ORDER", "no such order"));
    assert_eq!((at_s, &delays[..6]), (5_600, &[1, 2, 4, 8, 16, 30][..]));
    assert!(delays.len() < 40, "the queue's own count of receives is not used up: {}", delays.len());
}

#[test]
fn a_failing_core_never_uses_up_a_message() {
    let mut history = History::new(1);
    for _ in 0..10_000 {
        let verdict = Verdict::Failed(Failure::OfDependency(Code::Unavailable));
        assert_eq!(history.judge(&attempt(1), verdict, &RULES), Decision::PauseIntake);
        let doubtful = Verdict::Failed(Failure::Doubtful(Code::Internal));
        assert!(matches!(history.judge(&attempt(1), doubtful, &RULES), Decision::RetryAfter(_)), "nobody was answered");
    }
}

#[test]
fn five_failures_of_its_own_are_enough() {
    let mut history = History::new(1);
    let fail = |history: &mut History| {
        history.judge(&attempt(0), Verdict::Failed(Failure::OfMessage(Code::InvalidArgument)), &RULES)
    };
    for _ in 0..4 {
        assert!(matches!(fail(&mut history), Decision::RetryAfter(_)));
    }
    let detail = "gateway-core could not take the message, 5 times; last InvalidArgument";
    assert_eq!(fail(&mut history), dead("RETRIES_EXHAUSTED", detail));
}

#[test]
fn a_doubtful_failure_counts_only_while_others_are_answered() {
    let mut history = History::new(1);
    let mut fail = |before, now| {
        let attempt = Attempt { answers_before: before, answers_now: now, ..attempt(0) };
        matches!(
            history.judge(&attempt, Verdict::Failed(Failure::Doubtful(Code::Internal)), &RULES),
            Decision::RetryAfter(_)
        )
    };
    assert!(fail(7, 7), "alone: not counted");
    assert!(fail(7, 7), "still alone");
    for answers in 8..12 {
        assert!(fail(answers, answers), "others were answered since the last failure");
    }
    assert!(!fail(12, 12), "the fifth that counts");
}

#[test]
fn one_message_that_hangs_the_core_does_not_stop_the_others() {
    let attempt = Attempt { answers_before: 3, answers_now: 4, ..attempt(0) };
    let verdict = Verdict::Failed(Failure::OfDependency(Code::DeadlineExceeded));
    assert_eq!(History::new(1).judge(&attempt, verdict, &RULES), Decision::RetryAfter(RETRY_DELAY_MIN));
}

#[test]
fn a_forgotten_message_is_bounded_by_the_count_of_receives() {
    assert!(matches!(History::new(200).judge(&attempt(0), early(), &RULES), Decision::RetryAfter(_)));
    assert_eq!(History::new(201).judge(&attempt(0), early(), &RULES), dead("UNKNOWN_ORDER", "no such order"));
}
