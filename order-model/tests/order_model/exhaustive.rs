//! Every reachable state of every kind times every command, compared with the reference model.

use std::collections::{BTreeSet, HashMap, VecDeque};

use order_model::lifecycle::decision::EVENTS_PER_DECISION_MAX;
use order_model::lifecycle::table::cell;
use order_model::lifecycle::{
    Action, Command, Decision, DeliveredBy, Dispute, DisputeAnswer, DisputeAsk, DisputeOpening, Goods, Illegal,
    Lifecycle, MerchantRequest, OrderKind, OrderStatus, OrderType, TimeoutAction, Update, Verdict, decide, place,
};
use order_model::{EventCode, Timestamp};

use crate::reference::{Disputed, Expected, expected};

/// Every command there is, with two disputes, of which the second may counter the first.
pub fn commands() -> Vec<(Command, Disputed)> {
    let plain = |command| (command, Disputed::default());
    let updates = EventCode::ALL.iter().filter_map(|&code| Update::new(code).ok());
    let timers = [Command::Place, Command::ConfirmTimeout, Command::Conclude, Command::DisputeTimeout];
    let hsd = |id: &'static str, parent: Option<&'static str>, timeout_action| {
        // Far away: these histories take no time, or little.
        let (asks, expires_at) = (DisputeAsk::of_dispute(None, timeout_action), Timestamp::MAX);
        let dispute = Dispute { id: id.parse().unwrap(), asks, expires_at, timeout_action };
        let opening = DisputeOpening { dispute, parent: parent.map(|parent| parent.parse().unwrap()) };
        (Command::Update(Update::dispute(opening)), Disputed { id: Some(id), parent })
    };
    let hss = |id: &'static str| {
        (Command::Update(Update::settlement(id.parse().unwrap())), Disputed { id: Some(id), parent: None })
    };
    updates
        .map(Command::Update)
        .chain(Action::EACH.map(Command::Act))
        .chain(timers)
        .map(plain)
        .chain([
            hsd("first", None, TimeoutAction::AcceptCancellation),
            hsd("second", Some("first"), TimeoutAction::Void),
            hss("first"),
            hss("second"),
        ])
        .chain(Verdict::ALL.into_iter().flat_map(|verdict| {
            ["first", "second"].map(|id| {
                let answer = DisputeAnswer { dispute: id.parse().unwrap(), verdict };
                (Command::Answer(answer), Disputed { id: Some(id), parent: None })
            })
        }))
        .collect()
}

/// The kinds whose tables differ.
pub fn kinds() -> Vec<OrderKind> {
    let kind = |order_type, delivered_by, goods| OrderKind { order_type, delivered_by, goods };
    Goods::ALL
        .into_iter()
        .flat_map(|goods| {
            [
                kind(OrderType::Delivery, DeliveredBy::Merchant, goods),
                kind(OrderType::Delivery, DeliveredBy::Marketplace, goods),
                kind(OrderType::Takeout, DeliveredBy::Merchant, goods),
                kind(OrderType::Indoor, DeliveredBy::Marketplace, goods),
            ]
        })
        .collect()
}

/// A state without the numbers that only count: sequences and instants.
fn normal(lifecycle: &Lifecycle) -> Lifecycle {
    Lifecycle {
        merchant_request: lifecycle.merchant_request.map(|_| MerchantRequest { sequence: 1, code: None }),
        consumer_request: lifecycle.consumer_request.map(|_| 1),
        next_sequence: 2,
        last_created_at: Timestamp::default(),
        ..lifecycle.clone()
    }
}

/// One decision in the explored graph.
pub enum Edge {
    /// Legal; leads to the state of this index.
    Legal(usize),
    /// It has happened.
    Already,
    /// Refused.
    Illegal(Illegal),
}

/// Calls `visit` for every reachable state, in the order of discovery, with the outcome of every command.
pub fn explore(kind: OrderKind, commands: &[(Command, Disputed)], mut visit: impl FnMut(&Lifecycle, Vec<Edge>)) {
    let start = normal(&place(kind, Timestamp::default()).1);
    let mut index_of = HashMap::from([(start.clone(), 0)]);
    let mut open = VecDeque::from([start]);
    while let Some(state) = open.pop_front() {
        let edges = commands.iter().map(|(command, _)| match decide(&state, Timestamp::default(), command) {
            Err(illegal) => Edge::Illegal(illegal),
            Ok(Decision::AlreadyDone { .. }) => Edge::Already,
            Ok(Decision::Append { next, .. } | Decision::RecordedOnly { next, .. }) => {
                let next = normal(&next);
                let fresh = index_of.len();
                Edge::Legal(*index_of.entry(next).or_insert_with_key(|next| {
                    open.push_back(next.clone());
                    fresh
                }))
            }
        });
        let edges = edges.collect();
        visit(&state, edges);
    }
}

fn observed(state: &Lifecycle, command: &Command) -> Expected {
    match decide(state, Timestamp::default(), command) {
        Err(_) => Expected::Illegal,
        Ok(Decision::AlreadyDone { status }) => {
            assert_eq!(status, state.status);
            Expected::Already
        }
        Ok(Decision::RecordedOnly { event, next }) => {
            assert_eq!(next.status, state.status);
            match command {
                Command::Update(update) => {
                    assert_eq!(event.code, update.code());
                    Expected::Records
                }
                _ => Expected::Tells(event.code.code()),
            }
        }
        Ok(Decision::Append { events, next }) => {
            assert!((1..=EVENTS_PER_DECISION_MAX).contains(&events.len()));
            let codes = events.iter().map(|event| event.code.code()).collect();
            Expected::Appends(codes, next.status.name())
        }
    }
}

#[test]
fn every_state_and_command_as_the_reference_model_says() {
    let commands = commands();
    for kind in kinds() {
        let mut seen = BTreeSet::new();
        explore(kind, &commands, |state, _| {
            seen.insert(state.status);
            for (command, dispute) in &commands {
                let (observed, expected) = (observed(state, command), expected(state, command, dispute));
                assert_eq!(observed, expected, "{} {command:?}\nin {state:#?}", command.name());
            }
        });
        let picked = [OrderStatus::SeparationStarted, OrderStatus::SeparationEnded];
        let unreachable: Vec<_> = OrderStatus::ALL
            .into_iter()
            .filter(|status| {
                picked.contains(status) && kind.goods == Goods::Meals
                    || *status == OrderStatus::Dispatched && kind.order_type != OrderType::Delivery
            })
            .collect();
        assert!(OrderStatus::ALL.iter().all(|status| seen.contains(status) != unreachable.contains(status)));
    }
}

#[test]
fn kinds_that_share_a_route_and_goods_share_every_cell() {
    for (one, other) in OrderKind::all().flat_map(|one| OrderKind::all().map(move |other| (one, other))) {
        let same = OrderStatus::ALL
            .into_iter()
            .all(|status| EventCode::ALL.iter().all(|&code| cell(one, status, code) == cell(other, status, code)));
        if (one.route(), one.goods) == (other.route(), other.goods) {
            assert!(same, "{one:?} {other:?}");
        }
    }
}
