//! Decisions about loaded orders, without a store.

use std::time::Duration;

use bytes::Bytes;
use order_model::lifecycle::timing::Gap;
use order_model::lifecycle::{
    Action, CancellationCode, Command, DeliveredBy, Goods, OrderKind, OrderStatus, OrderType, Update,
};
use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, Timestamp};
use proptest::prelude::*;

use super::due::{DueDecision, judge};
use super::*;
use crate::store::{KeySpace, as_an_older_version_stored, round_trip};

const MERCHANT: MerchantId = MerchantId::from_bytes([3; 16]);
const ORDER: OrderId = OrderId::from_bytes([4; 16]);

fn rules() -> Rules {
    Rules::from(&Config::new(EventIdKey::from_bytes([7; 16])))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_795_000_000_000 + seconds * 1000)
}

fn message(id: &str, digest: u8) -> Cause {
    let key = MessageKey::new(KeySpace::Message, "app", id);
    Cause { message: Some(MessageIdentity { key, digest: [digest; 32] }), ..Cause::default() }
}

fn placement() -> Placement {
    Placement {
        id: ORDER,
        merchant: MERCHANT,
        kind: OrderKind { order_type: OrderType::Delivery, delivered_by: DeliveredBy::Merchant, goods: Goods::Meals },
        category: EventCategory::Food,
        sales_channel: "IFOOD".to_owned(),
        promised_at: Some(at(2_700)),
        body: Bytes::from_static(br#"{"id":"x","customer":{"name":"Ana"}}"#),
    }
}

fn committed(plan: Plan) -> Transition {
    match plan {
        Plan::Commit(transition) => *transition,
        other => panic!("expected a commit, got {other:?}"),
    }
}

fn placed() -> Transition {
    committed(plan_place(&rules(), &Loaded::default(), &placement(), &message("1", 1), at(0)))
}

/// An order for tests of other modules.
pub(crate) fn sample_order() -> Order {
    placed().order
}

fn loaded(transition: &Transition) -> Loaded {
    Loaded { order: Some(transition.order.clone()), ..Loaded::default() }
}

fn update(code: EventCode) -> Command {
    Command::Update(Update::new(code).unwrap())
}

fn acted(transition: &Transition, action: Action, now: Timestamp) -> Transition {
    let cause = Cause { application: Some("dev-pos".parse().unwrap()), ..Cause::default() };
    committed(plan_action(&rules(), &loaded(transition), MERCHANT, action, &cause, now))
}

fn body(transition: &Transition, event: usize) -> serde_json::Value {
    serde_json::from_slice(&transition.events[event].event.body).unwrap()
}

#[test]
fn a_new_order_is_one_event_with_everything_that_follows_from_it() {
    let transition = placed();
    let event = &transition.events[0].event;
    assert_eq!((transition.events.len(), event.sequence, event.code), (1, 1, EventCode::Placed));
    assert_eq!(event.id, EventId::derive(&rules().key, at(0), MERCHANT, ORDER, 1));
    assert_eq!(event.expires_at, at(2_700 + 8 * 3_600));
    assert_eq!(transition.order.due_at, Some(at(480)));
    assert_eq!(transition.order.kept_until, at(2_700 + 14 * 86_400));
    assert_eq!(transition.expected_version, None);
    let record = transition.message.unwrap();
    assert_eq!(record.event_ids, [event.id]);
    assert!(record.expires_at > at(14 * 86_400));
}

#[test]
fn a_message_is_judged_by_its_id_first_and_by_the_order_second() {
    let transition = placed();
    let known =
        Loaded { order: Some(transition.order.clone()), message: transition.message.clone(), ..Loaded::default() };
    let plan = |loaded: &Loaded, cause: &Cause, now| plan_place(&rules(), loaded, &placement(), cause, now);
    let ids = transition.message.clone().unwrap().event_ids;
    assert!(matches!(plan(&known, &message("1", 1), at(9)), Plan::Repeated(repeated) if repeated == ids));
    assert!(matches!(plan(&known, &message("1", 2), at(9)), Plan::Refused(Refusal::IdReused)));
    let other_id = loaded(&transition);
    assert!(
        matches!(plan(&other_id, &message("2", 1), at(9)), Plan::NoChange(Some(record)) if record.event_ids.is_empty())
    );
    assert!(matches!(plan(&other_id, &message("2", 2), at(9)), Plan::Refused(Refusal::OrderExists)));
    let long_after = at(40 * 86_400);
    assert!(matches!(plan(&known, &message("1", 2), long_after), Plan::Refused(Refusal::OrderExists)), "forgotten");
}

#[test]
fn an_update_of_an_order_that_is_gone_is_early_and_one_that_is_late_is_explained() {
    let plan = |loaded: &Loaded, code, now| plan_update(&rules(), loaded, &update(code), &message("u", 5), now);
    let unknown = Plan::Refused(Refusal::UnknownOrder);
    assert_eq!(format!("{:?}", plan(&Loaded::default(), EventCode::Confirmed, at(1))), format!("{unknown:?}"));
    let order = loaded(&placed());
    assert!(matches!(plan(&order, EventCode::Confirmed, at(30 * 86_400)), Plan::Refused(Refusal::UnknownOrder)));
    let Plan::Refused(Refusal::Illegal(illegal)) = plan(&order, EventCode::Concluded, at(1)) else {
        panic!("a placed order cannot be concluded")
    };
    assert!(illegal.may_become_legal && illegal.status == OrderStatus::Placed);
}

#[test]
fn an_action_for_another_merchant_finds_nothing_and_a_repeat_names_what_is_legal() {
    let order = placed();
    let other = MerchantId::from_bytes([9; 16]);
    let plan = plan_action(&rules(), &loaded(&order), other, Action::Confirm, &Cause::default(), at(1));
    assert!(matches!(plan, Plan::Refused(Refusal::UnknownOrder)));
    let confirmed = acted(&order, Action::Confirm, at(1));
    assert_eq!(body(&confirmed, 0)["metadata"]["CLIENT_ID"], "dev-pos");
    let again = plan_action(&rules(), &loaded(&confirmed), MERCHANT, Action::Confirm, &Cause::default(), at(2));
    let Plan::Refused(Refusal::AlreadyDone { status, legal }) = again else { panic!("a repeat") };
    assert_eq!(status, OrderStatus::Confirmed);
    assert!(legal.contains(&"dispatch") && !legal.contains(&"confirm"), "{legal:?}");
}

#[test]
fn a_cancellation_is_two_events_and_the_second_names_the_first() {
    let cancelled = acted(&placed(), Action::RequestCancellation(CancellationCode::ItemUnavailable), at(0));
    let events: Vec<_> = cancelled.events.iter().map(|stored| (stored.event.sequence, stored.event.code)).collect();
    assert_eq!(events, [(2, EventCode::CancellationRequested), (3, EventCode::Cancelled)]);
    assert!(cancelled.events[0].event.created_at > at(0), "strictly after the placement at the same instant");
    assert!(cancelled.events[1].event.created_at > cancelled.events[0].event.created_at);
    let request = cancelled.events[0].event.id.to_string();
    assert_eq!(body(&cancelled, 1)["metadata"]["CANCELLATION_REQUESTED_EVENT_ID"], request);
    assert_eq!(cancelled.order.due_at, None, "a final order waits for nothing");
    assert!(cancelled.order.open_requests.is_empty());
}

#[test]
fn a_request_that_stays_open_is_remembered_until_its_outcome_names_it() {
    let order = acted(&acted(&placed(), Action::Confirm, at(1)), Action::Dispatch, at(2));
    let asked = acted(&order, Action::RequestCancellation(CancellationCode::NoCourier), at(3));
    let request = asked.events[0].event.id;
    let order = round_trip(&asked.order);
    assert_eq!(order, asked.order);
    assert_eq!(order.open_requests[0].id, request);
    let now_loaded = Loaded { order: Some(order), ..Loaded::default() };
    let plan = plan_update(&rules(), &now_loaded, &update(EventCode::Cancelled), &message("c", 1), at(4));
    let cancelled = committed(plan);
    assert_eq!(body(&cancelled, 0)["metadata"]["CANCELLATION_REQUESTED_EVENT_ID"], request.to_string());
}

#[test]
fn the_confirm_deadline_waits_for_publication_and_for_polls_to_be_served() {
    let order = placed().order;
    let judge = |published, gaps: &[Gap], now| judge(&rules(), &order, published, gaps, now);
    assert_eq!(judge(Some(at(0)), &[], at(479)), DueDecision::Later(at(480)));
    assert_eq!(judge(Some(at(0)), &[], at(480)), DueDecision::Now(Command::ConfirmTimeout));
    assert_eq!(judge(None, &[], at(1_000)), DueDecision::Later(at(1_480)));
    assert_eq!(judge(Some(at(600)), &[], at(1_000)), DueDecision::Later(at(1_080)));
    let gap = [Gap { from: at(100), until: at(200) }];
    assert_eq!(judge(Some(at(0)), &gap, at(480)), DueDecision::Later(at(580)));
    assert_eq!(judge(Some(at(0)), &gap, at(580)), DueDecision::Now(Command::ConfirmTimeout));
    let cancelled = plan_timer(&rules(), &order, &Command::ConfirmTimeout, at(580)).unwrap();
    assert_eq!(body(&cancelled, 0)["metadata"]["TIMEOUT_EVENT"], true);
}

#[test]
fn an_order_that_nobody_concludes_is_concluded_after_its_promised_time() {
    let order = acted(&placed(), Action::Confirm, at(1)).order;
    let due = at(2_700 + 4 * 3_600);
    assert_eq!(judge(&rules(), &order, None, &[], at(3_000)), DueDecision::Later(due));
    assert_eq!(judge(&rules(), &order, None, &[], due), DueDecision::Now(Command::Conclude));
    let concluded = plan_timer(&rules(), &order, &Command::Conclude, due).unwrap();
    assert_eq!(judge(&rules(), &concluded.order, None, &[], due), DueDecision::Nothing);
    assert!(plan_timer(&rules(), &order, &Command::ConfirmTimeout, due).is_none(), "a confirmed order never times out");
}

#[test]
fn an_order_stored_by_an_older_version_is_read_and_its_courier_may_take_any_step() {
    let confirmed = acted(&placed(), Action::Confirm, at(1)).order;
    let old = as_an_older_version_stored(&confirmed);
    let progress = order_model::lifecycle::DeliveryProgress::UNKNOWN;
    assert_eq!(old, Order { progress, body_version: 0, ..confirmed });
    let loaded = Loaded { order: Some(old), ..Loaded::default() };
    let plan = plan_action(&rules(), &loaded, MERCHANT, Action::ArriveAtOrigin, &Cause::default(), at(2));
    let next = committed(plan).order;
    assert!(next.progress.allows(Action::Collect) && !next.progress.allows(Action::GoToOrigin));
}

fn asks_for_address(transition: &Transition, body: &str, now: Timestamp) -> Plan {
    let body = crate::codes::OrderBody::split(&Bytes::copy_from_slice(body.as_bytes()));
    let known = Loaded { body: Some(body), ..loaded(transition) };
    let new = crate::address_change::NewAddress::read(br#"{"city":"Santos"}"#).unwrap();
    plan_address_change(&rules(), &known, MERCHANT, &new, &Cause::default(), now)
}

#[test]
fn a_change_of_address_is_legal_until_the_order_is_over_and_written_into_it() {
    let (first, body) = (placed(), r#"{"id":"x","delivery":{"deliveryAddress":{"city":"Sao Paulo"}}}"#);
    let asked = committed(asks_for_address(&first, body, at(1)));
    assert_eq!(asked.events[0].event.code, EventCode::AddressChangeRequested);
    let expected = r#"{"id":"x","delivery":{"deliveryAddress":{"city":"Sao Paulo"},"newAddress":{"city":"Santos"}}}"#;
    assert_eq!(&asked.body.as_ref().unwrap().json[..], expected.as_bytes());
    assert!(!std::str::from_utf8(&asked.events[0].event.body).unwrap().contains("Santos"));
    let again = asks_for_address(&asked, expected, at(2));
    assert!(matches!(again, Plan::Refused(Refusal::Conflict { .. })), "one at a time: {again:?}");

    let known = Loaded { body: asked.body.clone(), ..loaded(&asked) };
    let accept = plan_action(&rules(), &known, MERCHANT, Action::AcceptAddressChange, &Cause::default(), at(3));
    let accepted = r#"{"id":"x","delivery":{"deliveryAddress":{"city":"Santos"}}}"#;
    assert_eq!(&committed(accept).body.unwrap().json[..], accepted.as_bytes());
    let unread = plan_action(&rules(), &loaded(&asked), MERCHANT, Action::DenyAddressChange, &Cause::default(), at(3));
    assert!(committed(unread).body.is_none(), "a body that was not read is not written");

    let cancelled = acted(&first, Action::RequestCancellation(CancellationCode::SystemProblem), at(4));
    let late = asks_for_address(&cancelled, body, at(5));
    assert!(matches!(late, Plan::Refused(Refusal::Illegal(_))), "{late:?}");
    let takeout = OrderKind { order_type: OrderType::Takeout, ..placement().kind };
    let takeout = Placement { kind: takeout, ..placement() };
    let takeout = committed(plan_place(&rules(), &Loaded::default(), &takeout, &message("1", 1), at(0)));
    assert!(matches!(asks_for_address(&takeout, body, at(1)), Plan::Refused(Refusal::Illegal(_))));
    let full = format!(r#"{{"id":"{}"}}"#, "x".repeat(crate::wire::CONTENT_BYTES_MAX - 12));
    assert!(matches!(asks_for_address(&first, &full, at(1)), Plan::Refused(Refusal::Conflict { .. })));
    let mut erased = first;
    erased.order.is_erased = true;
    let asked = committed(asks_for_address(&erased, "{}", at(1)));
    assert_eq!(&asked.body.unwrap().json[..], br#"{"delivery":{"newAddress":{"city":""}}}"#);
}

#[test]
fn erasing_blanks_the_body_and_tells_caches_while_events_are_served() {
    let transition = placed();
    let body = transition.body.clone().unwrap();
    let plan = |now| committed(plan_erase(&rules(), &transition.order, Some(&body), &Cause::default(), now));
    let erased = plan(at(60));
    assert_eq!(erased.body.as_ref().map(|body| &body.json[..]), Some(&br#"{"id":"x","customer":{"name":""}}"#[..]));
    assert_eq!(erased.events[0].event.code, EventCode::OrderPatched);
    assert!(erased.order.is_erased && erased.order.lifecycle.status == OrderStatus::Placed);
    assert!(plan(at(13 * 86_400)).events.is_empty(), "nobody holds a copy any more");
    let again = plan_erase(&rules(), &erased.order, Some(&body), &Cause::default(), at(61));
    assert!(matches!(again, Plan::Refused(Refusal::AlreadyErased)));
}

proptest! {
    /// Whatever happens in whatever order under whatever clock: sequences without gaps, created strictly later, ids that
    /// derive from what is stored, and a stored order that reads back.
    #[test]
    fn events_of_an_order_are_numbered_and_dated_strictly(
        steps in prop::collection::vec((0usize..EventCode::ALL.len(), -5_000i64..5_000), 1..40)
    ) {
        let first = placed();
        let mut events = first.events;
        let mut order = first.order;
        for (code, second) in steps {
            let Ok(update) = Update::new(EventCode::ALL[code]) else { continue };
            let known = Loaded { order: Some(order.clone()), ..Loaded::default() };
            let plan = plan_update(&rules(), &known, &Command::Update(update), &Cause::default(), at(second));
            if let Plan::Commit(transition) = plan {
                prop_assert_eq!(transition.expected_version, Some(order.version));
                events.extend(transition.events);
                order = round_trip(&transition.order);
                prop_assert_eq!(&order, &transition.order);
            }
        }
        for (stored, sequence) in events.iter().zip(1..) {
            let event = &stored.event;
            prop_assert_eq!(event.sequence, sequence);
            prop_assert_eq!(event.id, EventId::derive(&rules().key, event.created_at, MERCHANT, ORDER, sequence));
            prop_assert!(event.expires_at >= event.created_at.plus(Duration::from_secs(8 * 3_600)));
        }
        prop_assert!(events.windows(2).all(|pair| pair[0].event.created_at < pair[1].event.created_at));
        prop_assert!(order.kept_until >= order.last_event_expires_at);
    }
}
