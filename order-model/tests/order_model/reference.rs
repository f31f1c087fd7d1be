//! A second model of the lifecycle, written from PARTNER_API 2.2, 2.3, 2.5 and CONTRACT as lists of edges. It shares
//! no code with the table: it knows codes by their letters, statuses by their names and kinds by words.

use std::collections::BTreeSet;

use order_model::lifecycle::{
    Action, Command, DeliveredBy, DisputeAsk, Goods, Lifecycle, OrderKind, OrderType, TimeoutAction, Verdict,
};

/// What a command is expected to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These codes are appended and the order stands there.
    Appends(Vec<&'static str>, &'static str),
    /// The one code is recorded.
    Records,
    /// An action leaves this one code, and nothing changes.
    Tells(&'static str),
    /// It has happened.
    Already,
    /// It is illegal.
    Illegal,
}

/// Every step from outside: from, code, to, and for which orders.
const EDGES: &[(&str, &str, &str, &str)] = &[
    ("PLACED", "CFM", "CONFIRMED", "all"),
    ("CONFIRMED", "SPS", "SEPARATION_STARTED", "groceries"),
    ("SEPARATION_STARTED", "SPE", "SEPARATION_ENDED", "groceries"),
    ("CONFIRMED", "PRS", "PREPARATION_STARTED", "all"),
    ("SEPARATION_STARTED", "PRS", "PREPARATION_STARTED", "groceries"),
    ("SEPARATION_ENDED", "PRS", "PREPARATION_STARTED", "groceries"),
    ("CONFIRMED", "RTP", "READY_TO_PICKUP", "all"),
    ("SEPARATION_STARTED", "RTP", "READY_TO_PICKUP", "groceries"),
    ("SEPARATION_ENDED", "RTP", "READY_TO_PICKUP", "groceries"),
    ("PREPARATION_STARTED", "RTP", "READY_TO_PICKUP", "all"),
    ("CONFIRMED", "DSP", "DISPATCHED", "delivery"),
    ("SEPARATION_STARTED", "DSP", "DISPATCHED", "delivery"),
    ("SEPARATION_ENDED", "DSP", "DISPATCHED", "delivery"),
    ("PREPARATION_STARTED", "DSP", "DISPATCHED", "delivery"),
    ("READY_TO_PICKUP", "DSP", "DISPATCHED", "delivery"),
    ("CONFIRMED", "CLT", "DISPATCHED", "delivery"),
    ("SEPARATION_STARTED", "CLT", "DISPATCHED", "delivery"),
    ("SEPARATION_ENDED", "CLT", "DISPATCHED", "delivery"),
    ("PREPARATION_STARTED", "CLT", "DISPATCHED", "delivery"),
    ("READY_TO_PICKUP", "CLT", "DISPATCHED", "delivery"),
    ("DISPATCHED", "CON", "CONCLUDED", "delivery"),
    ("READY_TO_PICKUP", "CON", "CONCLUDED", "no delivery"),
    ("PLACED", "CAN", "CANCELLED", "all"),
    ("CONFIRMED", "CAN", "CANCELLED", "all"),
    ("SEPARATION_STARTED", "CAN", "CANCELLED", "groceries"),
    ("SEPARATION_ENDED", "CAN", "CANCELLED", "groceries"),
    ("PREPARATION_STARTED", "CAN", "CANCELLED", "all"),
    ("READY_TO_PICKUP", "CAN", "CANCELLED", "all"),
    ("DISPATCHED", "CAN", "CANCELLED", "delivery"),
];

/// Steps that may be left out, and so may come when the order is past them: code, statuses past it, for which orders.
const LATE: &[(&str, &[&str], &str)] = &[
    ("SPS", &["SEPARATION_ENDED", "PREPARATION_STARTED", "READY_TO_PICKUP", "DISPATCHED", "CONCLUDED"], "groceries"),
    ("SPE", &["PREPARATION_STARTED", "READY_TO_PICKUP", "DISPATCHED", "CONCLUDED"], "groceries"),
    ("PRS", &["READY_TO_PICKUP", "DISPATCHED", "CONCLUDED"], "all"),
    ("RTP", &["DISPATCHED", "CONCLUDED"], "all"),
    ("DSP", &["DISPATCHED", "CONCLUDED"], "delivery"),
];

/// Information: codes, the statuses in which it is *not* taken yet, for which orders.
const INFORMATION: &[(&str, &[&str], &str)] = &[
    ("OPA RPS CPR CPT BOA RFI", &[], "all"),
    ("DAR DAU DAA DAD", &[], "delivery"),
    ("PAA", &["PLACED"], "takeout"),
    ("ADR GTO AAO DDD DCR DDCR DPCR DPCS DGA DGD DGAC DGDC DGU RDR RDS RDF DCRA DCRR", &["PLACED"], "delivery"),
    ("CLT AAD DRGO DRDO DDCS DRCR RTS DLV", BEFORE_LEAVING, "delivery"),
];

const BEFORE_LEAVING: &[&str] =
    &["PLACED", "CONFIRMED", "SEPARATION_STARTED", "SEPARATION_ENDED", "PREPARATION_STARTED", "READY_TO_PICKUP"];

/// The codes of which a second one is recognised.
const REMEMBERED: &str = "PLC CFM SPS SPE PRS RTP DSP CON CAN CAR CARF CCR CCA CCD";

fn applies(whom: &str, kind: OrderKind) -> bool {
    match whom {
        "all" => true,
        "groceries" => kind.goods == Goods::Groceries,
        "delivery" => kind.order_type == OrderType::Delivery,
        "no delivery" => kind.order_type != OrderType::Delivery,
        "takeout" => kind.order_type == OrderType::Takeout,
        other => panic!("{other}"),
    }
}

fn edge(kind: OrderKind, from: &str, code: &str) -> Option<&'static str> {
    EDGES.iter().find(|edge| edge.0 == from && edge.1 == code && applies(edge.3, kind)).map(|edge| edge.2)
}

/// The facts the model looks at, in its own words.
struct Facts<'a> {
    kind: OrderKind,
    status: &'static str,
    happened: BTreeSet<&'static str>,
    lifecycle: &'a Lifecycle,
}

/// What the model expects. `settles`, `opens` and `answers` name the dispute of an `HSS`, of an `HSD` and its parent.
pub fn expected(lifecycle: &Lifecycle, command: &Command, dispute: &Disputed) -> Expected {
    let happened = order_model::EventCode::ALL
        .iter()
        .filter(|&&code| lifecycle.happened.contains(code))
        .map(|code| code.code())
        .inspect(|code| assert!(REMEMBERED.split(' ').any(|remembered| remembered == *code), "{code}"))
        .collect();
    let facts = Facts { kind: lifecycle.kind, status: lifecycle.status.name(), happened, lifecycle };
    match command {
        Command::Place => Expected::Already,
        Command::Update(update) => facts.update(update.code().code(), dispute),
        Command::Act(action) => facts.action(*action),
        Command::Answer(answer) => facts.answer_dispute(answer.verdict, dispute),
        Command::ConfirmTimeout => match facts.status {
            "PLACED" => Expected::Appends(vec!["CAN"], "CANCELLED"),
            "CANCELLED" => Expected::Already,
            _ => Expected::Illegal,
        },
        Command::Conclude => match facts.status {
            "PLACED" | "CANCELLED" => Expected::Illegal,
            "CONCLUDED" => Expected::Already,
            _ => Expected::Appends(vec!["CON"], "CONCLUDED"),
        },
        Command::DisputeTimeout => match &lifecycle.dispute {
            None => Expected::Illegal,
            Some(open) if open.timeout_action == TimeoutAction::AcceptCancellation && !facts.is_final() => {
                Expected::Appends(vec!["HSS", "CAN"], "CANCELLED")
            }
            Some(_) => Expected::Appends(vec!["HSS"], facts.status),
        },
    }
}

/// The dispute that a command speaks of.
#[derive(Debug, Clone, Default)]
pub struct Disputed {
    /// Its id.
    pub id: Option<&'static str>,
    /// The one it counters.
    pub parent: Option<&'static str>,
}

impl Facts<'_> {
    fn is_final(&self) -> bool {
        self.status == "CONCLUDED" || self.status == "CANCELLED"
    }

    fn repeat_or_illegal(&self, code: &str) -> Expected {
        if self.happened.contains(code) { Expected::Already } else { Expected::Illegal }
    }

    fn update(&self, code: &'static str, dispute: &Disputed) -> Expected {
        if let Some(to) = edge(self.kind, self.status, code) {
            return Expected::Appends(vec![code], to);
        }
        if LATE.iter().any(|late| late.0 == code && late.1.contains(&self.status) && applies(late.2, self.kind)) {
            return if self.happened.contains(code) { Expected::Already } else { Expected::Records };
        }
        let of_information = |row: &&(&str, &[&str], &str)| row.0.split(' ').any(|listed| listed == code);
        if let Some((_, not_yet, whom)) = INFORMATION.iter().find(of_information) {
            let taken = applies(whom, self.kind) && !not_yet.contains(&self.status);
            return if taken { Expected::Records } else { Expected::Illegal };
        }
        match code {
            "HSD" | "HSS" => self.dispute(code, dispute),
            "CAR" | "CCR" if !self.is_final() => self.ask(code),
            "CARF" | "CCA" | "CCD" if !self.is_final() => self.answer(code),
            _ => self.repeat_or_illegal(code),
        }
    }

    fn ask(&self, code: &'static str) -> Expected {
        let is_open = match code {
            "CAR" => self.lifecycle.merchant_request.is_some(),
            _ => self.lifecycle.consumer_request.is_some(),
        };
        if is_open { Expected::Already } else { Expected::Appends(vec![code], self.status) }
    }

    fn answer(&self, code: &'static str) -> Expected {
        let is_open = match code {
            "CARF" => self.lifecycle.merchant_request.is_some(),
            _ => self.lifecycle.consumer_request.is_some(),
        };
        match (is_open, code) {
            (true, "CCA") => Expected::Appends(vec!["CCA", "CAN"], "CANCELLED"),
            (true, _) => Expected::Appends(vec![code], self.status),
            (false, _) => self.repeat_or_illegal(code),
        }
    }

    fn dispute(&self, code: &'static str, dispute: &Disputed) -> Expected {
        let open = self.lifecycle.dispute.as_ref().map(|open| open.id.as_str());
        let settled = self.lifecycle.settled_dispute.as_ref().map(|id| id.as_str());
        let is_open = dispute.id.is_some() && dispute.id == open;
        let was_settled = dispute.id.is_some() && dispute.id == settled;
        match (code, self.status) {
            ("HSS", "CANCELLED") if !was_settled => Expected::Records,
            ("HSS", _) if is_open => Expected::Appends(vec!["HSS"], self.status),
            ("HSS", _) if was_settled => Expected::Already,
            ("HSD", _) if is_open || was_settled => Expected::Already,
            ("HSD", "CANCELLED") => Expected::Illegal,
            ("HSD", _) if open.is_none() || dispute.parent == open => Expected::Appends(vec!["HSD"], self.status),
            _ => Expected::Illegal,
        }
    }

    /// Who answers first settles it; only a yes to a cancellation cancels, and only what is not final.
    fn answer_dispute(&self, verdict: Verdict, dispute: &Disputed) -> Expected {
        let settled = self.lifecycle.settled_dispute.as_ref().map(|id| id.as_str());
        match &self.lifecycle.dispute {
            Some(open) if Some(open.id.as_str()) == dispute.id => {
                if verdict == Verdict::Accept && open.asks == DisputeAsk::Cancellation && !self.is_final() {
                    Expected::Appends(vec!["HSS", "CAN"], "CANCELLED")
                } else {
                    Expected::Appends(vec!["HSS"], self.status)
                }
            }
            _ if settled == dispute.id => Expected::Already,
            _ => Expected::Illegal,
        }
    }

    fn action(&self, action: Action) -> Expected {
        let by_merchant = self.kind.delivered_by == DeliveredBy::Merchant;
        match action {
            Action::Confirm => self.step("CFM"),
            Action::StartPreparation if self.kind.goods == Goods::Groceries => self.step("SPS"),
            Action::StartPreparation => self.step("PRS"),
            Action::ReadyToPickup => self.step("RTP"),
            Action::Dispatch if by_merchant && self.kind.order_type == OrderType::Delivery => self.step("DSP"),
            Action::Dispatch => Expected::Illegal,
            Action::RequestCancellation(_) => match self.status {
                "CONCLUDED" => Expected::Illegal,
                "CANCELLED" => Expected::Already,
                _ if self.lifecycle.merchant_request.is_some() => Expected::Already,
                "DISPATCHED" => Expected::Appends(vec!["CAR"], self.status),
                _ => Expected::Appends(vec!["CAR", "CAN"], "CANCELLED"),
            },
            Action::AcceptCancellation if self.lifecycle.consumer_request.is_some() => {
                Expected::Appends(vec!["CCA", "CAN"], "CANCELLED")
            }
            Action::AcceptCancellation => self.repeat_or_illegal("CCA"),
            Action::DenyCancellation if self.lifecycle.consumer_request.is_some() => {
                Expected::Appends(vec!["CCD"], self.status)
            }
            Action::DenyCancellation => self.repeat_or_illegal("CCD"),
            Action::PickedUp if self.kind.order_type != OrderType::Takeout => Expected::Illegal,
            Action::Delivered if self.kind.order_type != OrderType::Delivery || !by_merchant => Expected::Illegal,
            Action::PickedUp | Action::Delivered if self.status == "CONCLUDED" => Expected::Already,
            Action::PickedUp if self.status != "PLACED" && !self.is_final() => {
                Expected::Appends(vec!["CLT", "CON"], "CONCLUDED")
            }
            Action::Delivered if self.status == "DISPATCHED" => Expected::Appends(vec!["DLV", "CON"], "CONCLUDED"),
            Action::PickedUp | Action::Delivered => Expected::Illegal,
            Action::ValidatePickupCode => self.tells("DPCS"),
            Action::VerifyDeliveryCode | Action::VerifyCodeAtDestination => self.tells("DDCS"),
            Action::RequestDriver if by_merchant && self.status != "DISPATCHED" => self.tells("RDR"),
            Action::CancelDriverRequest if by_merchant => self.tells("DCR"),
            Action::RequestDriver | Action::CancelDriverRequest => Expected::Illegal,
            Action::AssignDriver => self.tells("ADR"),
            Action::GoToOrigin => self.tells("GTO"),
            Action::ArriveAtOrigin => self.tells("AAO"),
            Action::Collect if self.kind.order_type != OrderType::Delivery => Expected::Illegal,
            Action::Collect if self.status == "DISPATCHED" => self.tells("CLT"),
            Action::Collect if by_merchant => self.step("DSP"),
            Action::Collect if self.is_final() => Expected::Illegal,
            Action::Collect => self.step("CLT"),
            Action::ArriveAtDestination => self.tells("AAD"),
            Action::RequestAddressChange => self.tells("DAR"),
            Action::ConfirmAddressChange => self.tells("DAU"),
            Action::AcceptAddressChange => self.tells("DAA"),
            Action::DenyAddressChange => self.tells("DAD"),
        }
    }

    /// An action that is information: taken wherever the information is, unless the order is over.
    fn tells(&self, code: &'static str) -> Expected {
        match self.update(code, &Disputed::default()) {
            Expected::Records if !self.is_final() => Expected::Tells(code),
            _ => Expected::Illegal,
        }
    }

    /// An action is legal where its code's edge is, a repeat wherever the order is at or past its status.
    fn step(&self, code: &'static str) -> Expected {
        if let Some(to) = edge(self.kind, self.status, code) {
            return Expected::Appends(vec![code], to);
        }
        const ORDER: &[&str] = &[
            "PLACED",
            "CONFIRMED",
            "SEPARATION_STARTED",
            "SEPARATION_ENDED",
            "PREPARATION_STARTED",
            "READY_TO_PICKUP",
            "DISPATCHED",
            "CONCLUDED",
        ];
        let target = EDGES.iter().find(|edge| edge.1 == code).expect("an action has an edge").2;
        let position = |status: &str| ORDER.iter().position(|listed| *listed == status);
        match (position(self.status), position(target)) {
            (Some(here), Some(there)) if here >= there => Expected::Already,
            _ => Expected::Illegal,
        }
    }
}
