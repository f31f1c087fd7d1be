//! A steady stream of orders over a deployment: producers, POS terminals, an observer of presence, and what all of them saw.
//!
//! What is sent follows from a seed (`script`). What the run then does with it does not: processes have no seed. Used by the
//! kill tests; the judge is in `history`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::{ClientError, KitchenClient};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deployment::Deployment;
use crate::history::{Acknowledged, History, Operation, Seen};
pub use crate::script::Load;
use crate::script::{KINDS, Script};

/// How often what is due is sent, how often a POS polls, and how soon a POS tries again.
const SEND_EVERY: Duration = Duration::from_millis(100);
const POLL_EVERY: Duration = Duration::from_millis(200);
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Polls of each POS after the last acknowledgment, to see that nothing comes back.
const QUIET_POLLS: usize = 10;

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
        eprintln!("orders: {:?}", script.kinds);
        assert_eq!(script.kinds.len(), KINDS.len(), "every kind of order is in the stream");
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

    /// The fault that began at `since` is over.
    pub fn end_fault(&self, since: Duration) {
        let until = self.elapsed();
        self.shared.history.lock().fault_windows.push((since, until));
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

    fn note(&self, kind: &'static str, sent_at: Duration, is_success: bool) {
        let operation = Operation { kind, sent_at, ended_at: self.now(), is_success };
        self.history.lock().operations.push(operation);
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
            let answer = pos.poll(merchants).await;
            self.note("poll", asked_at, answer.is_ok());
            match answer {
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
        let sent_at = self.now();
        let answer = pos.acknowledge(ids).await;
        self.note("acknowledgment", sent_at, answer.is_ok());
        match answer {
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
                let sent_at = self.now();
                let answer = pos.call(Method::POST, &path, &[], Bytes::new()).await;
                let is_decided = answer.as_ref().is_ok_and(|answer| !answer.status.is_server_error());
                self.note("action", sent_at, is_decided);
                match answer {
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
