//! The service against event-feed's oracle: any order of arrival, duplicates, acknowledgments, filters and time.

use std::time::Duration;

use event_feed::oracle::Oracle;
use event_feed::{AuthorisedMerchants, CategoryFilter, FeedEvent, Filter, GrantedMerchant};
use order_model::{Clock, EventCategory, EventCode};
use proptest::prelude::*;

use crate::platform::{EventSpec, Platform, PollSpec, START};

/// Few, because every step is real requests; the rules themselves are tested much harder in event-feed.
const CASES: u32 = 24;
const MERCHANTS: u32 = 3;
const ORDERS: u32 = 6;
const SEQUENCES: u32 = 4;
const APPLICATIONS: [&str; 2] = ["pos", "kds"];

#[derive(Debug, Clone)]
enum Step {
    /// Events arrive together, by number, any of them again.
    Arrive(Vec<u32>),
    Acknowledge {
        application: usize,
        events: Vec<u32>,
    },
    Poll {
        application: usize,
        filter: usize,
        limit: u32,
    },
    Pass(Duration),
}

fn event(number: u32) -> FeedEvent {
    let (order, sequence) = (number % ORDERS, number / ORDERS + 1);
    let code = if sequence == 1 { EventCode::Placed } else { EventCode::Confirmed };
    let category = if order == 0 { EventCategory::Anotai } else { EventCategory::Food };
    let created_at = START.plus(Duration::from_secs((sequence * 10 + order).into()));
    // Two orders are short-lived, so that some events expire within a run.
    let lives = if order < 2 { Duration::from_secs(90) } else { Duration::from_secs(8 * 3600) };
    EventSpec { sequence, code, category, lives, ..EventSpec::new(order % MERCHANTS, order, created_at) }.build()
}

fn filters() -> [Filter; 4] {
    [
        Filter::default(),
        Filter { categories: CategoryFilter::All, ..Filter::default() },
        Filter { types: Some(vec![EventCode::Placed]), ..Filter::default() },
        Filter { categories: CategoryFilter::Sent(vec![EventCategory::Anotai]), ..Filter::default() },
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let some_events = || proptest::collection::vec(0..ORDERS * SEQUENCES, 1..6);
    prop_oneof![
        3 => some_events().prop_map(Step::Arrive),
        2 => (0..2usize, some_events()).prop_map(|(application, events)| Step::Acknowledge { application, events }),
        4 => (0..2usize, 0..4usize, prop_oneof![Just(1_000), 1..5u32])
            .prop_map(|(application, filter, limit)| Step::Poll { application, filter, limit }),
        1 => prop_oneof![Just(1), Just(30), Just(700)].prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
    ]
}

async fn run(steps: Vec<Step>) -> Result<(), String> {
    let platform = Platform::start().await;
    let mut oracle = Oracle::default();
    // Gaps are filled from the core in the service and not by the oracle, so the core knows nothing here.
    for step in steps {
        match step {
            Step::Arrive(numbers) => {
                let events: Vec<FeedEvent> = numbers.into_iter().map(event).collect();
                let (live, expired): (Vec<_>, Vec<_>) =
                    events.into_iter().partition(|event| event.expires_at > platform.now());
                platform.index(&live).await;
                expired_arrive(&platform, &expired).await;
                let elapsed = platform.clock.monotonic();
                live.into_iter().chain(expired).for_each(|event| oracle.append(event, elapsed));
            }
            Step::Acknowledge { application, events } => {
                let ids: Vec<_> = events.into_iter().map(|number| event(number).id).collect();
                platform.acknowledge(APPLICATIONS[application], &ids).await;
                oracle.acknowledge(&APPLICATIONS[application].parse().unwrap(), ids);
            }
            Step::Poll { application, filter, limit } => {
                let filter = filters()[filter].clone();
                let poll = PollSpec { filter, limit, ..PollSpec::new(APPLICATIONS[application], 0..MERCHANTS) };
                judge(&platform, &oracle, &poll).await?;
            }
            Step::Pass(by) => platform.clock.advance(by),
        }
    }
    Ok(())
}

/// Expired events are taken off the queue without being shown, and still count as arrived.
async fn expired_arrive(platform: &Platform, events: &[FeedEvent]) {
    let notified: Vec<_> = events.iter().map(crate::platform::notified).collect();
    let records: Vec<_> =
        notified.iter().map(|(body, attributes)| connection_polling::index::Record { body, attributes }).collect();
    platform.index.apply(&records).await;
}

async fn judge(platform: &Platform, oracle: &Oracle, poll: &PollSpec) -> Result<(), String> {
    let granted = poll
        .merchants
        .iter()
        .map(|(merchant, visible_from)| GrantedMerchant { merchant: *merchant, visible_from: *visible_from });
    let authorised = AuthorisedMerchants::vouched_for_by_peer(poll.application.parse().unwrap(), granted.collect());
    let answer = oracle.answer(&authorised, &poll.filter, platform.now(), platform.clock.monotonic());
    let polled = platform.poll(poll).await;
    Oracle::judge(&answer, &polled.events, &polled.hidden, usize::try_from(poll.limit).unwrap())?;
    let mut hidden = polled.hidden;
    let mut expected = answer.hidden;
    hidden.sort_unstable();
    expected.sort_unstable();
    if hidden == expected { Ok(()) } else { Err(format!("hidden {hidden:?}, expected {expected:?}")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_oracle_does(steps in proptest::collection::vec(step(), 5..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps)).map_err(TestCaseError::fail)?;
    }
}

/// Event 3 closed the gap before 9 and 15; acknowledged, it was read no more, and the gap seemed open again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_stays_closed_when_what_closed_it_is_acknowledged() {
    let poll = |limit| Step::Poll { application: 1, filter: 2, limit };
    let steps = vec![
        Step::Pass(Duration::from_secs(700)),
        Step::Arrive(vec![3, 15, 9, 22]),
        Step::Acknowledge { application: 1, events: vec![17, 5, 11, 3, 16] },
        poll(1_000),
        poll(4),
    ];
    run(steps).await.unwrap();
}
