//! A steady stream of orders over a deployment: producers, POS terminals, an observer of presence, and what all of them saw.
//!
//! What is sent, when, how often and in which order follows from a seed. What the run then does with it does not: processes
//! have no seed. Used by the kill tests; the judge is in `history`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::{ClientError, KitchenClient};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deployment::Deployment;
use crate::first_order::placed;
use crate::history::{Acknowledged, History, Seen};

/// Share of messages that are sent twice, and of messages that are moved to another place in the stream.
const DUPLICATED: f64 = 0.2;
const REORDERED: f64 = 0.2;
/// How far a message is moved, earlier or later.
const MOVED_BY_MS: i64 = 2_500;
/// How late the second copy comes.
const COPY_AFTER_MS: i64 = 5_000;
/// How often what is due is sent, how often a POS polls, and how soon a POS tries again.
const SEND_EVERY: Duration = Duration::from_millis(100);
const POLL_EVERY: Duration = Duration::from_millis(200);
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Polls of each POS after the last acknowledgment, to see that nothing comes back.
const QUIET_POLLS: usize = 10;

/// How much is sent, how fast, by how many POS terminals it is received.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub orders: usize,
    pub orders_per_second: usize,
    pub terminals: usize,
}

/// Everything that will be sent, and what must become of it.
struct Script {
    /// When to send, and what; in order of time.
    messages: Vec<(Duration, String)>,
    /// By order, the codes of its events.
    expected: BTreeMap<String, Vec<String>>,
    /// What the POS does through the API, by order.
    by_api: BTreeMap<String, &'static [&'static str]>,
}

/// What is ordered, by share: type, block of the type, category; how it goes on when an internal app reports it, which
/// of that the POS can do instead, and which codes it must end up with.
struct Kind {
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

const KINDS: [Kind; 5] = [
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
        share: 10,
        order_type: "DINE_IN",
        block: r#"{"dineIn": {"deliveryDateTime": "2026-11-20T12:45:00.000Z"}}"#,
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
    fn write(load: Load, merchants: &[String], seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut script = Self { messages: Vec::new(), expected: BTreeMap::new(), by_api: BTreeMap::new() };
        let mut due: Vec<(i64, String)> = Vec::new();
        for index in 0..load.orders {
            let order = uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string();
            let merchant = &merchants[rng.random_range(0..merchants.len())];
            let kind = Kind::choose(&mut rng);
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

/// A stream under way.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<Shared>,
}

struct Shared {
    deployment: Arc<Deployment>,
    script: Script,
    started: Instant,
    history: Mutex<History>,
    progress: Mutex<Progress>,
    /// What broke a promise in a way that the history does not tell.
    problems: Mutex<Vec<String>>,
    all_sent: CancellationToken,
    /// The platform has taken every message, late copies included.
    all_taken: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What is still to come.
#[derive(Default)]
struct Progress {
    to_see: BTreeMap<String, BTreeSet<String>>,
    seen_unacknowledged: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    acted_on: BTreeSet<String>,
    came_online: BTreeSet<String>,
    quiet_polls: Vec<usize>,
}

impl Stream {
    /// Starts producers, terminals and the observer.
    pub async fn start(deployment: &Arc<Deployment>, load: Load, seed: u64) -> Self {
        let script = Script::write(load, &deployment.merchants, seed);
        let to_see = script.expected.iter().map(|(order, codes)| (order.clone(), codes.iter().cloned().collect()));
        let progress =
            Progress { to_see: to_see.collect(), quiet_polls: vec![0; load.terminals], ..Progress::default() };
        let history = History { expected_codes: script.expected.clone(), ..History::default() };
        let shared = Arc::new(Shared {
            deployment: Arc::clone(deployment),
            script,
            started: Instant::now(),
            history: Mutex::new(history),
            progress: Mutex::new(progress),
            problems: Mutex::default(),
            all_sent: CancellationToken::new(),
            all_taken: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let observer = deployment.observe("merchant-status").await;
        let pos = deployment.pos().await;
        let groups = deployment.merchants.chunks(deployment.merchants.len().div_ceil(load.terminals));
        for (number, merchants) in groups.enumerate() {
            let (shared, pos) = (Arc::clone(&shared), pos.clone());
            let merchants = merchants.to_vec();
            shared.clone().tasks.spawn(async move { shared.terminal(number, &pos, &merchants).await });
        }
        shared.tasks.spawn(Arc::clone(&shared).observe(observer));
        shared.tasks.spawn(Arc::clone(&shared).produce());
        Self { shared }
    }

    /// Since it started.
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Whether there is nothing left to send.
    pub fn is_all_sent(&self) -> bool {
        self.shared.all_sent.is_cancelled()
    }

    /// Polls that were answered and that failed, so far.
    pub fn polls(&self) -> (usize, usize) {
        let history = self.shared.history.lock();
        (history.polls_answered, history.polls_failed)
    }

    /// One more fault was injected.
    pub fn count_fault(&self) {
        self.shared.history.lock().faults += 1;
    }

    /// Waits until everything is seen and acknowledged, then for the quiet polls; gives the history and what else broke.
    pub async fn finish(self, limit: Duration) -> (History, Vec<String>) {
        let shared = &self.shared;
        shared.all_sent.cancelled().await;
        let deadline = Instant::now() + limit;
        while !shared.progress.lock().is_over() && Instant::now() < deadline {
            if !shared.all_taken.is_cancelled() && shared.deployment.is_empty("orders").await {
                shared.all_taken.cancel();
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let settled_after = limit - deadline.saturating_duration_since(Instant::now());
        shared.stop.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        let mut problems = std::mem::take(&mut *shared.problems.lock());
        problems.extend(shared.progress.lock().leftovers());
        problems
            .extend(shared.deployment.given_up().await.into_iter().map(|letter| format!("a dead letter in {letter}")));
        let unseen: Vec<&String> = {
            let progress = shared.progress.lock();
            shared.deployment.merchants.iter().filter(|merchant| !progress.came_online.contains(*merchant)).collect()
        };
        problems.extend(unseen.into_iter().map(|merchant| format!("merchant {merchant} never came ONLINE")));
        eprintln!("all was seen and acknowledged {settled_after:?} after the last message was sent");
        (std::mem::take(&mut *shared.history.lock()), problems)
    }
}

impl Progress {
    fn is_settled(&self) -> bool {
        self.to_see.is_empty() && self.seen_unacknowledged.is_empty()
    }

    fn is_over(&self) -> bool {
        self.is_settled() && self.quiet_polls.iter().all(|polls| *polls >= QUIET_POLLS)
    }

    fn leftovers(&self) -> Vec<String> {
        let unseen = self.to_see.iter().map(|(order, codes)| format!("order {order}: {codes:?} not seen in time"));
        let pending =
            self.seen_unacknowledged.iter().map(|event| format!("event {event} could not be acknowledged in time"));
        let polls = (!self.is_over()).then(|| "the run did not come to its end in time".to_owned());
        unseen.chain(pending).chain(polls).collect()
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn problem(&self, problem: String) {
        let mut problems = self.problems.lock();
        if problems.len() < 100 {
            problems.push(problem);
        }
    }

    async fn produce(self: Arc<Self>) {
        let mut messages = self.script.messages.iter().peekable();
        while messages.peek().is_some() {
            let now = self.now();
            let mut due = Vec::new();
            while let Some((_, body)) = messages.next_if(|(at, _)| *at <= now) {
                due.push(body.clone());
            }
            if !due.is_empty() {
                self.deployment.send(&due).await;
            }
            tokio::time::sleep(SEND_EVERY).await;
        }
        self.history.lock().placed.extend(self.script.expected.keys().cloned());
        self.all_sent.cancel();
    }

    /// One POS: polls for its merchants, records, acts on new orders, acknowledges.
    async fn terminal(self: Arc<Self>, number: usize, pos: &KitchenClient, merchants: &[String]) {
        let mut owed: Vec<String> = Vec::new();
        while !self.stop.is_cancelled() {
            let was_settled = self.all_taken.is_cancelled() && self.progress.lock().is_settled();
            let asked_at = self.now();
            match pos.poll(merchants).await {
                Ok(events) => {
                    self.history.lock().polls_answered += 1;
                    if was_settled {
                        self.progress.lock().quiet_polls[number] += 1;
                    }
                    // What was not taken comes back and is acknowledged again. What was taken although its answer never
                    // came does not come back: that is repeated once nothing else is to be done.
                    let ids = if events.is_empty() {
                        std::mem::take(&mut owed)
                    } else {
                        self.record(&events, asked_at, pos, merchants)
                    };
                    if !ids.is_empty() && !self.acknowledge(pos, &ids).await {
                        owed.extend(ids);
                    }
                }
                Err(error) => {
                    self.history.lock().polls_failed += 1;
                    if let ClientError::Unexpected { status, message, .. } = &error
                        && !status.is_server_error()
                    {
                        self.problem(format!("a poll was answered {status}: {message}"));
                    }
                }
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn record(
        self: &Arc<Self>,
        events: &[Value],
        asked_at: Duration,
        pos: &KitchenClient,
        merchants: &[String],
    ) -> Vec<String> {
        let (mut history, mut progress) = (self.history.lock(), self.progress.lock());
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        for event in events {
            let seen = Seen {
                event: text(event, "id"),
                order: text(event, "orderId"),
                merchant: text(event, "merchantId"),
                sequence: event["sequence"].as_u64().unwrap_or(0),
                code: text(event, "code"),
                body: event.to_string(),
                asked_at,
            };
            if !merchants.contains(&seen.merchant) {
                self.problem(format!("event {} is of merchant {}, which was not asked for", seen.event, seen.merchant));
            }
            if let Some(codes) = progress.to_see.get_mut(&seen.order) {
                codes.remove(&seen.code);
                if codes.is_empty() {
                    progress.to_see.remove(&seen.order);
                }
            }
            if !progress.acknowledged.contains(&seen.event) {
                progress.seen_unacknowledged.insert(seen.event.clone());
            }
            let is_new = progress.acted_on.insert(seen.order.clone());
            if let (true, Some(actions)) = (is_new, self.script.by_api.get(&seen.order).copied()) {
                let (shared, pos, order) = (Arc::clone(self), pos.clone(), seen.order.clone());
                self.tasks.spawn(async move { shared.serve(&pos, &order, actions).await });
            }
            history.seen.push(seen);
        }
        events.iter().map(|event| text(event, "id")).collect()
    }

    /// Whether it was answered 202; anything else is unknown.
    async fn acknowledge(&self, pos: &KitchenClient, ids: &[String]) -> bool {
        match pos.acknowledge(ids).await {
            Ok(()) => {
                let at = self.now();
                let (mut history, mut progress) = (self.history.lock(), self.progress.lock());
                for event in ids {
                    progress.seen_unacknowledged.remove(event);
                    progress.acknowledged.insert(event.clone());
                    history.acknowledged.push(Acknowledged { event: event.clone(), at });
                }
                return true;
            }
            Err(ClientError::Unexpected { status, message, .. }) if !status.is_server_error() => {
                self.problem(format!("an acknowledgment was answered {status}: {message}"));
            }
            Err(_) => {}
        }
        false
    }

    /// Moves an order on, each action until it is answered.
    async fn serve(&self, pos: &KitchenClient, order: &str, actions: &[&str]) {
        for action in actions {
            let mut unknown_before = false;
            loop {
                let path = format!("/order/v1.0/orders/{order}/{action}");
                match pos.call(Method::POST, &path, &[], Bytes::new()).await {
                    Ok(answer) if answer.status == StatusCode::ACCEPTED => break,
                    // An earlier attempt was carried out although its answer never came.
                    Ok(answer) if answer.status == StatusCode::CONFLICT && unknown_before => break,
                    Ok(answer) if !answer.status.is_server_error() => {
                        self.problem(format!("{action} of {order} was answered {}: {}", answer.status, answer.json()));
                        break;
                    }
                    Ok(_) | Err(_) => unknown_before = true,
                }
                if self.stop.is_cancelled() {
                    return;
                }
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }

    /// Every merchant polls all the time, so an OFFLINE is false, and nobody comes ONLINE twice.
    async fn observe(self: Arc<Self>, queue: String) {
        let mut identities: BTreeMap<(String, u64), String> = BTreeMap::new();
        loop {
            // Looked at before the last draining, so that nothing that was published by then is missed.
            let is_last = self.stop.is_cancelled();
            for message in self.deployment.drain(&queue).await {
                let transition: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap();
                let merchant = transition["merchantId"].as_str().unwrap().to_owned();
                let sequence = transition["sequence"].as_u64().unwrap();
                let id = transition["id"].as_str().unwrap().to_owned();
                let known = identities.entry((merchant.clone(), sequence)).or_insert_with(|| id.clone());
                if *known != id {
                    self.problem(format!("transition {sequence} of merchant {merchant} has two ids"));
                }
                if transition["status"] == "OFFLINE" {
                    self.history.lock().false_offline.push(format!("{merchant} ({})", transition["reason"]));
                } else {
                    self.progress.lock().came_online.insert(merchant);
                }
            }
            if is_last {
                return;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }
}
