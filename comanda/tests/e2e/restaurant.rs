//! A restaurant of `comanda dev` and the internal apps around it: orders placed and moved on over the queue, actions over HTTP, events
//! as two POS applications poll and acknowledge them.
//!
//! Used by the tests of actions against the real core. Whatever a poll shows is acknowledged and kept, so that a test may ask for any
//! event at any time, and no poll grows.

use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::KitchenClient;
use comanda::platform::aws::AwsClients;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::first_order::{placed, send};
use crate::platform::{Dev, client, eventually};

/// Seen by `dev-pos` alone.
pub const OWN: &str = "00000000-0000-4000-8000-000000000001";
/// Seen by `dev-pos` and `dev-other`.
pub const SHARED: &str = "00000000-0000-4000-8000-000000000002";
const LIMIT: Duration = Duration::from_secs(30);

/// One application and every event that it was shown.
pub struct Application {
    client: KitchenClient,
    shown: Mutex<Vec<Value>>,
}

impl Application {
    fn new(client: KitchenClient) -> Self {
        Self { client, shown: Mutex::default() }
    }

    /// Polls once, and acknowledges what comes.
    async fn poll(&self) {
        let events = self.client.poll(&[]).await.unwrap();
        if events.is_empty() {
            return;
        }
        let ids: Vec<String> = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        self.client.acknowledge(&ids).await.unwrap();
        let mut shown = self.shown.lock();
        for event in events {
            // At least once: one may come twice.
            if !shown.iter().any(|known| known["id"] == event["id"]) {
                shown.push(event);
            }
        }
    }

    /// What it was shown of an order, in its order.
    fn of(&self, order: &str) -> Vec<Value> {
        let mut events: Vec<Value> =
            self.shown.lock().iter().filter(|event| event["orderId"] == order).cloned().collect();
        events.sort_by_key(|event| event["sequence"].as_u64());
        events
    }

    /// The events of `order`, once the last one with `code` is the `number`th of that code, from 1.
    pub async fn until_nth(&self, order: &str, code: &str, number: usize) -> Vec<Value> {
        eventually(&format!("{code} ({number}) of {order}"), LIMIT, async || {
            let events = self.of(order);
            if events.iter().filter(|event| event["code"] == code).count() >= number {
                return Some(events);
            }
            self.poll().await;
            None
        })
        .await
    }

    /// The event of `order` with `code`.
    pub async fn event(&self, order: &str, code: &str) -> Value {
        let events = self.until_nth(order, code, 1).await;
        events.into_iter().find(|event| event["code"] == code).unwrap()
    }

    /// The codes of an order's events, once `last` is among them and none before it is missing.
    pub async fn codes_until(&self, order: &str, last: &str) -> String {
        let events = eventually(&format!("everything up to {last} of {order}"), LIMIT, async || {
            let events = self.of(order);
            let is_whole = events.iter().zip(1_u64..).all(|(event, sequence)| event["sequence"] == sequence);
            if is_whole && events.iter().any(|event| event["code"] == last) {
                return Some(events);
            }
            self.poll().await;
            None
        })
        .await;
        codes(&events)
    }
}

/// The codes of events, in their order.
pub fn codes(events: &[Value]) -> String {
    events.iter().map(|event| event["code"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// The platform, its applications and the queue.
pub struct Restaurant {
    _dev: Dev,
    pub pos: Application,
    pub other: Application,
    aws: AwsClients,
}

impl Restaurant {
    pub async fn open() -> Self {
        let dev = Dev::start(&[], &[]);
        let other = client(&dev.process.address("http"), "dev-other", "dev-other-secret").await;
        let (pos, aws) = (dev.pos().await, dev.aws().await);
        Self { _dev: dev, pos: Application::new(pos), other: Application::new(other), aws }
    }

    /// Places an order for `merchant`, as `change` makes it, and waits until a POS is told; its id.
    pub async fn place(&self, merchant: &str, change: impl FnOnce(&mut Value)) -> String {
        let order = uuid::Uuid::new_v4().to_string();
        let mut message = placed(&order, merchant);
        change(&mut message["order"]);
        send(&self.aws, &message.to_string()).await;
        self.pos.event(&order, "PLC").await;
        order
    }

    /// The same, and the merchant has confirmed it.
    pub async fn confirmed(&self, merchant: &str, change: impl FnOnce(&mut Value)) -> String {
        let order = self.place(merchant, change).await;
        assert_eq!(self.act(&order, "confirm", "").await, (202, Value::Null));
        order
    }

    /// An internal app says that `code` has happened; `metadata` may be null.
    pub async fn report(&self, order: &str, code: &str, metadata: Value) {
        let mut message = json!({"id": uuid::Uuid::new_v4().to_string(), "type": code, "source": "e2e",
            "occurredAt": "2026-11-20T12:01:00Z", "orderId": order});
        if !metadata.is_null() {
            message["metadata"] = metadata;
        }
        send(&self.aws, &message.to_string()).await;
    }

    /// As [`Self::report`], and waits until it is told for the `number`th time, which is then the answer.
    pub async fn reported(&self, order: &str, code: &str, metadata: Value, number: usize) -> Value {
        self.report(order, code, metadata).await;
        let events = self.pos.until_nth(order, code, number).await;
        events.into_iter().filter(|event| event["code"] == code).nth(number - 1).unwrap()
    }

    /// Calls as `dev-pos`: the status, and the body as JSON, null when there is none.
    pub async fn call(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let answer = self.pos.client.call(method, path, &[], Bytes::copy_from_slice(body.as_bytes())).await.unwrap();
        (answer.status.as_u16(), answer.json())
    }

    /// `POST /order/v1.0/orders/{order}/{tail}`.
    pub async fn act(&self, order: &str, tail: &str, body: &str) -> (u16, Value) {
        self.call(Method::POST, &format!("/order/v1.0/orders/{order}/{tail}"), body).await
    }

    /// `GET /order/v1.0/orders/{order}/{tail}`.
    pub async fn read(&self, order: &str, tail: &str) -> (u16, Value) {
        self.call(Method::GET, &format!("/order/v1.0/orders/{order}/{tail}"), "").await
    }

    /// That `tail` is refused because of where the order stands, which the answer says.
    pub async fn refuses(&self, order: &str, tail: &str, state: &str) {
        let (status, body) = self.act(order, tail, "").await;
        assert_eq!((status, &body["error"]["code"]), (409, &json!("Conflict")), "{tail} in {state}: {body}");
        assert_eq!(body["error"]["details"][0]["state"], state, "{tail}: {body}");
    }
}

/// Makes an order one that is fetched at the counter.
pub fn takeout(order: &mut Value) {
    order.as_object_mut().unwrap().remove("delivery");
    order["orderType"] = json!("TAKEOUT");
    order["takeout"] = json!({"mode": "DEFAULT", "takeoutDateTime": "2026-11-20T12:45:00.000Z"});
}

/// Gives an order both codes of a delivery.
pub fn coded(order: &mut Value) {
    order["delivery"]["pickupCode"] = json!("1234");
    order["delivery"]["dropCode"] = json!("9876");
}
