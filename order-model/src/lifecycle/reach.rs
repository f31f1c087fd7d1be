//! What can still become legal: the states that an order can reach, found by exploring `decide` itself.
//!
//! Legality depends on the kind, the status, whether each side's request is open and whether a dispute is: 72 nodes per
//! kind. The graph over them is explored once per kind and process, at the first illegal command. Used by `decide` to
//! explain a refusal and by `markdown` to tell "early" from "illegal". Nothing here is listed by hand.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::event_code::EventCode;
use crate::lifecycle::command::{Action, Command, Update};
use crate::lifecycle::decide::{outcome, place};
use crate::lifecycle::decision::Decision;
use crate::lifecycle::dispute::{
    Dispute, DisputeAnswer, DisputeAsk, DisputeId, DisputeOpening, TimeoutAction, Verdict,
};
use crate::lifecycle::kind::OrderKind;
use crate::lifecycle::state::{Lifecycle, MerchantRequest};
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// 9 statuses, 2 requests, 1 dispute.
const NODES: usize = 9 * 8;

/// The kinds of [`OrderKind::all`].
const KINDS: usize = 16;

/// Whether `command`, illegal now, is legal in some state that the order can still reach: it is only early.
pub(crate) fn may_become_legal(lifecycle: &Lifecycle, command: &Command) -> bool {
    becomes_legal(lifecycle, command.name())
}

/// As [`may_become_legal`], by the name of the command.
pub(crate) fn becomes_legal(lifecycle: &Lifecycle, name: &str) -> bool {
    reach_of(lifecycle.kind).legal_later[Node::of(lifecycle).index()].contains(name)
}

/// Whether an order of `kind` can ever stand at `status`.
pub(crate) fn is_reachable(kind: OrderKind, status: OrderStatus) -> bool {
    reach_of(kind).statuses.contains(&status)
}

/// What is legal now: the actions when the refused command was one, else the codes that change something.
pub(crate) fn legal_instead_of(lifecycle: &Lifecycle, at: Timestamp, refused: &Command) -> Vec<&'static str> {
    let of_merchant = matches!(refused, Command::Act(_) | Command::Answer(_));
    let mut names: Vec<_> = probes(lifecycle.dispute.as_ref().map(|dispute| &dispute.id))
        .filter(|probe| match probe {
            Command::Act(_) | Command::Answer(_) => of_merchant,
            Command::Update(_) => !of_merchant,
            Command::Place | Command::ConfirmTimeout | Command::Conclude | Command::DisputeTimeout => false,
        })
        .filter(|probe| {
            let decision = outcome(lifecycle, at, probe);
            matches!(decision, Some(Decision::Append { .. }))
        })
        .map(|probe| probe.name())
        .collect();
    names.dedup();
    names
}

/// The states of one kind, explored.
struct Reach {
    /// For each node, the names of the commands that are legal there or in a node that can be reached from it.
    legal_later: Vec<BTreeSet<&'static str>>,
    /// The statuses that can be reached from placement.
    statuses: BTreeSet<OrderStatus>,
}

fn reach_of(kind: OrderKind) -> &'static Reach {
    static REACH: [OnceLock<Reach>; KINDS] = [const { OnceLock::new() }; KINDS];
    REACH[kind.index()].get_or_init(|| explore(kind))
}

fn explore(kind: OrderKind) -> Reach {
    let mut successors = vec![BTreeSet::new(); NODES];
    let mut legal_later = vec![BTreeSet::new(); NODES];
    for node in Node::all() {
        let lifecycle = node.representative(kind);
        for probe in probes(lifecycle.dispute.as_ref().map(|dispute| &dispute.id)) {
            let decision = outcome(&lifecycle, lifecycle.last_created_at, &probe);
            if let Some(next) = decision.as_ref().and_then(Decision::next) {
                successors[node.index()].insert(Node::of(next).index());
                legal_later[node.index()].insert(probe.name());
            }
        }
    }
    spread(&successors, &mut legal_later);
    let (_, placed) = place(kind, Timestamp::default());
    let reachable = closure(&successors, Node::of(&placed).index());
    let statuses = Node::all().filter(|node| reachable.contains(&node.index())).map(|node| node.status).collect();
    Reach { legal_later, statuses }
}

/// Adds to every node what is legal in its successors, until nothing changes.
fn spread(successors: &[BTreeSet<usize>], legal_later: &mut [BTreeSet<&'static str>]) {
    loop {
        let mut grew = false;
        for (node, nexts) in successors.iter().enumerate() {
            for &next in nexts {
                let missing: Vec<_> = legal_later[next].difference(&legal_later[node]).copied().collect();
                grew |= !missing.is_empty();
                legal_later[node].extend(missing);
            }
        }
        if !grew {
            return;
        }
    }
}

/// The nodes that can be reached from `start`, with it.
fn closure(successors: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        open.extend(successors[node].iter().copied().filter(|&next| seen.insert(next)));
    }
    seen
}

/// What legality depends on, apart from the kind.
#[derive(Clone, Copy)]
struct Node {
    status: OrderStatus,
    merchant_asks: bool,
    consumer_asks: bool,
    disputed: bool,
}

impl Node {
    fn all() -> impl Iterator<Item = Self> {
        OrderStatus::ALL.into_iter().flat_map(|status| {
            (0..8u8).map(move |bits| Self {
                status,
                merchant_asks: bits & 1 != 0,
                consumer_asks: bits & 2 != 0,
                disputed: bits & 4 != 0,
            })
        })
    }

    fn of(lifecycle: &Lifecycle) -> Self {
        Self {
            status: lifecycle.status,
            merchant_asks: lifecycle.merchant_request.is_some(),
            consumer_asks: lifecycle.consumer_request.is_some(),
            disputed: lifecycle.dispute.is_some(),
        }
    }

    fn index(self) -> usize {
        let flags =
            usize::from(self.merchant_asks) + 2 * usize::from(self.consumer_asks) + 4 * usize::from(self.disputed);
        usize::from(self.status.number() - 1) * 8 + flags
    }

    /// An order that stands at this node and to which nothing else has happened.
    fn representative(self, kind: OrderKind) -> Lifecycle {
        let (_, placed) = place(kind, Timestamp::default());
        Lifecycle {
            status: self.status,
            merchant_request: self.merchant_asks.then_some(MerchantRequest { sequence: 1, code: None }),
            consumer_request: self.consumer_asks.then_some(1),
            dispute: self.disputed.then(|| probe_dispute("open")),
            ..placed
        }
    }
}

/// A command of every name. `HSS` and the merchant's answers settle `open`, when there is one; `HSD` opens one that is never open yet.
fn probes(open: Option<&DisputeId>) -> impl Iterator<Item = Command> {
    let settled = open.cloned().unwrap_or_else(|| probe_dispute("open").id);
    let answered = settled.clone();
    let answers = Verdict::ALL
        .into_iter()
        .map(move |verdict| Command::Answer(DisputeAnswer { dispute: answered.clone(), verdict }));
    let codes = EventCode::ALL.iter().map(move |&code| {
        let update = Update::new(code).unwrap_or_else(|_| {
            if matches!(code, EventCode::HandshakeSettlement) {
                Update::settlement(settled.clone())
            } else {
                Update::dispute(DisputeOpening { dispute: probe_dispute("another"), parent: None })
            }
        });
        Command::Update(update)
    });
    let timers = [Command::ConfirmTimeout, Command::Conclude, Command::DisputeTimeout];
    codes.chain(Action::EACH.into_iter().map(Command::Act)).chain(answers).chain(timers)
}

fn probe_dispute(id: &str) -> Dispute {
    Dispute {
        id: id.parse().expect("the ids of probes are visible ASCII"),
        asks: DisputeAsk::Other,
        expires_at: Timestamp::MAX,
        timeout_action: TimeoutAction::Void,
    }
}
