//! What a partition takes, refuses and remembers.

use proptest::prelude::*;

use super::*;
use crate::presence::TransitionReason;

fn merchant(number: u8) -> MerchantId {
    MerchantId::from_bytes([number; 16])
}

fn transition(number: u8, online: bool, sequence: u64) -> Transition {
    let reason = TransitionReason::of(online);
    Transition { merchant: merchant(number), online, reason, changed_at_ms: 1000, last_heartbeat_at_ms: 900, sequence }
}

fn apply(state: &mut PresencePartition, term: u64, hearing: Tenths, decision: Decision) -> Reply {
    let command = Command { head: Head { term, hearing }, decision };
    Reply::decode(&state.apply(ReplicatedTime::default(), &command.encode()))
}

fn beats(known: &[(u32, Tenths)], newcomers: &[(u8, Tenths)]) -> Decision {
    let newcomers = newcomers.iter().map(|(number, age)| (merchant(*number), *age)).collect();
    Decision::Beats { known: known.to_vec(), newcomers }
}

#[test]
fn a_repeated_or_contradicting_transition_changes_nothing() {
    let mut state = PresencePartition::default();
    for row in [(true, 1), (true, 1), (false, 2), (true, 1), (false, 3), (true, 4), (false, 2)] {
        assert_eq!(apply(&mut state, 1, 0, Decision::Transitions(vec![transition(7, row.0, row.1)])), Reply::Applied);
    }
    let known = state.merchant(merchant(7)).unwrap();
    assert_eq!((known.record.is_online(), known.record.sequence(), state.online()), (false, 2, 0));
    assert_eq!(state.outbox(10), (vec![transition(7, true, 1), transition(7, false, 2)], 2));
}

#[test]
fn what_was_published_leaves_the_outbox_once() {
    let mut state = PresencePartition::default();
    let all: Vec<Transition> = (1..=5).map(|number| transition(number, true, 1)).collect();
    apply(&mut state, 1, 0, Decision::Transitions(all.clone()));
    let (oldest, through) = state.outbox(2);
    assert_eq!((&oldest[..], through), (&all[..2], 2));
    for _ in 0..2 {
        apply(&mut state, 1, 0, Decision::Published(through));
        assert_eq!(state.outbox(10), (all[2..].to_vec(), 5));
    }
    apply(&mut state, 1, 0, Decision::Published(1_000));
    assert_eq!((state.unpublished(), state.outbox(10).1), (0, 5), "what is not there was not published");
}

#[test]
fn a_leader_that_was_succeeded_decides_nothing() {
    let mut state = PresencePartition::default();
    apply(&mut state, 3, 100, beats(&[], &[(1, 0)]));
    apply(&mut state, 3, 100, Decision::Transitions(vec![transition(1, true, 1)]));
    assert_eq!(apply(&mut state, 5, 100, Decision::TakeOver), Reply::Applied);
    let before = state.clone();
    let late = [
        Decision::TakeOver,
        beats(&[(0, 0)], &[(2, 0)]),
        Decision::Transitions(vec![transition(1, false, 2)]),
        Decision::Published(1),
        Decision::RestoreEnded,
        Decision::Brake(Some(1)),
    ];
    for decision in late {
        assert_eq!(apply(&mut state, 3, 9_000, decision), Reply::Superseded);
    }
    assert_eq!(state, before);
    assert_eq!(apply(&mut state, 5, 100, Decision::Transitions(vec![transition(1, false, 2)])), Reply::Applied);
    assert_eq!(state.online(), 0);
}

#[test]
fn a_beat_counts_from_its_age_and_never_goes_back() {
    let mut state = PresencePartition::default();
    apply(&mut state, 1, 1_000, beats(&[(9, 0)], &[(1, 10), (2, 5_000)]));
    let beat = |state: &PresencePartition, number| state.merchant(merchant(number)).map(|known| known.beat);
    assert_eq!((beat(&state, 1), beat(&state, 2), beat(&state, 3)), (Some(990), Some(1), None));
    apply(&mut state, 1, 1_100, beats(&[(0, 200)], &[]));
    assert_eq!((beat(&state, 1), state.hearing()), (Some(990), 1_100));
    apply(&mut state, 1, 1_050, beats(&[(0, 0)], &[(1, 0)]));
    assert_eq!((beat(&state, 1), state.known()), (Some(1_100), 2), "hearing time does not go back");
}

#[test]
fn it_remembers_when_its_hearing_time_was() {
    let mut state = PresencePartition::default();
    for (unix_ms, hearing) in [(5_000, 100), (6_000, 110), (9_000, 0), (9_500, 109)] {
        let command = Command { head: Head { term: 1, hearing }, decision: Decision::RestoreEnded };
        state.apply(ReplicatedTime { unix_ms }, &command.encode());
    }
    let restored = PresencePartition::restore(&state.snapshot()).unwrap();
    assert_eq!((restored.hearing(), restored.hearing_at_ms()), (110, 6_000));
}

#[test]
fn a_restore_that_is_repeated_and_one_that_comes_late_change_nothing() {
    let mut state = PresencePartition::default();
    let unpublished = vec![transition(1, true, 3)];
    let row = RestoredMerchant { last: transition(1, true, 3), age: 0, unpublished };
    for _ in 0..2 {
        apply(&mut state, 1, 2_000, Decision::Restored(vec![row.clone()]));
    }
    assert_eq!((state.online(), state.unpublished(), state.is_restored()), (1, 1, false));
    apply(&mut state, 1, 2_000, Decision::RestoreEnded);
    let late = RestoredMerchant { last: transition(1, false, 8), age: 0, unpublished: Vec::new() };
    apply(&mut state, 1, 2_000, Decision::Restored(vec![late]));
    assert_eq!((state.online(), state.is_restored()), (1, true));
}

#[test]
fn unknown_versions_and_torn_bytes_are_refused() {
    let mut state = PresencePartition::default();
    apply(&mut state, 1, 50, Decision::Transitions(vec![transition(1, true, 1)]));
    let before = state.clone();
    let unreadable = [&[][..], &[1], &[9], b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0X", b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0Tabc"];
    for bytes in unreadable {
        assert_eq!(Reply::decode(&state.apply(ReplicatedTime::default(), bytes)), Reply::Unreadable);
    }
    assert_eq!(state, before);
    let snapshot = state.snapshot();
    assert_eq!(PresencePartition::restore(&[9]).unwrap_err().reason, "format version cannot be read");
    assert!((0..snapshot.len()).all(|length| PresencePartition::restore(&snapshot[..length]).is_err()));
}

#[test]
fn a_restored_merchant_takes_eight_bytes_beside_its_id() {
    let mut state = PresencePartition::default();
    for thousand in 0..10u32 {
        let id = |number: u32| MerchantId::from_bytes(u128::from(thousand * 1_000 + number).to_be_bytes());
        let newcomers = (0..1_000).map(|number| (id(number), 0)).collect();
        apply(&mut state, 1, 50, Decision::Beats { known: Vec::new(), newcomers });
    }
    let restored = PresencePartition::restore(&state.snapshot()).unwrap();
    assert_eq!((restored.known(), restored.bytes()), (10_000, 80_000));
}

proptest! {
    /// Replicas agree byte for byte, through a snapshot as well.
    #[test]
    fn a_snapshot_is_the_state(steps in prop::collection::vec((0u8..4, 0u8..6, any::<bool>(), 0u64..5, 0u32..500), 0..60)) {
        let mut state = PresencePartition::default();
        let mut other = PresencePartition::default();
        for (kind, number, flag, count, tenths) in steps {
            let decision = match kind {
                0 => beats(&[(u32::from(number), tenths)], &[(number, tenths)]),
                1 => Decision::Transitions(vec![transition(number, flag, count)]),
                2 => Decision::Published(count),
                _ => Decision::Brake(flag.then_some(tenths)),
            };
            apply(&mut state, count, tenths, decision.clone());
            apply(&mut other, count, tenths, decision);
            other = PresencePartition::restore(&other.snapshot()).unwrap();
            prop_assert_eq!(&other, &state);
            prop_assert_eq!(other.snapshot(), state.snapshot());
        }
        prop_assert_eq!(state.online(), (0..6).filter(|number| {
            state.merchant(merchant(*number)).is_some_and(|known| known.record.is_online())
        }).count());
    }
}

#[test]
fn a_place_in_the_outbox_has_places_behind_it() {
    let restored = |published: u64| {
        let state = PresencePartition { published, outbox: [transition(7, true, 1)].into(), ..Default::default() };
        PresencePartition::restore(&state.snapshot()).map(|state| state.outbox(10).1)
    };
    assert_eq!(restored(PUBLISHED_MAX), Ok(PUBLISHED_MAX + 1));
    assert!(restored(PUBLISHED_MAX + 1).is_err() && restored(u64::MAX).is_err());
}
