//! What a steady stream sends: orders of every kind, their updates, in which order and when; and what must become of them.
//!
//! All of it follows from a seed. Sent by `steady_stream`.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::first_order::placed;

/// Share of messages that are sent twice, and of messages that are moved to another place in the stream.
const DUPLICATED: f64 = 0.2;
const REORDERED: f64 = 0.2;
/// How far a message is moved, earlier or later.
const MOVED_BY_MS: i64 = 2_500;
/// How late the second copy comes.
const COPY_AFTER_MS: i64 = 5_000;
/// How much is sent, how fast, by how many POS terminals it is received.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub orders: usize,
    pub orders_per_second: usize,
    pub terminals: usize,
}

/// Everything that will be sent, and what must become of it.
pub struct Script {
    /// Orders by type, courier and category.
    pub kinds: BTreeMap<String, usize>,
    /// When to send, and what; in order of time.
    pub messages: Vec<(Duration, String)>,
    /// By order, the codes of its events.
    pub expected: BTreeMap<String, Vec<String>>,
    /// What the POS does through the API, by order.
    pub by_api: BTreeMap<String, &'static [&'static str]>,
}

/// What is ordered, by share: type, block of the type, category; how it goes on when an internal app reports it, which
/// of that the POS can do instead, and which codes it must end up with.
pub struct Kind {
    share: u32,
    order_type: &'static str,
    block: &'static str,
    category: &'static str,
    steps: &'static [&'static str],
    actions: &'static [&'static str],
    codes: &'static [&'static str],
}

const DELIVERED_BY_MERCHANT: Kind = Kind {
    share: 50,
    order_type: "DELIVERY",
    block: r#"{"delivery": {"mode": "DEFAULT", "deliveredBy": "MERCHANT", "deliveryDateTime": "2026-11-20T12:45:00.000Z"}}"#,
    category: "FOOD",
    steps: &["CONFIRMED", "DISPATCHED", "CONCLUDED"],
    actions: &["confirm", "dispatch"],
    codes: &["PLC", "CFM", "DSP", "CON"],
};

pub const KINDS: [Kind; 6] = [
    DELIVERED_BY_MERCHANT,
    Kind { share: 10, category: "GROCERY", ..DELIVERED_BY_MERCHANT },
    Kind {
        share: 15,
        block: r#"{"delivery": {"mode": "DEFAULT", "deliveredBy": "MARKETPLACE", "deliveryDateTime": "2026-11-20T12:45:00.000Z"}}"#,
        steps: &["CONFIRMED", "CLT", "CONCLUDED"],
        actions: &["confirm"],
        codes: &["PLC", "CFM", "CLT", "CON"],
        ..DELIVERED_BY_MERCHANT
    },
    Kind {
        share: 15,
        order_type: "TAKEOUT",
        block: r#"{"takeout": {"mode": "DEFAULT", "takeoutDateTime": "2026-11-20T12:45:00.000Z"}}"#,
        steps: &["CONFIRMED", "READY_TO_PICKUP", "CONCLUDED"],
        actions: &["confirm", "readyToPickup"],
        codes: &["PLC", "CFM", "RTP", "CON"],
        ..DELIVERED_BY_MERCHANT
    },
    Kind {
        share: 8,
        order_type: "DINE_IN",
        block: r#"{"dineIn": {"deliveryDateTime": "2026-11-20T12:45:00.000Z"}}"#,
        steps: &["CONFIRMED", "READY_TO_PICKUP", "CONCLUDED"],
        actions: &["confirm", "readyToPickup"],
        codes: &["PLC", "CFM", "RTP", "CON"],
        ..DELIVERED_BY_MERCHANT
    },
    Kind {
        share: 7,
        order_type: "INDOOR",
        block: r#"{"indoor": {"mode": "DEFAULT", "deliveryDateTime": "2026-11-20T12:45:00.000Z", "table": "7"}}"#,
        steps: &["CONFIRMED", "READY_TO_PICKUP", "CONCLUDED"],
        actions: &["confirm", "readyToPickup"],
        codes: &["PLC", "CFM", "RTP", "CON"],
        ..DELIVERED_BY_MERCHANT
    },
];

impl Kind {
    fn choose(rng: &mut StdRng) -> &'static Self {
        let mut drawn = rng.random_range(0..KINDS.iter().map(|kind| kind.share).sum());
        let mut found = &KINDS[0];
        for kind in &KINDS {
            found = kind;
            if drawn < kind.share {
                break;
            }
            drawn -= kind.share;
        }
        found
    }

    fn name(&self) -> String {
        let courier = if self.block.contains("MARKETPLACE") { " by the marketplace" } else { "" };
        format!("{} {}{courier}", self.category, self.order_type)
    }

    fn placed(&self, order: &str, merchant: &str) -> Value {
        let mut message = placed(order, merchant);
        let body = message["order"].as_object_mut().expect("an order is an object");
        body.remove("delivery");
        let block: serde_json::Map<String, Value> = serde_json::from_str(self.block).expect("a block is an object");
        body.extend(block);
        body.insert("orderType".to_owned(), json!(self.order_type));
        body.insert("category".to_owned(), json!(self.category));
        message
    }
}

impl Script {
    pub fn write(load: Load, merchants: &[String], seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut script =
            Self { kinds: BTreeMap::new(), messages: Vec::new(), expected: BTreeMap::new(), by_api: BTreeMap::new() };
        let mut due: Vec<(i64, String)> = Vec::new();
        for index in 0..load.orders {
            let order = uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string();
            let merchant = &merchants[rng.random_range(0..merchants.len())];
            // The first orders are one of each kind: a short stream has them all as well.
            let kind = KINDS.get(index).unwrap_or_else(|| Kind::choose(&mut rng));
            *script.kinds.entry(kind.name()).or_default() += 1;
            let (by_queue, codes): (&[&str], &[&str]) = match rng.random_range(0..20) {
                0..10 => (kind.steps, kind.codes),
                10..17 => {
                    script.by_api.insert(order.clone(), kind.actions);
                    (&kind.steps[kind.actions.len()..], kind.codes)
                }
                _ => (&["CANCELLED"], &["PLC", "CAN"]),
            };
            script.expected.insert(order.clone(), codes.iter().map(|code| (*code).to_owned()).collect());
            let placed_at = (index * 1_000 / load.orders_per_second) as i64;
            let updates = by_queue.iter().map(|code| update(&order, code));
            for (step, body) in std::iter::once(kind.placed(&order, merchant).to_string()).chain(updates).enumerate() {
                let mut at = placed_at + step as i64 * 800;
                if rng.random_bool(REORDERED) {
                    at += rng.random_range(-MOVED_BY_MS..=MOVED_BY_MS);
                }
                if rng.random_bool(DUPLICATED) {
                    due.push((at + rng.random_range(0..=COPY_AFTER_MS), body.clone()));
                }
                due.push((at, body));
            }
        }
        due.shuffle(&mut rng);
        due.sort_by_key(|(at, _)| *at);
        script.messages =
            due.into_iter().map(|(at, body)| (Duration::from_millis(at.try_into().unwrap_or(0)), body)).collect();
        script
    }
}

fn update(order: &str, code: &str) -> String {
    json!({"id": format!("{code}-{order}"), "type": code, "source": "e2e", "occurredAt": "2026-11-20T12:01:00Z", "orderId": order}).to_string()
}
