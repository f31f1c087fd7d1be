//! Random histories: whatever is asked in whatever order and with whatever clock, the promises of an order hold.

use order_model::lifecycle::{
    Action, Command, Decision, Dispute, DisputeAnswer, DisputeAsk, DisputeOpening, EventMetadata, Lifecycle, NewEvent,
    OrderKind, OrderStatus, StoredLifecycle, TimeoutAction, Update, Verdict, decide, place,
};
use order_model::{EventCode, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::exhaustive::commands;

/// What usually happens, so that histories get somewhere.
fn usual() -> Vec<Command> {
    let update = |code| Command::Update(Update::new(code).unwrap());
    vec![
        Command::Act(Action::Confirm),
        Command::Act(Action::StartPreparation),
        Command::Act(Action::ReadyToPickup),
        Command::Act(Action::Dispatch),
        update(EventCode::Confirmed),
        update(EventCode::PreparationStarted),
        update(EventCode::Collected),
        update(EventCode::ArrivedAtDestination),
        update(EventCode::ConsumerCancellationRequested),
        update(EventCode::Concluded),
        Command::Conclude,
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let any = commands().into_iter().map(|(command, _)| command).collect::<Vec<_>>();
    prop_oneof![2 => prop::sample::select(usual()), 1 => prop::sample::select(any)]
}

fn kind() -> impl Strategy<Value = OrderKind> {
    prop::sample::select(OrderKind::all().collect::<Vec<_>>())
}

/// A command and how far the clock jumps before it, in either direction.
fn step() -> impl Strategy<Value = (i64, Command)> {
    (prop_oneof![3 => 0i64..100, 1 => -5_000i64..5_000, 1 => Just(0)], command())
}

fn dispute(id: &str, asks: DisputeAsk, expires_at: Timestamp) -> Dispute {
    Dispute { id: id.parse().unwrap(), asks, expires_at, timeout_action: TimeoutAction::Void }
}

/// The events of a history, and the states after each command that changed something.
fn play(kind: OrderKind, steps: &[(i64, Command)]) -> (Vec<NewEvent>, Vec<(Lifecycle, Decision)>) {
    let mut now = Timestamp::from_unix_ms(1_795_000_000_000);
    let (first, mut lifecycle) = place(kind, now);
    let mut events = vec![first];
    let mut decisions = Vec::new();
    for (jump_ms, command) in steps {
        now = Timestamp::from_unix_ms(now.unix_ms() + jump_ms);
        let Ok(decision) = decide(&lifecycle, now, command) else {
            continue;
        };
        events.extend_from_slice(decision.events());
        let before = lifecycle.clone();
        if let Some(next) = decision.next() {
            lifecycle = next.clone();
        }
        decisions.push((before, decision));
    }
    (events, decisions)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn events_are_gap_free_and_strictly_later(kind in kind(), steps in prop::collection::vec(step(), 0..40)) {
        let (events, _) = play(kind, &steps);
        for (position, event) in events.iter().enumerate() {
            prop_assert_eq!(event.sequence as usize, position + 1);
        }
        prop_assert!(events.windows(2).all(|pair| pair[0].created_at < pair[1].created_at));
    }

    #[test]
    fn final_is_final(kind in kind(), steps in prop::collection::vec(step(), 0..40)) {
        let (_, decisions) = play(kind, &steps);
        for (before, decision) in decisions {
            let after = decision.next().unwrap_or(&before);
            match before.status {
                OrderStatus::Cancelled => {
                    let appended = matches!(decision, Decision::Append { .. });
                    prop_assert!(!appended, "{:?}", decision);
                    prop_assert_eq!(after.status, OrderStatus::Cancelled);
                }
                OrderStatus::Concluded => {
                    let of_dispute = |event: &NewEvent| {
                        [EventCode::HandshakeDispute, EventCode::HandshakeSettlement].contains(&event.code)
                    };
                    let appended = matches!(decision, Decision::Append { .. });
                    prop_assert!(!appended || decision.events().iter().all(of_dispute), "{:?}", decision);
                    prop_assert_eq!(after.status, OrderStatus::Concluded);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn steps_happen_once_and_never_after_a_cancellation(
        kind in kind(),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let (events, _) = play(kind, &steps);
        let position = |code| events.iter().position(|event| event.code == code);
        let steps = [
            EventCode::Placed,
            EventCode::Confirmed,
            EventCode::SeparationStarted,
            EventCode::SeparationEnded,
            EventCode::PreparationStarted,
            EventCode::ReadyToPickup,
            EventCode::Dispatched,
            EventCode::Concluded,
            EventCode::Cancelled,
        ];
        for step in steps {
            prop_assert!(events.iter().filter(|event| event.code == step).count() <= 1, "{:?}", step);
            if let (Some(cancelled), Some(step)) = (position(EventCode::Cancelled), position(step)) {
                prop_assert!(step <= cancelled);
            }
        }
    }

    #[test]
    fn what_is_recorded_changes_nothing_that_decides(kind in kind(), steps in prop::collection::vec(step(), 0..40)) {
        let (_, decisions) = play(kind, &steps);
        for (before, decision) in decisions {
            if let Decision::RecordedOnly { next, .. } = &decision {
                let bookkeeping = Lifecycle {
                    happened: before.happened,
                    settled_dispute: before.settled_dispute.clone(),
                    next_sequence: before.next_sequence,
                    last_created_at: before.last_created_at,
                    ..next.clone()
                };
                prop_assert_eq!(&bookkeeping, &before);
            }
        }
    }

    #[test]
    fn the_stored_form_reads_back(kind in kind(), steps in prop::collection::vec(step(), 0..40)) {
        let (_, decisions) = play(kind, &steps);
        for (_, decision) in decisions {
            if let Some(next) = decision.next() {
                prop_assert_eq!(Lifecycle::from_stored(&next.to_stored()), Ok(next.clone()));
            }
        }
    }

    #[test]
    fn of_a_confirm_and_a_timeout_exactly_one_wins(
        kind in kind(),
        confirm_first in any::<bool>(),
        by_merchant in any::<bool>(),
    ) {
        let confirm = if by_merchant {
            Command::Act(Action::Confirm)
        } else {
            Command::Update(Update::new(EventCode::Confirmed).unwrap())
        };
        let mut race = [confirm, Command::ConfirmTimeout];
        if !confirm_first {
            race.reverse();
        }
        let (_, placed) = place(kind, Timestamp::default());
        let won = decide(&placed, Timestamp::default(), &race[0]).unwrap();
        let lost = decide(won.next().unwrap(), Timestamp::default(), &race[1]).unwrap_err();
        prop_assert!(!lost.may_become_legal);
        let expected = if confirm_first { OrderStatus::Confirmed } else { OrderStatus::Cancelled };
        prop_assert_eq!(lost.status, expected);
    }

    /// Every dispute that was opened ends at most once before it is opened again, whoever ends it.
    #[test]
    fn a_dispute_is_settled_once(kind in kind(), steps in prop::collection::vec(step(), 0..40)) {
        let (_, decisions) = play(kind, &steps);
        for (before, decision) in decisions {
            let settlements = decision.events().iter().filter(|event| matches!(event.metadata, EventMetadata::Settlement { .. }));
            for settlement in settlements {
                let EventMetadata::Settlement { dispute, .. } = &settlement.metadata else { continue };
                prop_assert_eq!(before.dispute.as_ref().map(|open| &open.id), Some(dispute));
                let after = decision.next().unwrap();
                prop_assert!(after.dispute.is_none());
                prop_assert_eq!(after.settled_dispute.as_ref(), Some(dispute));
                for verdict in Verdict::ALL {
                    let again = Command::Answer(DisputeAnswer { dispute: dispute.clone(), verdict });
                    let again = decide(after, after.last_created_at, &again).unwrap();
                    prop_assert!(again.events().is_empty(), "{:?}", again);
                }
            }
        }
    }

    /// An accepted cancellation cancels whatever is not final, and nothing else does.
    #[test]
    fn answers_cancel_exactly_when_they_accept_a_cancellation(
        kind in kind(),
        steps in prop::collection::vec(step(), 0..40),
        asks in prop::sample::select(vec![DisputeAsk::Cancellation, DisputeAsk::Other]),
        verdict in prop::sample::select(Verdict::ALL.to_vec()),
    ) {
        let (_, decisions) = play(kind, &steps);
        let reached = decisions.last().map_or_else(|| place(kind, Timestamp::default()).1, |(before, _)| before.clone());
        let disputed = Lifecycle { dispute: Some(dispute("here", asks, Timestamp::MAX)), ..reached };
        let answer = Command::Answer(DisputeAnswer { dispute: "here".parse().unwrap(), verdict });
        let decision = decide(&disputed, disputed.last_created_at, &answer).unwrap();
        let cancels = verdict == Verdict::Accept && asks == DisputeAsk::Cancellation && !disputed.status.is_final();
        let codes: Vec<_> = decision.events().iter().map(|event| event.code).collect();
        let expected: &[EventCode] = if cancels {
            &[EventCode::HandshakeSettlement, EventCode::Cancelled]
        } else {
            &[EventCode::HandshakeSettlement]
        };
        prop_assert_eq!(codes, expected);
        let status = if cancels { OrderStatus::Cancelled } else { disputed.status };
        prop_assert_eq!(decision.next().unwrap().status, status);
    }

    /// Expiry, answer and the other side's settlement, in any order at any time: exactly one settles.
    #[test]
    fn of_an_answer_an_expiry_and_a_settlement_exactly_one_wins(
        kind in kind(),
        order in Just(vec![0usize, 1, 2]).prop_shuffle(),
        asks in prop::sample::select(vec![DisputeAsk::Cancellation, DisputeAsk::Other]),
        verdict in prop::sample::select(Verdict::ALL.to_vec()),
        moments_ms in prop::array::uniform3(0i64..200),
    ) {
        let opening = DisputeOpening { dispute: dispute("here", asks, Timestamp::from_unix_ms(100)), parent: None };
        let racers = [
            Command::Answer(DisputeAnswer { dispute: "here".parse().unwrap(), verdict }),
            Command::DisputeTimeout,
            Command::Update(Update::settlement("here".parse().unwrap())),
        ];
        let (_, placed) = place(kind, Timestamp::default());
        let opened = decide(&placed, Timestamp::default(), &Command::Update(Update::dispute(opening))).unwrap();
        let mut lifecycle = opened.next().unwrap().clone();
        let mut settled = 0;
        for (racer, moment_ms) in order.into_iter().zip(moments_ms) {
            let now = Timestamp::from_unix_ms(moment_ms);
            let decision = decide(&lifecycle, now, &racers[racer]);
            let late = racer == 0 && moment_ms >= 100;
            let appended = decision.as_ref().is_ok_and(|decision| matches!(decision, Decision::Append { .. }));
            prop_assert!(!(late && appended), "an expired dispute was answered");
            if appended {
                settled += 1;
                lifecycle = decision.unwrap().next().unwrap().clone();
            }
        }
        prop_assert_eq!(settled, 1);
    }

    #[test]
    fn damaged_fields_are_refused_or_mean_what_they_say(
        kind in kind(),
        steps in prop::collection::vec(step(), 0..20),
        field in 0usize..9,
        value in any::<u64>(),
    ) {
        let (_, decisions) = play(kind, &steps);
        let last = decisions.iter().rev().find_map(|(_, decision)| decision.next().cloned());
        let mut stored = last.unwrap_or_else(|| place(kind, Timestamp::default()).1).to_stored();
        damage(&mut stored, field, value);
        if let Ok(read) = Lifecycle::from_stored(&stored) {
            prop_assert_eq!(Lifecycle::from_stored(&read.to_stored()), Ok(read));
        }
    }
}

/// The properties above would hold for histories in which nothing happens: these are not such.
#[test]
fn histories_get_somewhere() {
    let mut runner = TestRunner::deterministic();
    let history = (kind(), prop::collection::vec(step(), 0..40));
    let (mut concluded, mut cancelled, mut recorded, mut repeated, mut refused) = (0, 0, 0, 0, 0);
    for _ in 0..1_000 {
        let (kind, steps) = history.new_tree(&mut runner).unwrap().current();
        let (events, decisions) = play(kind, &steps);
        refused += steps.len() - decisions.len();
        concluded += usize::from(events.iter().any(|event| event.code == EventCode::Concluded));
        cancelled += usize::from(events.iter().any(|event| event.code == EventCode::Cancelled));
        for (_, decision) in decisions {
            recorded += usize::from(matches!(decision, Decision::RecordedOnly { .. }));
            repeated += usize::from(matches!(decision, Decision::AlreadyDone { .. }));
        }
    }
    let counts = [concluded, cancelled, recorded, repeated, refused];
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
}

fn damage(stored: &mut StoredLifecycle, field: usize, value: u64) {
    let byte = value.to_le_bytes()[0];
    match field {
        0 => stored.format_version = byte,
        1 => stored.status = byte,
        2 => stored.happened = value,
        3 => stored.merchant_request_code = u16::from(byte),
        4 => stored.dispute = format!("{value:x} ç"),
        5 => stored.dispute_timeout_action = byte,
        6 => stored.order_type = byte,
        7 => stored.dispute_asks = byte,
        _ => stored.last_created_at_ms = value.cast_signed(),
    }
}

/// What an older version stored of an open dispute does not say what it asks for.
#[test]
fn a_dispute_stored_before_its_ask_was_kept_reads_by_its_expiry() {
    let (_, placed) = place(OrderKind::all().next().unwrap(), Timestamp::default());
    for (timeout_action, asks) in
        [(TimeoutAction::AcceptCancellation, DisputeAsk::Cancellation), (TimeoutAction::Void, DisputeAsk::Other)]
    {
        let open = Dispute { timeout_action, ..dispute("d", DisputeAsk::Other, Timestamp::MAX) };
        let stored = Lifecycle { dispute: Some(open), ..placed.clone() }.to_stored();
        let read = Lifecycle::from_stored(&StoredLifecycle { dispute_asks: 0, ..stored }).unwrap();
        assert_eq!(read.dispute.unwrap().asks, asks);
    }
}
