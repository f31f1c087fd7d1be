//! I6 over histories made by hand: what it must find, and what it must not.

use super::*;
use crate::history::{About, Observation, Seen};
use crate::presence::fleet::fleet;

const SECOND: u64 = 1_000_000;

fn few() -> u32 {
    fleet(4)[1][0]
}

fn one_of_many() -> u32 {
    fleet(4)[0][0]
}

fn history(seen: Vec<(u64, Observation)>) -> History {
    let about = About { scenario: "presence".to_owned(), partitions: 4, ..About::default() };
    let seen = seen.into_iter().map(|(at_us, what)| Seen { at_us, what }).collect();
    History { about, seen, ..History::default() }
}

fn beats(merchant: u32, at: Option<u64>, seconds: Range<u64>) -> Vec<(u64, Observation)> {
    seconds.map(|second| (second * SECOND, Observation::Beat { merchants: vec![merchant], at })).collect()
}

fn changed(merchant: u32, second: u64, sequence: u64) -> (u64, Observation) {
    let what = Observation::Transition {
        merchant,
        online: sequence % 2 == 1,
        id: format!("{merchant}/{sequence}"),
        sequence,
        changed_at_ms: i64::try_from(second * 1_000).unwrap(),
    };
    (second * SECOND, what)
}

fn found(mut seen: Vec<(u64, Observation)>) -> Vec<String> {
    seen.sort_by_key(|(at_us, _)| *at_us);
    check(&history(seen))
}

#[test]
fn a_silence_closes_and_a_beat_opens() {
    let mut seen = beats(few(), Some(1), 1..10);
    seen.extend(beats(few(), Some(2), 25..30));
    seen.extend([changed(few(), 2, 1), changed(few(), 20, 2), changed(few(), 26, 3), changed(few(), 26, 3)]);
    assert_eq!(found(seen), Vec::<String>::new());
}

#[test]
fn whoever_was_heard_must_not_be_closed() {
    let mut seen = beats(few(), Some(1), 1..30);
    seen.extend([changed(few(), 2, 1), changed(few(), 20, 2)]);
    assert_eq!(found(seen).len(), 1);
    let mut early = beats(few(), Some(1), 1..10);
    early.extend([changed(few(), 2, 1), changed(few(), 18, 2)]);
    assert_eq!(found(early).len(), 1, "nine seconds are not ten");
}

#[test]
fn a_beat_that_a_machine_takes_into_its_crash_was_not_heard() {
    let mut seen = beats(few(), Some(1), 1..10);
    seen.extend(beats(few(), Some(2), 10..11));
    seen.extend([changed(few(), 2, 1), changed(few(), 19, 2)]);
    assert_eq!(found(seen.clone()).len(), 1);
    seen.push((11 * SECOND, Observation::Fault("Crash(2)".to_owned())));
    assert_eq!(found(seen), Vec::<String>::new());
}

#[test]
fn each_closing_needs_a_silence_of_its_own() {
    let mut seen = beats(few(), Some(1), 1..10);
    seen.extend(beats(few(), Some(1), 25..40));
    seen.extend([changed(few(), 2, 1), changed(few(), 20, 2), changed(few(), 26, 3), changed(few(), 30, 4)]);
    assert_eq!(found(seen).len(), 1);
}

#[test]
fn opening_needs_a_beat() {
    let mut seen = beats(few(), Some(1), 1..10);
    seen.extend([changed(few(), 2, 1), changed(few(), 20, 2), changed(few(), 30, 3)]);
    assert_eq!(found(seen).len(), 1);
}

#[test]
fn who_cannot_reach_us_is_not_closed_where_the_brake_can_tell() {
    let tried = |merchant| {
        let mut seen = beats(merchant, Some(1), 1..10);
        seen.extend(beats(merchant, None, 10..30));
        seen.extend([changed(merchant, 2, 1), changed(merchant, 21, 2)]);
        seen
    };
    assert_eq!(found(tried(one_of_many())).len(), 1);
    assert_eq!(found(tried(few())), Vec::<String>::new(), "a few that cannot be reached are as good as silent");
}

#[test]
fn who_gives_up_while_nobody_is_reached_may_be_closed_by_what_was_heard() {
    let mut seen = beats(one_of_many(), Some(1), 1..10);
    seen.extend(beats(one_of_many(), None, 10..13));
    seen.extend([changed(one_of_many(), 2, 1), changed(one_of_many(), 20, 2)]);
    assert_eq!(found(seen), Vec::<String>::new());
}

#[test]
fn what_contradicts_itself_is_found() {
    let mut seen = beats(few(), Some(1), 1..30);
    seen.extend([changed(few(), 2, 1), changed(few(), 3, 3)]);
    assert!(!found(seen).is_empty(), "a gap");
    let mut seen = beats(few(), Some(1), 1..30);
    seen.push(changed(few(), 2, 1));
    let (at, mut again) = changed(few(), 3, 1);
    if let Observation::Transition { id, .. } = &mut again {
        id.push('!');
    }
    seen.push((at, again));
    assert_eq!(found(seen).len(), 1, "another id");
}

#[test]
fn the_ideal_observer_leaves_room_for_publishing() {
    let merchant = Merchant { partition: 1, beats: vec![5 * SECOND], ..Merchant::default() };
    let ideal = |tenths: u64| merchant.ideal(tenths * SECOND / 10);
    assert_eq!((ideal(40), ideal(60), ideal(80)), (None, None, Some(true)));
    assert_eq!((ideal(140), ideal(155), ideal(171)), (Some(true), None, Some(false)));
}
