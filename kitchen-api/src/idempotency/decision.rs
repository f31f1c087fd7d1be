//! What to do with a request, given what is remembered under its key. Pure.

use std::time::Duration;

use order_model::Timestamp;

use crate::store::kept::{KeptAnswer, Progress, Remembered};

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Carry it out.
    Begin,
    /// Carry it out in the place of somebody who did not come back, and who may have got anywhere.
    TakeOver { effect: [u8; 16] },
    /// Answer it so.
    Answer(KeptAnswer),
    /// The key stands for another request.
    OtherRequest,
    /// Somebody carries it out, and has this long.
    InFlight { left: Duration },
}

/// Decides. What has expired counts as absent, whether or not it was deleted.
pub(super) fn decide(remembered: Option<&Remembered>, fingerprint: &[u8; 32], now: Timestamp) -> Verdict {
    let Some(remembered) = remembered.filter(|remembered| now < remembered.kept_until) else { return Verdict::Begin };
    if remembered.fingerprint != *fingerprint {
        return Verdict::OtherRequest;
    }
    match &remembered.progress {
        Progress::Answered(answer) => Verdict::Answer(answer.clone()),
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
            effect: [2; 16],
            holder: [3; 16],
            progress: Progress::Held { until: at(30) },
            kept_until: at(100),
        }
    }

    #[test]
    fn a_key_is_free_held_answered_or_anothers() {
        let answer = KeptAnswer { status: 202, content_type: String::new(), body: Vec::new() };
        let answered = Remembered { progress: Progress::Answered(answer.clone()), ..held() };
        assert_eq!(decide(None, &[1; 32], at(1)), Verdict::Begin);
        assert_eq!(decide(Some(&held()), &[1; 32], at(10)), Verdict::InFlight { left: Duration::from_millis(20) });
        assert_eq!(
            decide(Some(&held()), &[1; 32], at(30)),
            Verdict::TakeOver { effect: [2; 16] },
            "whoever held it did not come back"
        );
        assert_eq!(decide(Some(&answered), &[1; 32], at(99)), Verdict::Answer(answer));
        assert_eq!(decide(Some(&answered), &[9; 32], at(99)), Verdict::OtherRequest);
        assert_eq!(decide(Some(&held()), &[9; 32], at(10)), Verdict::OtherRequest, "also while it is held");
        assert_eq!(decide(Some(&answered), &[1; 32], at(100)), Verdict::Begin, "expired, deleted or not");
        assert_eq!(decide(Some(&answered), &[9; 32], at(100)), Verdict::Begin);
    }
}
