//! What to do with a request, given what is remembered under its key. Pure.

use std::time::Duration;

use order_model::Timestamp;

use super::request::Asked;
use crate::store::kept::{KeptAnswer, Progress, Remembered};

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Carry it out.
    Begin,
    /// Carry it out in the place of somebody who did not come back, and who may have got anywhere; or who was answered when
    /// the caller could see other merchants. Its effect stays one, and whoever may not see it any more is refused.
    TakeOver { effect: [u8; 16] },
    /// Answer it so.
    Answer(KeptAnswer),
    /// The key stands for another request.
    OtherRequest,
    /// Somebody carries it out, and has this long.
    InFlight { left: Duration },
}

/// Decides. What has expired counts as absent, whether or not it was deleted.
pub(super) fn decide(remembered: Option<&Remembered>, asked: &Asked, now: Timestamp) -> Verdict {
    let Some(remembered) = remembered.filter(|remembered| now < remembered.kept_until) else { return Verdict::Begin };
    if remembered.fingerprint != asked.fingerprint {
        return Verdict::OtherRequest;
    }
    match &remembered.progress {
        Progress::Answered(answer) if remembered.scope == asked.scope => Verdict::Answer(answer.clone()),
        Progress::Answered(_) => Verdict::TakeOver { effect: remembered.effect },
        Progress::Held { until } if now < *until => Verdict::InFlight { left: until.since(now) },
        Progress::Held { .. } => Verdict::TakeOver { effect: remembered.effect },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn held() -> Remembered {
        Remembered {
            fingerprint: [1; 32],
            scope: [4; 32],
            effect: [2; 16],
            holder: [3; 16],
            progress: Progress::Held { until: at(30) },
            kept_until: at(100),
        }
    }

    fn asked(fingerprint: u8, scope: u8) -> Asked {
        Asked { under: [0; 32], fingerprint: [fingerprint; 32], scope: [scope; 32] }
    }

    #[test]
    fn a_key_is_free_held_answered_or_anothers() {
        let answer = KeptAnswer { status: 202, content_type: String::new(), body: Vec::new() };
        let answered = Remembered { progress: Progress::Answered(answer.clone()), ..held() };
        let (same, other) = (asked(1, 4), asked(9, 4));
        assert_eq!(decide(None, &same, at(1)), Verdict::Begin);
        assert_eq!(decide(Some(&held()), &same, at(10)), Verdict::InFlight { left: Duration::from_millis(20) });
        let take_over = Verdict::TakeOver { effect: [2; 16] };
        assert_eq!(decide(Some(&held()), &same, at(30)), take_over, "whoever held it did not come back");
        assert_eq!(decide(Some(&answered), &same, at(99)), Verdict::Answer(answer));
        assert_eq!(decide(Some(&answered), &asked(1, 5), at(99)), take_over, "who sees other merchants is judged anew");
        assert_eq!(decide(Some(&answered), &other, at(99)), Verdict::OtherRequest);
        assert_eq!(decide(Some(&held()), &other, at(10)), Verdict::OtherRequest, "also while it is held");
        assert_eq!(decide(Some(&answered), &same, at(100)), Verdict::Begin, "expired, deleted or not");
        assert_eq!(decide(Some(&answered), &other, at(100)), Verdict::Begin);
    }
}
