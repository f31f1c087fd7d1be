//! One order from the queue to the POS and back, as a user would try it.

use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::KitchenClient;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::platform::{Dev, client, eventually};

const MERCHANT: &str = "00000000-0000-4000-8000-000000000001";
const SECOND_MERCHANT: &str = "00000000-0000-4000-8000-000000000002";
const LIMIT: Duration = Duration::from_secs(20);

/// A native message that places `order`.
pub fn placed(order: &str, merchant: &str) -> Value {
    json!({"id": format!("place-{order}"), "type": "ORDER_PLACED", "source": "e2e", "occurredAt": "2026-11-20T12:00:00Z", "order": {
        "id": order, "displayId": "4821", "orderType": "DELIVERY", "orderTiming": "IMMEDIATE", "salesChannel": "IFOOD", "category": "FOOD",
        "createdAt": "2026-11-20T12:00:00.000Z", "merchant": {"id": merchant, "name": "Cantina"},
        "customer": {"id": "c", "name": "Ana"}, "newField": {"kept": [1.10, 2]},
        "items": [{"index": 1, "id": "i", "name": "Pizza", "unit": "UN", "quantity": 2, "unitPrice": 30.0, "totalPrice": 65.0}],
        "total": {"subTotal": 65.0, "deliveryFee": 7, "additionalFees": 0, "benefits": 0, "orderAmount": 72.0},
        "payments": {"prepaid": 0, "pending": 72.0, "methods": [{"value": 72.0, "currency": "BRL", "method": "NEW_METHOD", "type": "OFFLINE"}]},
        "delivery": {"mode": "DEFAULT", "deliveredBy": "MERCHANT", "deliveryDateTime": "2026-11-20T12:45:00.000Z",
            "deliveryAddress": {"streetName": "Rua A", "streetNumber": "1", "city": "Sao Paulo", "state": "SP", "country": "BR"}}
    }})
}

/// Sends one message to the queue with the AWS SDK.
pub async fn send(aws: &comanda::platform::aws::AwsClients, message: &str) {
    let queue = aws.sqs.get_queue_url().queue_name("orders").send().await.unwrap();
    aws.sqs.send_message().queue_url(queue.queue_url().unwrap()).message_body(message).send().await.unwrap();
}

/// Polls until an event of `order` with `code` shows.
async fn event_of(pos: &KitchenClient, order: &str, code: &str) -> Value {
    let merchants = [MERCHANT.to_owned()];
    eventually(&format!("{code} of {order}"), LIMIT, async || {
        let events = pos.poll(&merchants).await.unwrap();
        events.into_iter().find(|event| event["orderId"] == order && event["code"] == code)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_served_from_the_queue_to_its_conclusion() {
    let mut dev = Dev::start(&[], &[]);
    let (pos, aws) = (dev.pos().await, dev.aws().await);
    let order = uuid::Uuid::new_v4().to_string();
    assert_eq!(pos.poll(&[]).await.unwrap(), Vec::<Value>::new(), "nothing is pending at first");

    // Written by hand where a JSON library would write 1.1: decimals are text on their way through the platform.
    send(&aws, &placed(&order, MERCHANT).to_string().replace("[1.1,2]", "[1.10,2]")).await;
    let event = event_of(&pos, &order, "PLC").await;
    assert_eq!(
        (&event["fullCode"], &event["merchantId"], &event["sequence"]),
        (&json!("PLACED"), &json!(MERCHANT), &json!(1))
    );

    // The body is served as it was sent: unknown fields and enum values kept, decimals unchanged to the letter.
    let details = pos.call(Method::GET, &format!("/order/v1.0/orders/{order}"), &[], Bytes::new()).await.unwrap();
    let text = String::from_utf8(details.body.to_vec()).unwrap();
    assert!(
        text.contains("\"kept\":[1.10,2]") && text.contains("NEW_METHOD") && text.contains("\"orderAmount\":72.0"),
        "{text}"
    );

    // Acting before confirming is a conflict that says what would be legal.
    let early =
        pos.call(Method::POST, &format!("/order/v1.0/orders/{order}/dispatch"), &[], Bytes::new()).await.unwrap();
    assert_eq!(early.status, StatusCode::CONFLICT, "{:?}", early.json());

    for (action, code) in
        [("confirm", "CFM"), ("startPreparation", "PRS"), ("readyToPickup", "RTP"), ("dispatch", "DSP")]
    {
        pos.act(&order, action).await.unwrap();
        event_of(&pos, &order, code).await;
    }
    send(&aws, &json!({"id": format!("con-{order}"), "type": "CONCLUDED", "source": "e2e", "occurredAt": "2026-11-20T13:00:00Z", "orderId": order}).to_string()).await;
    event_of(&pos, &order, "CON").await;

    let pending = pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
    let ids: Vec<String> = pending.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 6);
    pos.acknowledge(&ids).await.unwrap();
    assert_eq!(pos.poll(&[MERCHANT.to_owned()]).await.unwrap(), Vec::<Value>::new(), "nothing comes back");
    assert_eq!(dev.process.interrupt(), Some(0), "Ctrl-C drains and exits 0\n{}", dev.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_application_sees_its_own_merchants_only() {
    let dev = Dev::start(&[], &[]);
    let (pos, aws) = (dev.pos().await, dev.aws().await);
    let other = client(&dev.process.address("http"), "dev-other", "dev-other-secret").await;
    let order = uuid::Uuid::new_v4().to_string();
    send(&aws, &placed(&order, SECOND_MERCHANT).to_string()).await;
    for client in [&pos, &other] {
        eventually("the event", LIMIT, async || client.poll(&[SECOND_MERCHANT.to_owned()]).await.unwrap().pop()).await;
    }
    // An acknowledgment is the application's own.
    let event = pos.poll(&[SECOND_MERCHANT.to_owned()]).await.unwrap().remove(0);
    pos.acknowledge(&[event["id"].as_str().unwrap().to_owned()]).await.unwrap();
    assert_eq!(pos.poll(&[SECOND_MERCHANT.to_owned()]).await.unwrap().len(), 0);
    assert_eq!(other.poll(&[SECOND_MERCHANT.to_owned()]).await.unwrap().len(), 1);

    let header = [("x-polling-merchants", MERCHANT)];
    let foreign = other.call(Method::GET, "/events/v1.0/events:polling", &header, Bytes::new()).await.unwrap();
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert_eq!(foreign.json()["unauthorizedMerchants"], json!([MERCHANT]));
    let mine = uuid::Uuid::new_v4().to_string();
    send(&aws, &placed(&mine, MERCHANT).to_string()).await;
    event_of(&pos, &mine, "PLC").await;
    let unknown = uuid::Uuid::new_v4();
    for order in [mine, unknown.to_string()] {
        let answer = other.call(Method::GET, &format!("/order/v1.0/orders/{order}"), &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "foreign and unknown answer alike");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_hopeless_messages_do_what_the_contract_says() {
    let dev = Dev::start(&[], &[]);
    let (pos, aws) = (dev.pos().await, dev.aws().await);
    let order = uuid::Uuid::new_v4().to_string();
    let message = placed(&order, MERCHANT).to_string();
    for body in [&message, &message, "{not json", &message] {
        send(&aws, body).await;
    }
    let event = event_of(&pos, &order, "PLC").await;
    let queue = aws.sqs.get_queue_url().queue_name("orders-dlq").send().await.unwrap();
    let dead = eventually("the dead letter", LIMIT, async || {
        let received = aws
            .sqs
            .receive_message()
            .queue_url(queue.queue_url().unwrap())
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        received.messages().first().cloned()
    })
    .await;
    assert_eq!(dead.body(), Some("{not json"));
    let reason = dead.message_attributes().unwrap()["reason"].string_value();
    assert_eq!(reason, Some("MALFORMED"));
    let again = pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
    assert_eq!(again, [event], "three copies of one message made one event");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_order_is_cancelled_after_the_deadline() {
    let dev = Dev::start(&["--confirm-deadline", "1s"], &[]);
    let (pos, aws) = (dev.pos().await, dev.aws().await);
    let order = uuid::Uuid::new_v4().to_string();
    send(&aws, &placed(&order, MERCHANT).to_string()).await;
    let cancelled = event_of(&pos, &order, "CAN").await;
    let expected = json!({"CANCEL_STAGE": "PLACED", "CANCEL_REASON": "Pedido não confirmado no prazo", "CANCEL_ORIGIN": "PLATFORM",
        "TIMEOUT_EVENT": true});
    assert_eq!(cancelled["metadata"], expected);
    let late = pos.call(Method::POST, &format!("/order/v1.0/orders/{order}/confirm"), &[], Bytes::new()).await.unwrap();
    assert_eq!(late.status, StatusCode::CONFLICT, "a cancelled order can never be confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_is_online_while_it_polls_and_offline_when_it_stops() {
    let dev = Dev::start(&["--offline-after", "1s", "--sweep-interval", "100ms"], &[]);
    let pos = dev.pos().await;
    let path = format!("/merchant/v1.0/merchants/{MERCHANT}/status");
    let is_connected = |answer: &Value| {
        let validations = answer[0]["validations"].as_array().cloned().unwrap_or_default();
        validations.iter().any(|validation| validation["id"] == "is-connected" && validation["state"] == "OK")
    };
    eventually("ONLINE", LIMIT, async || {
        pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
        let answer = pos.call(Method::GET, &path, &[], Bytes::new()).await.unwrap();
        is_connected(&answer.json()).then_some(())
    })
    .await;
    eventually("OFFLINE", LIMIT, async || {
        let answer = pos.call(Method::GET, &path, &[], Bytes::new()).await.unwrap();
        (answer.status == StatusCode::OK && !is_connected(&answer.json())).then_some(())
    })
    .await;
}
