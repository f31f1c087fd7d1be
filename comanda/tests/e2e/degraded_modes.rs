//! Every cell of the design's table of degraded modes, one test a row: with real processes, and AWS behind a proxy.
//!
//! A service is away in two ways: killed, and hung (SIGSTOP), in which its sockets take what is sent and nobody answers.
//! In each row POS terminals poll all the time: no poll fails, nobody is marked OFFLINE although the outage outlasts the
//! offline period, nothing is dead-lettered, nothing acknowledged comes back. The rows "one grid node" and "a grid
//! partition" are one here until the grid is replicated: order-events down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::{ClientError, KitchenClient};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deployment::{Deployment, Plan, flags};
use crate::first_order::placed;
use crate::platform::eventually;
use crate::proxy::{AwsService, Mood};

const LIMIT: Duration = Duration::from_secs(20);
/// After an outage: the agent looks again after at most 15 s, a breaker after 5 s, a fence costs 3 s.
const HEALED_LIMIT: Duration = Duration::from_secs(60);
const OFFLINE_AFTER: Duration = Duration::from_secs(4);
const POLL_EVERY: Duration = Duration::from_millis(150);
/// The longest that kitchen-api lets an action wait for the core is 2 s; test machines are slow.
const ACTION_LIMIT: Duration = Duration::from_secs(5);

fn plan() -> Plan {
    Plan { flags: flags(&[("sweep-interval", "200ms"), ("offline-after", "4s")]), ..Plan::default() }
}

/// How a service is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Killed,
    Hung,
}

impl Away {
    fn take(self, deployment: &Deployment, role: &'static str) {
        match self {
            Self::Killed => deployment.kill(role),
            Self::Hung => deployment.signal(role, "STOP"),
        }
    }

    fn give_back(self, deployment: &Deployment, role: &'static str) {
        match self {
            Self::Killed => deployment.restart(role),
            Self::Hung => deployment.signal(role, "CONT"),
        }
    }
}

/// What the terminals of a row saw.
#[derive(Debug, Default)]
struct Polls {
    answered: usize,
    failures: Vec<String>,
    slowest: Duration,
    /// Answered 202 so far.
    acknowledged: BTreeSet<String>,
    /// Events that were shown by a poll that was sent after their 202.
    came_back: Vec<String>,
}

impl Polls {
    /// `known`: what was acknowledged when the poll was sent.
    fn note(&mut self, answer: Result<Vec<Value>, ClientError>, known: &BTreeSet<String>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match answer {
            Ok(events) => {
                self.answered += 1;
                let ids = events.iter().filter_map(|event| event["id"].as_str());
                self.came_back.extend(ids.filter(|id| known.contains(*id)).map(str::to_owned));
            }
            Err(error) => self.failures.push(format!("{error} after {took:?}")),
        }
    }
}

struct Row {
    deployment: Deployment,
    pos: KitchenClient,
    polls: Arc<Mutex<Polls>>,
    polling: JoinHandle<()>,
    presence: String,
    transitions: Mutex<Vec<(String, String)>>,
}

impl Drop for Row {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Row {
    /// A deployment whose first two merchants poll all the time; the third never did, the fourth never had an order.
    async fn start() -> Self {
        let deployment = Deployment::start(&plan()).await;
        let presence = deployment.observe("merchant-status").await;
        let pos = deployment.pos().await;
        let polls = Arc::new(Mutex::new(Polls::default()));
        let polling = tokio::spawn(poll_on(pos.clone(), deployment.merchants[..2].to_vec(), Arc::clone(&polls)));
        let row = Self { deployment, pos, polls, polling, presence, transitions: Mutex::default() };
        row.wait_for_status("ONLINE", &[0, 1]).await;
        row
    }

    fn merchant(&self, index: usize) -> String {
        self.deployment.merchants[index].clone()
    }

    /// Sends an order to the queue; its id.
    async fn send_order(&self, merchant: usize) -> String {
        let order = uuid::Uuid::new_v4().to_string();
        self.deployment.send(&[placed(&order, &self.merchant(merchant)).to_string()]).await;
        order
    }

    /// Sends an order and waits until it is polled; its id and that of its event.
    async fn place(&self, merchant: usize) -> (String, String) {
        let order = self.send_order(merchant).await;
        let event = self.event(&order, "PLC").await;
        (order, event)
    }

    /// Waits until an event is polled; its id.
    async fn event(&self, order: &str, code: &str) -> String {
        eventually(&format!("{code} of {order}"), HEALED_LIMIT, || self.pending(order, code)).await
    }

    /// The id of an event, if one poll shows it.
    async fn pending(&self, order: &str, code: &str) -> Option<String> {
        let all = self.pos.poll(&[]).await.expect("a poll is answered");
        let event = all.into_iter().find(|event| event["orderId"] == order && event["code"] == code)?;
        Some(event["id"].as_str().unwrap().to_owned())
    }

    async fn acknowledge(&self, event: &str) -> StatusCode {
        let body = Bytes::from(json!([{ "id": event }]).to_string());
        let path = "/events/v1.0/events/acknowledgment";
        let status = self.pos.call(Method::POST, path, &[], body).await.unwrap().status;
        if status == StatusCode::ACCEPTED {
            self.polls.lock().acknowledged.insert(event.to_owned());
        }
        status
    }

    /// Acknowledges with a 202 and sees that it is gone.
    async fn acknowledge_for_good(&self, order: &str, code: &str, event: &str) {
        assert_eq!(self.acknowledge(event).await, StatusCode::ACCEPTED);
        assert_eq!(self.pending(order, code).await, None, "{code} came back after its 202");
    }

    async fn act(&self, order: &str, action: &str) -> StatusCode {
        let path = format!("/order/v1.0/orders/{order}/{action}");
        let sent = Instant::now();
        let status = self.pos.call(Method::POST, &path, &[], Bytes::new()).await.unwrap().status;
        assert!(sent.elapsed() < ACTION_LIMIT, "{action} was answered {status} after {:?}", sent.elapsed());
        status
    }

    /// Details are served as they were sent.
    async fn details_are_served(&self, order: &str) {
        let answer =
            self.pos.call(Method::GET, &format!("/order/v1.0/orders/{order}"), &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "details of {order}: {}", answer.json());
        assert_eq!(answer.json()["newField"], json!({"kept": [1.10, 2]}));
    }

    /// A token that was given before is known, and a new one is given.
    async fn tokens_are_given(&self) {
        self.pos.clone().authenticate().await.expect("a token is given");
    }

    /// A merchant that never polled polls once.
    async fn newcomer_polls(&self) {
        self.pos.poll(&[self.merchant(2)]).await.expect("a poll is answered");
    }

    /// Waits until these merchants' latest published transition is to `status`.
    async fn wait_for_status(&self, status: &str, merchants: &[usize]) {
        eventually(&format!("{status} of {merchants:?}"), HEALED_LIMIT, async || {
            self.gather_transitions().await;
            let transitions = self.transitions.lock();
            let latest = |index: &usize| {
                transitions.iter().rev().find(|(merchant, _)| *merchant == self.merchant(*index)).cloned()
            };
            merchants.iter().all(|index| latest(index).is_some_and(|(_, now)| now == status)).then_some(())
        })
        .await;
    }

    async fn gather_transitions(&self) {
        for message in self.deployment.drain(&self.presence).await {
            let transition: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let text = |key: &str| transition[key].as_str().unwrap().to_owned();
            self.transitions.lock().push((text("merchantId"), text("status")));
        }
    }

    /// Lets terminals poll for two offline periods.
    async fn outlast_the_offline_period(&self) {
        let (since, before) = (Instant::now(), self.polls.lock().answered);
        eventually("polls for two offline periods", 4 * OFFLINE_AFTER + LIMIT, async || {
            let answered = self.polls.lock().answered - before;
            (since.elapsed() > 2 * OFFLINE_AFTER && answered >= 8).then_some(())
        })
        .await;
    }

    /// What holds after every row.
    async fn judge(self, name: &str) {
        for role in crate::deployment::ROLES {
            self.deployment.wait_until_ready(role).await;
        }
        self.gather_transitions().await;
        let polled = [self.merchant(0), self.merchant(1)];
        let offline = |(merchant, status): &&(String, String)| polled.contains(merchant) && status == "OFFLINE";
        assert_eq!(self.transitions.lock().iter().find(offline), None, "a merchant that polled was marked OFFLINE");
        assert_eq!(self.deployment.given_up().await, Vec::<String>::new());
        let polls = self.polls.lock();
        eprintln!("{name}: {} polls answered, the slowest in {:?}", polls.answered, polls.slowest);
        assert_eq!(polls.failures, Vec::<String>::new(), "a poll failed");
        assert_eq!(polls.came_back, Vec::<String>::new(), "came back after its 202");
        assert!(!polls.acknowledged.is_empty());
    }

    /// Polls answered by one side so far.
    async fn answered_by(&self, side: &str) -> f64 {
        let series = format!("comanda_kitchen_api_feed_polls_total{{answered_by=\"{side}\"}}");
        self.deployment.metric("kitchen-api", &series).await
    }

    /// Waits until polls are answered by this side.
    async fn wait_until_answered_by(&self, side: &str) {
        let before = self.answered_by(side).await;
        eventually(&format!("polls are answered by {side}"), HEALED_LIMIT, async || {
            (self.answered_by(side).await > before + 5.0).then_some(())
        })
        .await;
    }

    /// Waits until order-events has this many orders in its cache.
    async fn wait_until_cached(&self, orders: f64) {
        eventually("the order is cached", LIMIT, async || {
            let cached = self.deployment.metric("order-events", "comanda_order_events_cached_orders").await;
            (cached >= orders).then_some(())
        })
        .await;
    }
}

async fn poll_on(pos: KitchenClient, merchants: Vec<String>, polls: Arc<Mutex<Polls>>) {
    loop {
        let (asked, known) = (Instant::now(), polls.lock().acknowledged.clone());
        let answer = pos.poll(&merchants).await;
        polls.lock().note(answer, &known, asked.elapsed());
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn order_events_away(away: Away) {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    away.take(&row.deployment, "order-events");
    assert_eq!(row.pending(&order, "PLC").await, Some(event.clone()), "polls: the fallback, the same event");
    row.wait_until_answered_by("fallback").await;
    let raised = row.deployment.metric("kitchen-api", "comanda_kitchen_api_fence_raises_total").await;
    row.acknowledge_for_good(&order, "PLC", &event).await;
    let raises = row.deployment.metric("kitchen-api", "comanda_kitchen_api_fence_raises_total").await;
    assert!(raises > raised, "acks: fenced");
    row.details_are_served(&order).await;
    assert_eq!(row.act(&order, "confirm").await, StatusCode::ACCEPTED, "actions: yes");
    let confirmed = row.event(&order, "CFM").await;
    row.place(1).await;
    row.newcomer_polls().await;
    row.wait_for_status("ONLINE", &[2]).await;
    row.tokens_are_given().await;
    row.outlast_the_offline_period().await;

    away.give_back(&row.deployment, "order-events");
    assert_eq!(row.pending(&order, "PLC").await, None, "at no moment does what was acknowledged come back");
    row.wait_until_answered_by("primary").await;
    assert_eq!(row.pending(&order, "PLC").await, None, "what was acknowledged while fenced does not come back");
    assert_eq!(row.pending(&order, "CFM").await, Some(confirmed), "what was not is still there");
    row.judge(&format!("order-events {away:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_events_down() {
    order_events_away(Away::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_events_hung() {
    order_events_away(Away::Hung).await;
}

async fn merchant_connection_away(away: Away) {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    away.take(&row.deployment, "merchant-connection");
    row.acknowledge_for_good(&order, "PLC", &event).await;
    row.details_are_served(&order).await;
    assert_eq!(row.act(&order, "confirm").await, StatusCode::ACCEPTED, "actions: yes");
    row.event(&order, "CFM").await;
    row.place(0).await;
    row.place(3).await; // of a merchant that the core never asked about
    row.tokens_are_given().await;
    row.outlast_the_offline_period().await;
    row.newcomer_polls().await;

    away.give_back(&row.deployment, "merchant-connection");
    row.wait_for_status("ONLINE", &[2]).await; // its one beat was kept
    row.outlast_the_offline_period().await;
    row.judge(&format!("merchant-connection {away:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merchant_connection_down() {
    merchant_connection_away(Away::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merchant_connection_hung() {
    merchant_connection_away(Away::Hung).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sns_down() {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    row.deployment.proxy.set(AwsService::Sns, Mood::Refuses);
    row.acknowledge_for_good(&order, "PLC", &event).await;
    row.details_are_served(&order).await;
    assert_eq!(row.act(&order, "confirm").await, StatusCode::ACCEPTED, "actions: committed");
    assert_eq!(row.act(&order, "confirm").await, StatusCode::CONFLICT, "committed indeed");
    let waiting = row.send_order(1).await;
    row.newcomer_polls().await;
    row.tokens_are_given().await;
    row.outlast_the_offline_period().await;
    assert_eq!(row.pending(&order, "CFM").await, None, "not published yet");

    row.deployment.proxy.set(AwsService::Sns, Mood::Well);
    row.event(&order, "CFM").await;
    row.event(&waiting, "PLC").await;
    eventually("presence was decided and is published now", HEALED_LIMIT, async || {
        row.gather_transitions().await;
        let newcomer = (row.merchant(2), "ONLINE".to_owned());
        row.transitions.lock().contains(&newcomer).then_some(())
    })
    .await;
    row.judge("SNS down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_down() {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    row.deployment.proxy.set(AwsService::Sqs, Mood::Silent);
    row.acknowledge_for_good(&order, "PLC", &event).await;
    row.details_are_served(&order).await;
    assert_eq!(row.act(&order, "confirm").await, StatusCode::ACCEPTED, "actions: committed");
    let waiting = row.send_order(1).await;
    row.newcomer_polls().await;
    row.wait_for_status("ONLINE", &[2]).await;
    row.tokens_are_given().await;
    row.outlast_the_offline_period().await;
    assert_eq!(row.pending(&waiting, "PLC").await, None, "ingest waits");

    row.deployment.proxy.set(AwsService::Sqs, Mood::Well);
    row.event(&order, "CFM").await;
    row.event(&waiting, "PLC").await;
    row.judge("SQS down").await;
}

async fn core_away(away: Away) {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    row.wait_until_cached(1.0).await;
    away.take(&row.deployment, "gateway-core");
    assert_eq!(row.pending(&order, "PLC").await, Some(event.clone()), "polls: yes");
    row.acknowledge_for_good(&order, "PLC", &event).await;
    row.details_are_served(&order).await; // from the grid's cache
    assert_eq!(row.act(&order, "confirm").await, StatusCode::SERVICE_UNAVAILABLE, "actions: retry");
    let waiting = row.send_order(1).await;
    row.newcomer_polls().await;
    row.wait_for_status("ONLINE", &[2]).await;
    row.tokens_are_given().await;
    row.outlast_the_offline_period().await;
    assert_eq!(row.pending(&waiting, "PLC").await, None, "ingest waits");

    away.give_back(&row.deployment, "gateway-core");
    row.event(&waiting, "PLC").await;
    let retried = row.act(&order, "confirm").await;
    match away {
        Away::Killed => assert_eq!(retried, StatusCode::ACCEPTED, "the retry"),
        // What a hung core was asked it may carry out once it goes on: the answer was 503, which is unknown.
        Away::Hung => assert!([StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(&retried), "{retried}"),
    }
    row.event(&order, "CFM").await;
    row.judge(&format!("core {away:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_down() {
    core_away(Away::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_hung() {
    core_away(Away::Hung).await;
}

/// connection-polling is where an acknowledgment becomes true, so there is none without it; polls come from memory.
#[tokio::test(flavor = "multi_thread")]
async fn connection_polling_hung() {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    Away::Hung.take(&row.deployment, "connection-polling");
    row.wait_until_answered_by("primary_unfenced").await;
    assert_eq!(row.acknowledge(&event).await, StatusCode::SERVICE_UNAVAILABLE, "acks: retry");
    assert_eq!(row.pending(&order, "PLC").await, Some(event.clone()), "and it is still there");
    assert_eq!(row.act(&order, "confirm").await, StatusCode::ACCEPTED, "actions: yes");
    row.event(&order, "CFM").await;
    row.place(1).await;
    row.outlast_the_offline_period().await;

    Away::Hung.give_back(&row.deployment, "connection-polling");
    row.wait_until_answered_by("primary").await;
    eventually("the retry of the acknowledgment", HEALED_LIMIT, async || {
        (row.acknowledge(&event).await == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(row.pending(&order, "PLC").await, None, "it came back after its 202");
    row.judge("connection-polling Hung").await;
}

async fn dynamodb_down(mood: Mood) {
    let row = Row::start().await;
    let (order, event) = row.place(0).await;
    row.wait_until_cached(1.0).await;
    row.deployment.proxy.set(AwsService::DynamoDb, mood);
    row.wait_until_answered_by("primary_unfenced").await;
    assert_eq!(row.pending(&order, "PLC").await, Some(event.clone()), "polls: yes");
    assert_eq!(row.acknowledge(&event).await, StatusCode::SERVICE_UNAVAILABLE, "acks: retry");
    assert_eq!(row.pending(&order, "PLC").await, Some(event.clone()), "and it is still there");
    row.details_are_served(&order).await; // from the grid's cache
    assert_eq!(row.act(&order, "confirm").await, StatusCode::SERVICE_UNAVAILABLE, "actions: retry");
    let waiting = row.send_order(1).await;
    row.newcomer_polls().await; // with a known token, as all of these
    row.outlast_the_offline_period().await;
    assert_eq!(row.pending(&waiting, "PLC").await, None, "ingest waits");

    row.deployment.proxy.set(AwsService::DynamoDb, Mood::Well);
    row.event(&waiting, "PLC").await;
    row.wait_until_answered_by("primary").await;
    eventually("the retry of the acknowledgment", HEALED_LIMIT, async || {
        (row.acknowledge(&event).await == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(row.pending(&order, "PLC").await, None, "it came back after its 202");
    assert!([StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(&row.act(&order, "confirm").await), "the retry");
    row.event(&order, "CFM").await;
    row.newcomer_polls().await;
    row.wait_for_status("ONLINE", &[2]).await;
    row.outlast_the_offline_period().await;
    row.judge(&format!("DynamoDB down: {mood:?}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_down_and_refusing() {
    dynamodb_down(Mood::Refuses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_down_and_silent() {
    dynamodb_down(Mood::Silent).await;
}
