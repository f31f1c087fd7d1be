//! Planted canaries: nothing personal and no secret leaves the places made for it.
//!
//! Orders in all three formats carry a canary wherever something personal stands, good ones and broken ones, through
//! outages too, with our crates logging at debug. The canaries must be in the order's details and in the bodies of dead
//! letters (else nothing was proved), and in no log, metric, error answer, dead-letter attribute or topic.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Plan, ROLES, flags};
use crate::first_order::placed;
use crate::platform::eventually;
use crate::proxy::{AwsService, Mood};

const LIMIT: Duration = Duration::from_secs(60);
/// What every canary holds: found wherever one of them is, whatever became of the rest.
const MARK: &str = "kanarie";
/// The Open Delivery id of a merchant.
const OPEN_DELIVERY_ID: &str = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824";

/// A canary for `place`, e.g. `customer.name`.
fn canary(place: &str) -> String {
    format!("{MARK}-{}", place.replace('.', "-"))
}

/// What was planted where, as the served details spell it. The customer's code is planted too, and served to nobody.
const PERSONAL: [&str; 17] = [
    "customer.name",
    "customer.document",
    "customer.phone",
    "customer.localizer",
    "address.street",
    "address.number",
    "address.formatted",
    "address.neighborhood",
    "address.complement",
    "address.reference",
    "address.postal",
    "address.city",
    "delivery.observations",
    "delivery.pickup",
    "item.observations",
    "option.observations",
    "order.observations",
];

fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A native message that places an order full of canaries.
fn native(order: &str, merchant: &str) -> Value {
    let mut message = placed(order, merchant);
    let body = &mut message["order"];
    body["observations"] = json!(canary("order.observations"));
    body["customer"] = json!({"id": "c", "name": canary("customer.name"), "documentNumber": canary("customer.document"),
        "phone": {"number": canary("customer.phone"), "localizer": canary("customer.localizer")}});
    body["items"][0]["observations"] = json!(canary("item.observations"));
    body["items"][0]["options"] = json!([{"id": "o", "name": "Borda", "quantity": 1, "unitPrice": 5.0, "price": 5.0,
        "observations": canary("option.observations")}]);
    let delivery = &mut body["delivery"];
    delivery["deliveredBy"] = json!("IFOOD");
    delivery["observations"] = json!(canary("delivery.observations"));
    delivery["pickupCode"] = json!(canary("delivery.pickup"));
    delivery["dropCode"] = json!(canary("delivery.drop"));
    delivery["deliveryAddress"] = json!({"streetName": canary("address.street"), "streetNumber": canary("address.number"),
        "formattedAddress": canary("address.formatted"), "neighborhood": canary("address.neighborhood"),
        "complement": canary("address.complement"), "reference": canary("address.reference"),
        "postalCode": canary("address.postal"), "city": canary("address.city"), "state": "SP", "country": "BR"});
    message
}

fn cloud_event(order: &str, merchant: &str) -> Value {
    json!({"specversion": "1.0", "id": format!("ce-{order}"), "source": "/e2e", "type": "comanda.order.placed.v1",
        "time": "2026-11-20T12:00:00Z", "data": {"order": native(order, merchant)["order"]}})
}

fn open_delivery(order: &str) -> Value {
    let price = |value: f64| json!({"value": value, "currency": "BRL"});
    json!({"id": order, "type": "DELIVERY", "displayId": "4821", "createdAt": "2026-11-20T12:00:00Z", "orderTiming": "INSTANT",
        "preparationStartDateTime": "2026-11-20T12:00:00Z", "merchant": {"id": OPEN_DELIVERY_ID, "name": "Plaza"},
        "observations": canary("order.observations"),
        "items": [{"id": "a", "name": "Pizza", "unit": "UN", "externalCode": "P", "quantity": 1,
            "specialInstructions": canary("item.observations"), "unitPrice": price(30.0), "optionsPrice": price(5.0), "totalPrice": price(35.0),
            "options": [{"id": "d", "name": "Borda", "unitPrice": price(5.0), "totalPrice": price(5.0),
                "specialInstructions": canary("option.observations")}]}],
        "total": {"itemsPrice": price(35.0), "otherFees": price(0.0), "discount": price(0.0), "orderAmount": price(35.0)},
        "payments": {"prepaid": 0, "pending": 35.0, "methods": [{"value": 35.0, "currency": "BRL", "type": "PENDING", "method": "CASH"}]},
        "customer": {"id": "c", "name": canary("customer.name"), "documentNumber": canary("customer.document"),
            "phone": {"number": canary("customer.phone"), "extension": canary("customer.localizer")}},
        "delivery": {"deliveredBy": "MARKETPLACE", "estimatedDeliveryDateTime": "2026-11-20T12:45:00Z",
            "observations": canary("delivery.observations"), "pickupCode": canary("delivery.pickup"), "dropCode": canary("delivery.drop"),
            "deliveryAddress": {"street": canary("address.street"), "number": canary("address.number"),
                "formattedAddress": canary("address.formatted"), "district": canary("address.neighborhood"),
                "complement": canary("address.complement"), "reference": canary("address.reference"),
                "postalCode": canary("address.postal"), "city": canary("address.city"), "state": "SP", "country": "BR"}}})
}

fn update(order: &str, code: &str) -> Value {
    let mut metadata = json!({"observations": canary("metadata.observations"), "customer": {"name": canary("metadata.customer")},
        "newAddress": {"streetName": canary("metadata.address")}, "deliveryAddress": {"city": canary("metadata.city")},
        "pickupCode": canary("metadata.pickup"), "dropCode": canary("metadata.drop"),
        "phone": canary("metadata.phone"), "documentNumber": canary("metadata.document"), "evidences": [{"content": canary("metadata.evidence")}],
        "kept": "an-honest-value"});
    if code.contains("CODE") {
        // Elsewhere a field of this name is no secret: a reason's code, for example.
        metadata["code"] = json!(canary("metadata.code"));
    }
    json!({"id": format!("{code}-{order}"), "type": code, "source": "e2e", "occurredAt": "2026-11-20T12:01:00Z",
        "orderId": order, "metadata": metadata})
}

/// A photo as it is sent: the first bytes of a PNG, then canaries that are base64 themselves.
const PHOTO: &str = "iVBORw0KGgoAkanariekanarieAA";
/// How long it is when it is served.
const PHOTO_BYTES: usize = PHOTO.len() / 4 * 3;

/// A dispute that comes with a photo.
fn dispute(order: &str) -> Value {
    let mut message = update(order, "HANDSHAKE_DISPUTE");
    let metadata = &mut message["metadata"];
    metadata["disputeId"] = json!(uuid());
    metadata["expiresAt"] = json!("2099-01-01T00:00:00Z");
    metadata["timeoutAction"] = json!("VOID");
    metadata["metadata"] = json!({"evidences": [{"contentType": "image/png", "content": PHOTO}]});
    message
}

/// Messages that no later state makes valid, each full of canaries, in all three formats.
fn broken(merchant: &str) -> Vec<String> {
    let mut all = Vec::new();
    for good in [native(&uuid(), merchant), cloud_event(&uuid(), merchant), open_delivery(&uuid())] {
        let text = good.to_string();
        all.push(text[..text.len() - 20].to_owned());
        all.push(format!("{text}{}", canary("trailing")));
        let order = match (good.get("order"), good.get("data")) {
            (Some(_), _) => "/order",
            (_, Some(_)) => "/data/order",
            _ => "",
        };
        // A canary where something else belongs: errors name the place, never what stood there.
        for (place, wrong) in [
            ("id", json!(canary("wrong.id"))),
            ("displayId", Value::Null),
            ("createdAt", json!(canary("wrong.instant"))),
            ("items", json!(canary("wrong.items"))),
            ("total", json!({"orderAmount": canary("wrong.amount")})),
            ("merchant", json!({"id": [canary("wrong.merchant")]})),
        ] {
            let mut bad = good.clone();
            bad.pointer_mut(order).unwrap()[place] = wrong;
            all.push(bad.to_string());
        }
    }
    let mut unknown_type = native(&uuid(), merchant);
    unknown_type["type"] = json!(canary("wrong.type"));
    all.push(unknown_type.to_string());
    let mut no_metadata = update(&uuid(), "CONFIRMED");
    no_metadata["metadata"] = json!(canary("wrong.metadata"));
    all.push(no_metadata.to_string());
    all.push(format!("{}{}", "[".repeat(200), canary("deep")));
    all.push(canary("text"));
    all
}

/// Where canaries must not be, by name.
#[derive(Default)]
struct Searched {
    places: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Searched {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.places.push((place.to_owned(), text.into()));
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.places {
            for line in text.lines() {
                let shows_secret = self.secrets.iter().any(|secret| line.contains(secret.as_str()));
                if line.to_lowercase().contains(MARK) || shows_secret {
                    found.push(format!("{place}: {}", line.chars().take(400).collect::<String>()));
                }
            }
        }
        found
    }
}

/// Everything in a message that a subscriber or an operator sees.
fn whole(message: &aws_sdk_sqs::types::Message) -> String {
    format!("{} {}", message.body().unwrap_or_default(), attributes(message))
}

fn attributes(message: &aws_sdk_sqs::types::Message) -> String {
    let all = message.message_attributes().into_iter().flatten();
    all.map(|(name, value)| format!("{name}={} ", value.string_value().unwrap_or_default())).collect()
}

/// Places the good orders and moves them on; gives their ids.
async fn serve_good_orders(deployment: &Deployment, searched: &mut Searched) -> Vec<String> {
    let merchant = &deployment.merchants[0];
    let orders = [uuid(), uuid(), uuid()];
    let messages = [native(&orders[0], merchant), cloud_event(&orders[1], merchant), open_delivery(&orders[2])];
    deployment.send(&messages.map(|message| message.to_string())).await;
    let pos = deployment.pos().await;
    for order in &orders {
        wait_for_event(deployment, order, "PLC").await;
        pos.act(order, "confirm").await.unwrap();
        let codes = ["DELIVERY_DROP_CODE_REQUESTED", "DELIVERY_ADDRESS_CHANGE_REQUESTED", "ORDER_PATCHED"];
        deployment.send(&codes.map(|code| update(order, code).to_string())).await;
        wait_for_event(deployment, order, "OPA").await;
        deployment.send(&[dispute(order).to_string()]).await;
        let disputed = wait_for_event(deployment, order, "HSD").await;
        let photo = disputed["metadata"]["metadata"]["evidences"][0]["url"].as_str().expect("a link").to_owned();
        let photo = pos.call(Method::GET, &photo, &[], Bytes::new()).await.unwrap();
        assert_eq!(
            (photo.status, photo.body.len()),
            (StatusCode::OK, PHOTO_BYTES),
            "the photo is where its link leads"
        );
        assert!(photo.body.starts_with(b"\x89PNG\r\n\x1A\n"));
        let body = json!({"reason": canary("reason"), "cancellationCode": "501", "observations": canary("reason.observations")});
        let path = format!("/order/v1.0/orders/{order}/requestCancellation");
        let answer = pos.call(Method::POST, &path, &[], Bytes::from(body.to_string())).await.unwrap();
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json());
        wait_for_event(deployment, order, "CAN").await;
        let path = format!("/order/v1.0/orders/{order}/confirm");
        let late = pos.call(Method::POST, &path, &[], Bytes::from(body.to_string())).await.unwrap();
        assert_eq!(late.status, StatusCode::CONFLICT);
        searched.add("the answer to a conflict", String::from_utf8(late.body.to_vec()).unwrap());
    }
    for event in pos.poll(&[]).await.unwrap() {
        searched.add("a polled event", event.to_string());
    }
    orders.to_vec()
}

async fn wait_for_event(deployment: &Deployment, order: &str, code: &str) -> Value {
    let pos = deployment.pos().await;
    eventually(&format!("{code} of {order}"), LIMIT, async || {
        let events = pos.poll(&[]).await.unwrap_or_default();
        events.into_iter().find(|event| event["orderId"] == order && event["code"] == code)
    })
    .await
}

/// Requests that are refused, with canaries and secrets in them.
async fn provoke_errors(deployment: &Deployment, searched: &mut Searched) {
    let (pos, nobody) = (deployment.pos().await, deployment.anonymous());
    let acknowledgment = "/events/v1.0/events/acknowledgment";
    let cancellation = format!("/order/v1.0/orders/{}/requestCancellation", uuid());
    let form = format!("grantType=client_credentials&clientId={MARK}&clientSecret={}", canary("secret"));
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let bearer = format!("Bearer {}", canary("token"));
    let answers = [
        pos.call(Method::POST, acknowledgment, &[], Bytes::from(format!("[{{\"id\":{}", canary("body")))).await,
        pos.call(Method::POST, &cancellation, &[], Bytes::from(format!("{{\"reason\":\"{}\"", canary("body")))).await,
        pos.call(Method::POST, &cancellation, &[], Bytes::from(json!({"reason": canary("body")}).to_string())).await,
        nobody.call(Method::POST, "/authentication/v1.0/oauth/token", &form_type, Bytes::from(form)).await,
        nobody.call(Method::GET, "/events/v1.0/events:polling", &[("authorization", &bearer)], Bytes::new()).await,
    ];
    for answer in answers.map(Result::unwrap) {
        assert!(answer.status.is_client_error(), "{} {:?}", answer.status, answer.body);
        searched.add("an error answer", String::from_utf8(answer.body.to_vec()).unwrap());
    }
}

/// Orders and actions while DynamoDB and SNS refuse: errors of dependencies are the ones that like to quote.
async fn serve_through_outages(deployment: &Deployment, searched: &mut Searched) {
    let pos = deployment.pos().await;
    for service in [AwsService::Sns, AwsService::DynamoDb] {
        deployment.proxy.set(service, Mood::Refuses);
        let order = uuid();
        deployment.send(&[native(&order, &deployment.merchants[0]).to_string()]).await;
        let paused = || deployment.metric("gateway-agent", "comanda_gateway_agent_intake_paused");
        let lag = || deployment.metric("gateway-core", "comanda_gateway_core_relay_lag_seconds");
        eventually("the outage is felt", LIMIT, async || (paused().await > 0.0 || lag().await > 0.0).then_some(()))
            .await;
        let answer = pos.call(Method::GET, &format!("/order/v1.0/orders/{}", uuid()), &[], Bytes::new()).await.unwrap();
        searched.add("an answer in an outage", String::from_utf8(answer.body.to_vec()).unwrap());
        deployment.proxy.set(service, Mood::Well);
        wait_for_event(deployment, &order, "PLC").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_and_no_secret_gets_out() {
    let deployment =
        Deployment::start(&Plan { log: "debug", flags: flags(&[("sweep-interval", "200ms")]), ..Plan::default() })
            .await;
    let open_delivery_merchant = uuid();
    deployment.typed(&[
        "merchant",
        "add",
        &open_delivery_merchant,
        "--name",
        "Plaza",
        "--open-delivery-id",
        OPEN_DELIVERY_ID,
    ]);
    deployment.typed(&["app", "grant", crate::deployment::CLIENT_ID, &open_delivery_merchant]);
    let topics = [deployment.observe("order-events").await, deployment.observe("merchant-status").await];
    let pos = deployment.pos().await;
    let mut searched = Searched { secrets: deployment.secrets(), ..Searched::default() };
    // A PEM is several lines; the one that matters is the key itself.
    let lines = searched.secrets.iter().flat_map(|secret| secret.lines()).filter(|line| !line.starts_with("-----"));
    searched.secrets = lines.map(str::to_owned).collect();
    searched.secrets.extend([deployment.client_secret.clone(), pos.token()]);

    let orders = serve_good_orders(&deployment, &mut searched).await;
    let merchant = &deployment.merchants[0];
    let reused = [native(&orders[0], merchant), update(&orders[1], "DISPATCHED"), cloud_event(&orders[0], merchant)];
    let mut hopeless = broken(merchant);
    hopeless.extend(reused.into_iter().map(|mut message| {
        // Another body under the same id; an update that is illegal now; another id for an order that exists.
        let body = if message.get("order").is_some() { "/order" } else { "/data/order" };
        if let Some(body) = message.pointer_mut(body) {
            body["displayId"] = json!("4822");
        }
        message.to_string()
    }));
    for message in &hopeless {
        deployment.send(std::slice::from_ref(message)).await;
    }
    let oversized =
        json!({"id": "big", "type": "ORDER_PLACED", "source": "e2e", "customer": canary("big").repeat(20_000)})
            .to_string();
    deployment.send(&[oversized]).await;
    provoke_errors(&deployment, &mut searched).await;
    serve_through_outages(&deployment, &mut searched).await;

    // They did arrive.
    for order in &orders {
        let details = pos.call(Method::GET, &format!("/order/v1.0/orders/{order}"), &[], Bytes::new()).await.unwrap();
        let text = String::from_utf8(details.body.to_vec()).unwrap();
        let missing: Vec<_> = PERSONAL.iter().filter(|place| !text.contains(&canary(place))).collect();
        assert!(details.status == StatusCode::OK && missing.is_empty(), "details of {order} lack {missing:?}: {text}");
        assert!(!text.contains(&canary("delivery.drop")), "details of {order} show the customer's code");
    }
    let gathered = tokio::sync::Mutex::new(Vec::new());
    eventually("every hopeless message is dead", LIMIT, async || {
        let mut letters = gathered.lock().await;
        letters.extend(deployment.dead_letters("orders").await);
        (letters.len() > hopeless.len()).then_some(())
    })
    .await;
    let letters = gathered.into_inner();
    let reasons: std::collections::BTreeSet<String> = letters
        .iter()
        .map(|letter| letter.message_attributes().unwrap()["reason"].string_value().unwrap().to_owned())
        .collect();
    for reason in ["MALFORMED", "TOO_LARGE", "UNKNOWN_TYPE", "ILLEGAL_TRANSITION", "ID_REUSED", "ORDER_EXISTS"] {
        assert!(reasons.contains(reason), "no dead letter says {reason}: {reasons:?}");
    }
    let unmarked: Vec<_> = letters.iter().filter(|letter| !letter.body().unwrap().contains(MARK)).collect();
    assert!(unmarked.is_empty(), "a dead letter's body is as it was sent: {unmarked:?}");

    // And they are nowhere else.
    letters.iter().for_each(|letter| searched.add("the attributes of a dead letter", attributes(letter)));
    for (topic, least) in topics.iter().zip([15, 1]) {
        let messages = deployment.drain(topic).await;
        assert!(messages.len() >= least, "only {} messages on {topic}", messages.len());
        messages.iter().for_each(|message| searched.add(&format!("a message on {topic}"), whole(message)));
    }
    for role in ROLES {
        let metrics = deployment.metrics(role).await;
        assert!(metrics.contains("comanda_"), "{role} has metrics");
        searched.add(&format!("the metrics of {role}"), metrics);
        deployment.stop(role);
    }
    let logs = deployment.logs();
    assert!(logs.contains("\"level\":\"DEBUG\""), "our crates log at debug");
    for trace in ["message accepted", "message dead-lettered", "event served for the first time"] {
        assert!(logs.contains(trace), "the logs hold {trace:?}");
    }
    searched.add("the logs", logs);
    let found = searched.found();
    assert!(
        found.is_empty(),
        "{} canaries got out:\n{}",
        found.len(),
        found.iter().take(30).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn the_search_finds_canaries_and_secrets() {
    let mut searched = Searched { secrets: vec!["s3cret".to_owned()], ..Searched::default() };
    searched.add("a log", "all is well\nnothing here");
    assert_eq!(searched.found(), Vec::<String>::new());
    searched.add("a log", "fine\nname: KANARIE-customer-name");
    searched.add("an answer", "wrong secret s3cret");
    assert_eq!(searched.found().len(), 2);
}
