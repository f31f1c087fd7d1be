//! The state of a partition against the specification (`event_feed::oracle`), and its limits one by one.

use std::time::Duration;

use bytes::Bytes;
use event_feed::oracle::Oracle;
use event_feed::{AuthorisedMerchants, Filter, GrantedMerchant, TraceId, visibility};
use order_model::{EventCategory, EventCode, EventIdKey};
use proptest::prelude::*;
use replicated_grid::conformance;

use super::*;

const START_MS: i64 = 1_795_000_000_000;
const LIFETIME_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn at(age: i64) -> Timestamp {
    Timestamp::from_unix_ms(START_MS + age)
}

fn replicated(age: i64) -> ReplicatedTime {
    ReplicatedTime { unix_ms: START_MS + age }
}

fn merchant(number: u8) -> MerchantId {
    MerchantId::from_bytes([number; 16])
}

fn application(name: &str) -> ApplicationId {
    name.parse().unwrap()
}

fn event(of: u8, order: u8, sequence: u32) -> FeedEvent {
    let (merchant, order_id) = (merchant(of), OrderId::from_bytes([order; 16]));
    let created_at = at(i64::from(order) * 100 + i64::from(sequence));
    FeedEvent {
        id: EventId::derive(&EventIdKey::from_bytes([1; 16]), created_at, merchant, order_id, sequence),
        order: order_id,
        merchant,
        code: EventCode::Placed,
        category: EventCategory::Food,
        sequence,
        created_at,
        expires_at: created_at.plus(Duration::from_millis(LIFETIME_MS.unsigned_abs())),
        trace: TraceId([7; 16]),
        body: Bytes::from(format!("{{\"order\":{order},\"sequence\":{sequence}}}")),
    }
}

fn apply(state: &mut FeedPartition, age: i64, command: &Command) -> Reply {
    Reply::decode(&state.apply(replicated(age), &command.encode())).unwrap()
}

fn append(state: &mut FeedPartition, age: i64, event: FeedEvent) -> Appended {
    match apply(state, age, &Command::Append(vec![event])) {
        Reply::Appended(outcomes) => outcomes[0],
        other => panic!("{other:?}"),
    }
}

fn acknowledge(state: &mut FeedPartition, age: i64, name: &str, ids: &[EventId]) -> Reply {
    apply(state, age, &Command::Acknowledge { application: application(name), ids: ids.to_vec() })
}

fn shown(state: &FeedPartition, name: &str, of: u8, now: Timestamp) -> Vec<FeedEvent> {
    let pending = state.pending(&application(name), merchant(of), Timestamp::default());
    let visible =
        pending.into_iter().flatten().filter(|stored| visibility::is_visible(&stored.event, Timestamp::default(), now));
    visible.map(|stored| stored.event.clone()).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8, u8, u32),
    Acknowledge(bool, Vec<(u8, u8, u32)>),
    Pass(i64),
    Expire,
    Rebuilt,
    Restore,
}

fn any_event() -> impl Strategy<Value = (u8, u8, u32)> {
    // The order decides the merchant: an order belongs to one.
    (0u8..8, 1u32..5).prop_map(|(order, sequence)| (order % 3, order, sequence))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_event().prop_map(|(of, order, sequence)| Step::Append(of, order, sequence)),
        4 => (any::<bool>(), prop::collection::vec(any_event(), 1..6)).prop_map(|(first, ids)| Step::Acknowledge(first, ids)),
        2 => prop_oneof![0i64..1_000, 20_000i64..40_000, Just(HOUR_MS)].prop_map(Step::Pass),
        2 => Just(Step::Expire),
        1 => Just(Step::Restore),
        1 => Just(Step::Rebuilt),
    ]
}

fn command_of(step: &Step) -> Option<Command> {
    let id = |(of, order, sequence): &(u8, u8, u32)| event(*of, *order, *sequence).id;
    match step {
        Step::Append(of, order, sequence) => Some(Command::Append(vec![event(*of, *order, *sequence)])),
        Step::Acknowledge(first, ids) => {
            let application = application(if *first { "first" } else { "second" });
            Some(Command::Acknowledge { application, ids: ids.iter().map(id).collect() })
        }
        Step::Expire => Some(Command::Expire),
        Step::Rebuilt => Some(Command::Rebuilt),
        Step::Pass(_) | Step::Restore => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Random interleavings of appends, acknowledgments, expiry and restores show what the specification shows.
    #[test]
    fn it_shows_what_the_specification_shows(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut state = FeedPartition::new(Limits::default());
        let mut oracle = Oracle::default();
        let mut age = 0;
        for step in steps {
            match &step {
                Step::Pass(by) => age += by,
                Step::Restore => {
                    // What is made again, the events above gaps among it, must be what was kept.
                    let restored = FeedPartition::restore(&state.snapshot()).unwrap();
                    prop_assert_eq!(&restored, &state);
                    state = restored;
                }
                Step::Append(of, order, sequence) => oracle.append(event(*of, *order, *sequence), Duration::ZERO),
                Step::Acknowledge(first, ids) => {
                    let ids = ids.iter().map(|(of, order, sequence)| event(*of, *order, *sequence).id);
                    oracle.acknowledge(&application(if *first { "first" } else { "second" }), ids);
                }
                Step::Expire | Step::Rebuilt => {}
            }
            if let Some(command) = command_of(&step) {
                prop_assert_ne!(apply(&mut state, age, &command), Reply::Unreadable);
            }
            for name in ["first", "second", "third"] {
                for of in 0..3 {
                    let granted = GrantedMerchant { merchant: merchant(of), visible_from: Timestamp::default() };
                    let authorised = AuthorisedMerchants::vouched_for_by_peer(application(name), vec![granted]);
                    // Long after every arrival: hold-back is the service's, and has tests of its own.
                    let answer = oracle.answer(&authorised, &Filter::default(), at(age), Duration::from_secs(9));
                    prop_assert_eq!(shown(&state, name, of, at(age)), answer.shown);
                }
            }
        }
    }

    #[test]
    fn it_is_deterministic(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut age = 0;
        let mut commands = Vec::new();
        for step in &steps {
            if let Step::Pass(by) = step {
                age += by;
            }
            commands.extend(command_of(step).map(|command| (replicated(age), command.encode())));
        }
        prop_assert_eq!(conformance::check(|| FeedPartition::new(Limits::default()), &commands), Ok(()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut state = FeedPartition::new(Limits::default());
        state.apply(replicated(0), &bytes);
        let mut command = Command::Append(vec![event(1, 1, 1), event(1, 2, 1)]).encode();
        let place = flip.index(command.len());
        command[place] ^= 1 << bit;
        state.apply(replicated(0), &command);
        state.apply(replicated(20 * DAY_MS), &Command::Expire.encode());
        let mut snapshot = state.snapshot();
        let place = flip.index(snapshot.len());
        snapshot[place] ^= 1 << bit;
        if let Ok(mut restored) = FeedPartition::restore(&snapshot) {
            restored.apply(replicated(40 * DAY_MS), &Command::Expire.encode());
            restored.apply(replicated(80 * DAY_MS), &Command::Expire.encode());
        }
        let _ = FeedPartition::restore(&bytes);
    }
}

#[test]
fn commands_and_replies_read_back() {
    let ids = vec![event(1, 1, 1).id, event(1, 1, 2).id];
    let commands = [
        Command::Append(vec![event(1, 1, 1), event(2, 2, 9)]),
        Command::Acknowledge { application: application("a"), ids },
        Command::Expire,
        Command::Rebuilt,
    ];
    for command in commands {
        assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        let later_version = [&[9], &command.encode()[1..]].concat();
        assert_eq!(Command::decode(&later_version).unwrap_err().to_string(), "format version cannot be read");
    }
    assert_eq!(Reply::decode(&Reply::Rebuilt.encode()).unwrap(), Reply::Rebuilt);
    assert!(Command::decode(&[command::FORMAT_VERSION, 4]).is_err(), "the first format has no such command");
    let mut state = FeedPartition::new(Limits::default());
    let reply = state.apply(replicated(0), &[9, 9]);
    assert_eq!(Reply::decode(&reply).unwrap(), Reply::Unreadable);
}

#[test]
fn nothing_pending_leaves_nothing_to_look_at() {
    let mut state = FeedPartition::new(Limits::default());
    let events: Vec<FeedEvent> = (1..=3).map(|order| event(1, order, 1)).collect();
    apply(&mut state, 0, &Command::Append(events.clone()));
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    assert_eq!(acknowledge(&mut state, 0, "app", &ids), Reply::Acknowledged { applied: 3, remembered: 0 });
    assert_eq!(acknowledge(&mut state, 0, "app", &ids), Reply::Acknowledged { applied: 0, remembered: 0 });
    assert_eq!(state.pending(&application("app"), merchant(1), Timestamp::default()).unwrap().count(), 0);
    assert_eq!(state.pending(&application("other"), merchant(1), Timestamp::default()).unwrap().count(), 3);
    assert_eq!(state.pending(&application("other"), merchant(1), events[1].created_at).unwrap().count(), 2, "window");
    assert!(state.pending(&application("app"), merchant(2), Timestamp::default()).is_none());
}

#[test]
fn an_acknowledgment_outlives_its_event_by_an_hour_and_a_tombstone_lives_for_two_weeks() {
    let mut state = FeedPartition::new(Limits::default());
    let known = event(1, 1, 1);
    let unknown = event(1, 2, 1);
    append(&mut state, 0, known.clone());
    acknowledge(&mut state, 0, "app", &[known.id, unknown.id]);
    assert_eq!((state.event_count(), state.tombstone_count()), (1, 1));
    let expired_at = known.expires_at.unix_ms() - START_MS;
    assert_eq!(apply(&mut state, expired_at - 1, &Command::Expire), Reply::Expired { events: 0, more: false });
    assert_eq!(apply(&mut state, expired_at, &Command::Expire), Reply::Expired { events: 1, more: false });
    assert_eq!((state.event_count(), state.body_bytes()), (1, 0), "recognised, without its body");
    apply(&mut state, expired_at + HOUR_MS, &Command::Expire);
    assert_eq!((state.event_count(), state.tombstone_count()), (0, 1));
    assert_eq!(append(&mut state, expired_at + HOUR_MS, known), Appended::Expired);
    let forgotten_at = acknowledgment::tombstone_until(unknown.id).unix_ms() - START_MS;
    apply(&mut state, forgotten_at - 1, &Command::Expire);
    assert_eq!(state.tombstone_count(), 1);
    apply(&mut state, forgotten_at, &Command::Expire);
    assert_eq!(state, FeedPartition { time: at(forgotten_at), ..FeedPartition::new(Limits::default()) });
}

#[test]
fn what_exceeds_the_limits_keeps_its_header_and_gets_its_body_back_when_there_is_room() {
    let mut state = FeedPartition::new(Limits { bodies_per_merchant: 2, ..Limits::default() });
    let events: Vec<FeedEvent> = (1..=3).map(|order| event(1, order, 1)).collect();
    apply(&mut state, 0, &Command::Append(events.clone()));
    append(&mut state, 0, event(2, 4, 1));
    let bodies = |state: &FeedPartition| {
        let pending = state.pending(&application("app"), merchant(1), Timestamp::default()).unwrap();
        pending.map(|stored| stored.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&state), [Body::Kept, Body::Kept, Body::Spilled]);
    let restored = FeedPartition::restore(&state.snapshot()).unwrap();
    assert_eq!(restored, state);
    let first_expired = events[0].expires_at.unix_ms() - START_MS;
    apply(&mut state, first_expired, &Command::Expire);
    assert_eq!(append(&mut state, first_expired, events[2].clone()), Appended::Repeated);
    assert_eq!(bodies(&state), [Body::Kept, Body::Kept]);
    let kept: usize = [&events[1], &events[2], &event(2, 4, 1)].iter().map(|event| event.body.len()).sum();
    assert_eq!(state.body_bytes(), kept);
}

#[test]
fn a_gap_is_known_until_it_is_filled_even_by_an_expired_event() {
    let mut state = FeedPartition::new(Limits::default());
    assert_eq!(append(&mut state, 0, event(1, 1, 3)), Appended::AddedAboveGap);
    assert_eq!(append(&mut state, 0, event(1, 1, 1)), Appended::Added);
    let third = event(1, 1, 3);
    assert_eq!(state.gaps(third.merchant, third.order), [2..=2]);
    let above: Vec<EventId> = state.events_above_gaps().map(|above| above.event).collect();
    assert_eq!(above, [third.id]);
    assert!(state.stands_above_gap(&third) && !state.stands_above_gap(&event(1, 1, 1)));
    let expired = FeedEvent { expires_at: at(5), ..event(1, 1, 2) };
    assert_eq!(append(&mut state, 10, expired), Appended::Expired);
    assert!(state.gaps(third.merchant, third.order).is_empty());
    assert!(!state.stands_above_gap(&third) && state.events_above_gaps().len() == 0);
}

#[test]
fn an_event_that_expires_above_a_gap_is_no_longer_looked_after() {
    let mut state = FeedPartition::new(Limits::default());
    append(&mut state, 0, event(1, 1, 2));
    assert_eq!(state.events_above_gaps().len(), 1);
    apply(&mut state, LIFETIME_MS + 1_000, &Command::Expire);
    assert_eq!(state.events_above_gaps().len(), 0);
}

#[test]
fn a_state_says_by_itself_since_when_it_is_rebuilt() {
    let mut state = FeedPartition::new(Limits::default());
    append(&mut state, 0, event(1, 1, 1));
    assert_eq!(state.rebuilt_at(), None);
    let before = state.snapshot();
    assert_eq!(apply(&mut state, 5, &Command::Rebuilt), Reply::Rebuilt);
    assert_eq!(apply(&mut state, 9, &Command::Rebuilt), Reply::Rebuilt);
    assert_eq!(state.rebuilt_at(), Some(at(5)), "the first time counts");
    assert_eq!(FeedPartition::restore(&state.snapshot()).unwrap().rebuilt_at(), Some(at(5)));
    // The snapshot before this format: the same bytes without the two fields behind the limits and the time.
    let fields = 1 + 3 * 4 + 8;
    let first_format = [&[1], &before[1..fields], &before[fields + 9..]].concat();
    let restored = FeedPartition::restore(&first_format).unwrap();
    assert_eq!((restored.rebuilt_at(), restored.event_count()), (None, 1));
}
