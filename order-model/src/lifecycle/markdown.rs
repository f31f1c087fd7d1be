//! The transition table as Markdown, for `docs/LIFECYCLE.md`. Printed by the example `lifecycle_table`; a test holds
//! the file equal to it. Every cell is asked of the table or of the decision; only the words around them are written
//! here (`LIFECYCLE_INTRODUCTION.md`).

use std::collections::BTreeMap;

use crate::event_code::EventCode;
use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::command::{Action, Command};
use crate::lifecycle::decide::{outcome, place};
use crate::lifecycle::decision::Decision;
use crate::lifecycle::dispute::{Dispute, DisputeAnswer, DisputeAsk, DisputeId, TimeoutAction, Verdict};
use crate::lifecycle::kind::{DeliveredBy, Goods, OrderKind, OrderType};
use crate::lifecycle::reach;
use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;
use crate::lifecycle::table::{Cell, cell};
use crate::timestamp::Timestamp;

const INTRODUCTION: &str = include_str!("LIFECYCLE_INTRODUCTION.md");

/// One section per way an order can go: its title and a kind that stands for it.
const SECTIONS: [(&str, OrderType, DeliveredBy); 4] = [
    ("DELIVERY by the merchant's courier", OrderType::Delivery, DeliveredBy::Merchant),
    ("DELIVERY by the marketplace's courier", OrderType::Delivery, DeliveredBy::Marketplace),
    ("TAKEOUT", OrderType::Takeout, DeliveredBy::Merchant),
    ("DINE_IN and INDOOR", OrderType::DineIn, DeliveredBy::Merchant),
];

/// The whole document.
pub fn transition_table_markdown() -> String {
    let mut document = INTRODUCTION.to_owned();
    for (title, order_type, delivered_by) in SECTIONS {
        for (goods, goods_title) in [(Goods::Meals, "meals"), (Goods::Groceries, "groceries")] {
            let kind = OrderKind { order_type, delivered_by, goods };
            document += &format!("\n## {title}, {goods_title}\n\n{}", tables_of(kind));
        }
    }
    document + &cancellation_codes()
}

/// The three tables of one kind: updates, actions and answers, timers.
fn tables_of(kind: OrderKind) -> String {
    let columns: Vec<_> = OrderStatus::ALL.into_iter().filter(|&status| reach::is_reachable(kind, status)).collect();
    [
        table("Reported by internal apps", &columns, update_rows(kind, &columns)),
        table("Asked by merchants' applications", &columns, merchant_rows(kind, &columns)),
        table("The core's own timers", &columns, timer_rows(kind, &columns)),
    ]
    .join("\n")
}

type Row = (String, Vec<String>);

fn table(title: &str, columns: &[OrderStatus], rows: Vec<Row>) -> String {
    let mut text = format!("| {title} |");
    for status in columns {
        text += &format!(" {} |", status.name());
    }
    text += &format!("\n|---|{}\n", "---|".repeat(columns.len()));
    for (name, cells) in rows {
        text += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    text
}

/// Codes that mean the same everywhere share a row, which stands where the first of them stands.
fn update_rows(kind: OrderKind, columns: &[OrderStatus]) -> Vec<Row> {
    let mut rows: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    let mut row_of: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for &code in EventCode::ALL {
        let cells: Vec<_> = columns.iter().map(|&status| update_cell(kind, status, code)).collect();
        let row = *row_of.entry(cells.clone()).or_insert(rows.len());
        if row == rows.len() {
            rows.push((Vec::new(), cells));
        }
        rows[row].0.push(code.code());
    }
    rows.into_iter().map(|(codes, cells)| (codes.join(" "), cells)).collect()
}

fn update_cell(kind: OrderKind, status: OrderStatus, code: EventCode) -> String {
    match cell(kind, status, code) {
        Cell::To(next) => format!("**{}**", next.name()),
        Cell::Recorded => "recorded".to_owned(),
        Cell::Overtaken => "late".to_owned(),
        Cell::Repeated => "repeat".to_owned(),
        Cell::Asks => "asks".to_owned(),
        Cell::Answers if code == EventCode::ConsumerCancellationAccepted => "answers, **CANCELLED**".to_owned(),
        Cell::Answers => "answers".to_owned(),
        Cell::OpensDispute => "opens".to_owned(),
        Cell::SettlesDispute => "settles".to_owned(),
        Cell::Illegal => {
            let is_early = reach::becomes_legal(&standing(kind, status), code.code());
            (if is_early { "early" } else { "illegal" }).to_owned()
        }
    }
}

fn merchant_rows(kind: OrderKind, columns: &[OrderStatus]) -> Vec<Row> {
    let answer = |name: &str, verdict, prepare: &dyn Fn(Lifecycle) -> Lifecycle| {
        let command = Command::Answer(DisputeAnswer { dispute: example_dispute(), verdict });
        row(name, kind, columns, &command, prepare)
    };
    let mut rows = action_rows(kind, columns);
    rows.extend([
        answer("disputes/accept (it asks for a cancellation)", Verdict::Accept, &disputed(DisputeAsk::Cancellation)),
        answer("disputes/accept (it asks for something else)", Verdict::Accept, &disputed(DisputeAsk::Other)),
        answer("disputes/reject, disputes/alternatives", Verdict::Reject, &disputed(DisputeAsk::Cancellation)),
        answer("any answer to a dispute (not open, or expired)", Verdict::Accept, &|lifecycle| lifecycle),
    ]);
    rows
}

fn example_dispute() -> DisputeId {
    "dispute".parse().expect("the id of the example is visible ASCII")
}

fn disputed(asks: DisputeAsk) -> impl Fn(Lifecycle) -> Lifecycle {
    move |lifecycle| {
        let (expires_at, timeout_action) = (Timestamp::MAX, TimeoutAction::Void);
        Lifecycle { dispute: Some(Dispute { id: example_dispute(), asks, expires_at, timeout_action }), ..lifecycle }
    }
}

fn action_rows(kind: OrderKind, columns: &[OrderStatus]) -> Vec<Row> {
    let asked = |lifecycle| Lifecycle { consumer_request: Some(1), ..lifecycle };
    let cancel = Action::RequestCancellation(CancellationCode::SystemProblem);
    let row = |name: &str, action: Action, prepare: &dyn Fn(Lifecycle) -> Lifecycle| {
        row(name, kind, columns, &Command::Act(action), prepare)
    };
    vec![
        row("confirm", Action::Confirm, &|lifecycle| lifecycle),
        row("startPreparation", Action::StartPreparation, &|lifecycle| lifecycle),
        row("readyToPickup", Action::ReadyToPickup, &|lifecycle| lifecycle),
        row("dispatch", Action::Dispatch, &|lifecycle| lifecycle),
        row("requestCancellation", cancel, &|lifecycle| lifecycle),
        row("acceptCancellation (the consumer asks)", Action::AcceptCancellation, &asked),
        row("denyCancellation (the consumer asks)", Action::DenyCancellation, &asked),
        row("acceptCancellation, denyCancellation (else)", Action::AcceptCancellation, &|lifecycle| lifecycle),
        row("pickedUp", Action::PickedUp, &|lifecycle| lifecycle),
        row("delivered", Action::Delivered, &|lifecycle| lifecycle),
        row("validatePickupCode (right)", Action::ValidatePickupCode, &|lifecycle| lifecycle),
        row("verifyDeliveryCode (right)", Action::VerifyDeliveryCode, &|lifecycle| lifecycle),
        row("requestDriver", Action::RequestDriver, &|lifecycle| lifecycle),
        row("cancelRequestDriver", Action::CancelDriverRequest, &|lifecycle| lifecycle),
        row("assignDriver, goingToOrigin, arrivedAtOrigin", Action::AssignDriver, &|lifecycle| lifecycle),
        row("logistics/dispatch", Action::Collect, &|lifecycle| lifecycle),
        row("arrivedAtDestination", Action::ArriveAtDestination, &|lifecycle| lifecycle),
        row("deliveryAddressChangeRequest", Action::RequestAddressChange, &|lifecycle| lifecycle),
        row("answers to a change of address", Action::AcceptAddressChange, &|lifecycle| lifecycle),
    ]
}

fn timer_rows(kind: OrderKind, columns: &[OrderStatus]) -> Vec<Row> {
    let expired = |timeout_action| {
        move |lifecycle| {
            let (id, asks) = (example_dispute(), DisputeAsk::Other);
            let dispute = Dispute { id, asks, expires_at: Timestamp::default(), timeout_action };
            Lifecycle { dispute: Some(dispute), ..lifecycle }
        }
    };
    let accepted = expired(TimeoutAction::AcceptCancellation);
    let other = expired(TimeoutAction::Void);
    vec![
        row("confirm deadline", kind, columns, &Command::ConfirmTimeout, &|lifecycle| lifecycle),
        row("nobody concluded", kind, columns, &Command::Conclude, &|lifecycle| lifecycle),
        row("dispute expired: ACCEPT_CANCELLATION", kind, columns, &Command::DisputeTimeout, &accepted),
        row("dispute expired: REJECT_CANCELLATION, VOID", kind, columns, &Command::DisputeTimeout, &other),
    ]
}

/// A row by decisions. A final order has no open request, and a cancelled one no dispute: no such side facts there.
fn row(
    name: &str,
    kind: OrderKind,
    columns: &[OrderStatus],
    command: &Command,
    prepare: &dyn Fn(Lifecycle) -> Lifecycle,
) -> Row {
    let cells = columns.iter().map(|&status| {
        let mut lifecycle = prepare(standing(kind, status));
        if status.is_final() {
            lifecycle.consumer_request = None;
        }
        if status == OrderStatus::Cancelled {
            lifecycle.dispute = None;
        }
        decision_cell(&lifecycle, command)
    });
    (name.to_owned(), cells.collect())
}

fn decision_cell(lifecycle: &Lifecycle, command: &Command) -> String {
    match outcome(lifecycle, lifecycle.last_created_at, command) {
        Some(Decision::Append { events, next }) => {
            let codes: Vec<_> = events.iter().map(|event| event.code.code()).collect();
            let moved = next.status != lifecycle.status;
            let arrow = if moved { format!(": **{}**", next.status.name()) } else { String::new() };
            format!("{}{arrow}", codes.join(" "))
        }
        Some(Decision::RecordedOnly { .. }) => "recorded".to_owned(),
        Some(Decision::AlreadyDone { .. }) => "repeat".to_owned(),
        None if reach::becomes_legal(lifecycle, command.name()) => "early".to_owned(),
        None => "illegal".to_owned(),
    }
}

/// An order of `kind` at `status` to which nothing else has happened.
fn standing(kind: OrderKind, status: OrderStatus) -> Lifecycle {
    Lifecycle { status, ..place(kind, Timestamp::default()).1 }
}

fn cancellation_codes() -> String {
    let mut text = "\n## Codes of requestCancellation\n\n| code | description | |\n|---|---|---|\n".to_owned();
    for code in CancellationCode::ALL {
        let note = if code.is_legacy() { "legacy: accepted, never offered" } else { "" };
        text += &format!("| {} | {} | {note} |\n", code.code(), code.description());
    }
    text
}
