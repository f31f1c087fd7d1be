//! The breaker by properties, over random histories of questions and outcomes.

use std::time::Duration;

use proptest::prelude::*;

use crate::feed::breaker::{BreakerEffect, BreakerInput, BreakerSettings, BreakerState};

fn history() -> impl Strategy<Value = Vec<(u64, BreakerInput)>> {
    let input = prop_oneof![
        3 => Just(BreakerInput::Asked),
        1 => Just(BreakerInput::Answered),
        3 => Just(BreakerInput::Failed),
    ];
    proptest::collection::vec((0u64..900, input), 1..120)
}

proptest! {
    /// The model is what a user would say: after `n` failures in a row attempts stop; one probe at a time, apart; an answered
    /// probe ends it; and whatever happened, waiting the longest opening always gets an attempt through.
    #[test]
    fn a_breaker_saves_attempts_and_always_recovers(history in history()) {
        let settings = BreakerSettings::POLLS;
        let mut state = BreakerState::default();
        let mut at = Duration::ZERO;
        let (mut failures_in_a_row, mut is_open, mut last_probe) = (0u32, false, None::<Duration>);
        for (after_ms, input) in history {
            at += Duration::from_millis(after_ms);
            let (next, effect) = state.apply(&settings, at, input);
            match (input, is_open) {
                (BreakerInput::Asked, false) => prop_assert_eq!(effect, BreakerEffect::Attempt),
                (BreakerInput::Asked, true) => match effect {
                    BreakerEffect::Skip => {}
                    BreakerEffect::Probe => {
                        let apart = last_probe.map_or(settings.open_for, |last| at - last);
                        prop_assert!(apart >= settings.open_for.min(settings.probe_lost_after), "{apart:?}");
                        last_probe = Some(at);
                    }
                    other => prop_assert!(false, "{other:?}"),
                },
                (BreakerInput::Answered, _) => {
                    failures_in_a_row = 0;
                    if let BreakerEffect::Closed { .. } = effect {
                        prop_assert!(is_open && last_probe.is_some(), "only a probe closes it");
                        (is_open, last_probe) = (false, None);
                    }
                }
                (BreakerInput::Failed, false) => {
                    failures_in_a_row += 1;
                    let opens = failures_in_a_row == settings.failures_to_open;
                    prop_assert_eq!(effect, if opens { BreakerEffect::Opened } else { BreakerEffect::Nothing });
                    if opens {
                        (is_open, failures_in_a_row) = (true, 0);
                    }
                }
                (BreakerInput::Failed, true) => {
                    prop_assert!(matches!(effect, BreakerEffect::Reopened | BreakerEffect::Nothing));
                }
            }
            let later = at + settings.open_for_max.max(settings.probe_lost_after);
            let (_, asked_later) = next.apply(&settings, later, BreakerInput::Asked);
            prop_assert!(matches!(asked_later, BreakerEffect::Attempt | BreakerEffect::Probe));
            state = next;
        }
    }
}

#[test]
fn openings_double_up_to_their_limit_and_an_episode_is_measured_whole() {
    let settings = BreakerSettings::POLLS;
    let mut state = BreakerState::default();
    for _ in 0..3 {
        (state, _) = state.apply(&settings, Duration::from_secs(10), BreakerInput::Failed);
    }
    let mut at = Duration::from_secs(10);
    for open_ms in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
        let until = at + Duration::from_millis(open_ms);
        assert_eq!(
            state.apply(&settings, until - Duration::from_millis(1), BreakerInput::Asked).1,
            BreakerEffect::Skip
        );
        let (probing, effect) = state.apply(&settings, until, BreakerInput::Asked);
        assert_eq!(effect, BreakerEffect::Probe, "after {open_ms} ms");
        assert_eq!(probing.apply(&settings, until, BreakerInput::Asked).1, BreakerEffect::Skip, "one at a time");
        let lasted = until - Duration::from_secs(10);
        assert_eq!(
            probing.apply(&settings, until, BreakerInput::Answered),
            (BreakerState::PRISTINE, BreakerEffect::Closed { lasted })
        );
        (state, _) = probing.apply(&settings, until, BreakerInput::Failed);
        at = until;
    }
}
