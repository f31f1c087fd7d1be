//! The OpenAPI document and what is served are one.

use serde_json::{Value, json};

use crate::rig::{Rig, merchant};

/// One for each dialect, one for what is ours alone.
const DOCUMENTS: [&str; 3] = ["/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"];

#[tokio::test]
async fn every_documented_operation_is_served_and_every_other_method_is_not() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let documents = futures::future::join_all(DOCUMENTS.map(|path| pos.get(path))).await;
    let documents: Vec<Value> = documents.iter().map(|answer| answer.json()).collect();
    for (path, item) in documents.iter().flat_map(|document| document["paths"].as_object().unwrap()) {
        let concrete = path.replace("{id}", "00000000-0000-4000-8000-000000000001").replace("{operation}", "delivery");
        let concrete = concrete.replace("{interruptionId}", "none").replace("{file}", "page.js");
        let concrete = concrete.replace("{interruptionId}", "none").replace("{eventId}", "none");
        let concrete = concrete.replace("{orderId}", "00000000-0000-4000-8000-000000000009");
        let concrete = concrete.replace("{disputeId}", "none").replace("{alternativeId}", "none");
        let concrete = concrete.replace("{evidenceId}", "none");
        let catalog = ["{catalogId}", "{categoryId}", "{itemId}", "{productId}", "{batchId}"];
        let concrete = concrete.replace("{merchantId}", "00000000-0000-4000-8000-000000000001");
        let concrete = catalog.iter().fold(concrete, |path, name| path.replace(name, "none"));
        for method in ["get", "post", "put", "delete", "patch"] {
            let answered = pos.status_of(&method.to_uppercase(), &concrete).await;
            let documented = item.get(method).is_some();
            assert_eq!(answered != 405, documented, "{method} {path}: {answered}");
            if let Some(operation) = item.get(method) {
                let status = answered.as_u16().to_string();
                assert!(operation["responses"].get(&status).is_some(), "{method} {path} answered {status}");
                assert_eq!(operation.get("security").is_some(), needs_token(&rig, method, &concrete).await, "{path}");
            }
        }
    }
}

async fn needs_token(rig: &Rig, method: &str, path: &str) -> bool {
    let answer = rig.client.send(&method.to_uppercase(), path, &[], "").await;
    // The Open Delivery document knows no other status for a form that cannot be read.
    answer.status == 401 && path != "/oauth/token"
}

/// The list of what is served, kept by hand: a route that comes or goes must be meant.
#[tokio::test]
async fn the_served_paths_are_these() {
    let rig = Rig::start().await;
    let mut served: Vec<String> = Vec::new();
    for path in DOCUMENTS {
        let document = rig.client.get(path).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            served.extend(item.as_object().unwrap().keys().filter(|key| item[*key].is_object()).map(|method| {
                assert!(matches!(item[method]["operationId"], Value::String(_)));
                format!("{method} {path}")
            }));
        }
    }
    served.sort();
    let mut expected = vec![
        "get /events/v1.0/events:polling",
        "get /order/v1.0/events:polling",
        "get /comanda/v1/events/stream",
        "get /comanda/v1/events/unacknowledged",
        "post /events/v1.0/events/acknowledgment",
        "post /order/v1.0/events/acknowledgment",
        "post /authentication/v1.0/oauth/token",
        "post /authentication/v1.0/oauth/userCode",
        "get /activate",
        "post /activate",
        "get /order/v1.0/orders/{id}",
        "post /order/v1.0/orders/{id}/confirm",
        "post /order/v1.0/orders/{id}/startPreparation",
        "post /order/v1.0/orders/{id}/readyToPickup",
        "post /order/v1.0/orders/{id}/dispatch",
        "get /order/v1.0/orders/{id}/cancellationReasons",
        "post /order/v1.0/orders/{id}/requestCancellation",
        "post /order/v1.0/orders/{id}/acceptCancellation",
        "post /order/v1.0/orders/{id}/denyCancellation",
        "post /order/v1.0/orders/{id}/validatePickupCode",
        "post /order/v1.0/orders/{id}/verifyDeliveryCode",
        "get /order/v1.0/orders/{id}/tracking",
        "get /order/v1.0/orders/{id}/virtual-bag",
        "post /order/v1.0/orders/{id}/requestDriver",
        "post /order/v1.0/orders/{id}/cancelRequestDriver",
        "post /shipping/v1.0/orders/{id}/requestDriver",
        "post /shipping/v1.0/orders/{id}/cancelRequestDriver",
        "post /shipping/v1.0/orders/{id}/cancel",
        "post /shipping/v1.0/orders/{id}/deliveryAddressChangeRequest",
        "get /shipping/v1.0/orders/{id}/deliveryAvailabilities",
        "get /shipping/v1.0/merchants/{id}/deliveryAvailabilities",
        "post /shipping/v1.0/merchants/{id}/orders",
        "post /shipping/v1.0/orders/{id}/userConfirmAddress",
        "post /shipping/v1.0/orders/{id}/acceptDeliveryAddressChange",
        "post /shipping/v1.0/orders/{id}/denyDeliveryAddressChange",
        "get /logistics/v1.0/orders/{id}",
        "post /logistics/v1.0/orders/{id}/assignDriver",
        "post /logistics/v1.0/orders/{id}/goingToOrigin",
        "post /logistics/v1.0/orders/{id}/arrivedAtOrigin",
        "post /logistics/v1.0/orders/{id}/dispatch",
        "post /logistics/v1.0/orders/{id}/arrivedAtDestination",
        "post /logistics/v1.0/orders/{id}/verifyDeliveryCode",
        "get /order/v1.0/orders/{id}/cancellationEvidences/{evidenceId}",
        "post /order/v1.0/disputes/{disputeId}/accept",
        "post /order/v1.0/disputes/{disputeId}/reject",
        "post /order/v1.0/disputes/{disputeId}/alternatives/{alternativeId}",
        "get /merchant/v1.0/merchants",
        "get /merchant/v1.0/merchants/{id}",
        "get /merchant/v1.0/merchants/{id}/status",
        "get /merchant/v1.0/merchants/{id}/status/{operation}",
        "get /merchant/v1.0/merchants/{id}/interruptions",
        "post /merchant/v1.0/merchants/{id}/interruptions",
        "delete /merchant/v1.0/merchants/{id}/interruptions/{interruptionId}",
        "get /merchant/v1.0/merchants/{id}/opening-hours",
        "put /merchant/v1.0/merchants/{id}/opening-hours",
        "post /oauth/token",
        "get /v1/versions/orderingApp",
        "get /v1/versions/merchant",
        "get /v1/events:polling",
        "post /v1/events/acknowledgment",
        "get /v1/orders/{orderId}",
        "post /v1/orders/{orderId}/confirm",
        "post /v1/orders/{orderId}/preparing",
        "post /v1/orders/{orderId}/readyForPickup",
        "post /v1/orders/{orderId}/pickedUp",
        "post /v1/orders/{orderId}/dispatch",
        "post /v1/orders/{orderId}/delivered",
        "post /v1/orders/{orderId}/requestCancellation",
        "post /v1/orders/{orderId}/acceptCancellation",
        "post /v1/orders/{orderId}/denyCancellation",
        "post /v1/orders/{orderId}/validateCode",
        "post /v1/orders/{orderId}/tracking",
        "patch /v1/orders/{orderId}/details",
        "get /v1/merchant/{id}/status",
        "get /openapi/open-delivery.json",
        "get /catalog/v2.0/merchants/{id}/catalogs",
        "get /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories",
        "post /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories",
        "get /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories/{categoryId}",
        "patch /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories/{categoryId}",
        "delete /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories/{categoryId}",
        "get /catalog/v2.0/merchants/{id}/catalogs/{catalogId}/unsellableItems",
        "get /catalog/v1.0/merchants/{id}/catalogs/{catalogId}/unsellableItems",
        "get /catalog/v2.0/merchants/{id}/categories",
        "post /catalog/v2.0/merchants/{id}/categories",
        "get /catalog/v2.0/merchants/{id}/categories/{categoryId}",
        "patch /catalog/v2.0/merchants/{id}/categories/{categoryId}",
        "delete /catalog/v2.0/merchants/{id}/categories/{categoryId}",
        "get /catalog/v2.0/merchants/{id}/categories/{categoryId}/items",
        "put /catalog/v2.0/merchants/{id}/items",
        "get /catalog/v2.0/merchants/{id}/items/{itemId}",
        "delete /catalog/v2.0/merchants/{id}/items/{itemId}",
        "patch /catalog/v2.0/merchants/{id}/items/price",
        "patch /catalog/v2.0/merchants/{id}/items/status",
        "patch /catalog/v2.0/merchants/{id}/options/price",
        "patch /catalog/v2.0/merchants/{id}/options/status",
        "get /catalog/v2.0/merchants/{id}/products",
        "post /catalog/v2.0/merchants/{id}/products",
        "get /catalog/v2.0/merchants/{id}/products/{productId}",
        "put /catalog/v2.0/merchants/{id}/products/{productId}",
        "delete /catalog/v2.0/merchants/{id}/products/{productId}",
        "get /catalog/v2.0/merchants/{id}/batch/{batchId}",
        "post /catalog/v2.0/merchants/{id}/image/upload",
        "get /catalog/v2.0/images/{merchantId}/{file}",
        "delete /catalog/v2.0/images/{merchantId}/{file}",
        "put /v1/merchantOnboarding",
        "get /v1/merchantStatus",
        "post /v1/menuUpdated",
        "post /v1/merchantUpdate",
        "get /comanda/v1/merchants/{id}/menu",
        "get /comanda/v1/webhook",
        "put /comanda/v1/webhook",
        "delete /comanda/v1/webhook",
        "post /comanda/v1/webhook/resume",
        "get /comanda/v1/webhook/deliveries",
        "post /comanda/v1/webhook/deliveries/{eventId}/redeliver",
        "get /comanda/v1/webhook/dead-letters",
        "post /comanda/v1/webhook/dead-letters/redeliver",
        "get /openapi.json",
        "get /openapi/merchant.json",
        "get /openapi/comanda.json",
        "get /comanda/v1/events",
        "get /comanda/v1/merchants/{id}/presence",
        "post /comanda/v1/simulator/orders",
        "post /comanda/v1/simulator/orders/{id}/steps",
        "post /merchant/v1.0/merchants/checkin-qrcode",
        "get /docs",
        "get /docs/{file}",
    ];
    expected.sort_unstable();
    assert_eq!(served, expected);
}

/// Where `value` is not what `schema` says, or says more. Patterns are not looked at.
pub fn differences(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return differences(document, document.pointer(&target[1..]).unwrap(), value, at);
    }
    if let Some(several) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        let found = several.iter().map(|schema| differences(document, schema, value, at));
        return found.min_by_key(Vec::len).unwrap_or_default();
    }
    let is_typed = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        other => panic!("{at}: {other:?}"),
    };
    let is_among = schema.get("enum").is_none_or(|values| values.as_array().unwrap().contains(value));
    let mut found = Vec::new();
    if !is_typed || !is_among {
        found.push(format!("{at} is {value}"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(differences(document, &schema["items"], item, &format!("{at}[]")));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return found };
    for name in
        schema["required"].as_array().into_iter().flatten().filter(|name| value.get(name.as_str().unwrap()).is_none())
    {
        found.push(format!("{at} lacks {name}"));
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        match properties.get(name) {
            Some(property) => found.extend(differences(document, property, field, &format!("{at}.{name}"))),
            None => found.push(format!("{at}.{name} is not documented")),
        }
    }
    found
}

#[tokio::test]
async fn deliveries_and_disputes_are_answered_as_documented() {
    let rig = Rig::start().await;
    let order = order_model::OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), r#"{"id":"x","category":"GROCERY"}"#);
    rig.peers.core.disputes.lock().insert("d".to_owned(), order);
    rig.peers.core.orders.lock().get_mut(&order).unwrap().position = Some(proto::gateway_core::CourierPosition {
        latitude: "-23.55".to_owned(),
        longitude: "-46.63".to_owned(),
        eta: "1".to_owned(),
        date: "\"2026-11-20T12:45:00Z\"".to_owned(),
        ..Default::default()
    });
    let pos = rig.as_application("pos").await;
    let document = pos.get("/openapi.json").await.json();
    let one = "/order/v1.0/orders/{id}";
    let dispute = "/order/v1.0/disputes/{disputeId}";
    for (method, path, body) in [
        ("get", format!("{one}/tracking"), json!({})),
        ("get", format!("{one}/virtual-bag"), json!({})),
        ("post", format!("{one}/validatePickupCode"), json!({ "code": "1" })),
        ("post", format!("{one}/verifyDeliveryCode"), json!({ "code": "1" })),
        ("post", format!("{one}/verifyDeliveryCode"), json!({})),
        ("post", format!("{dispute}/accept"), json!({ "reason": "R" })),
        ("post", format!("{dispute}/alternatives/{{alternativeId}}"), json!({ "metadata": {} })),
    ] {
        let concrete = path.replace("{id}", &order.to_string()).replace("{disputeId}", "d");
        let concrete = concrete.replace("{alternativeId}", "a");
        let answer = pos.send(&method.to_uppercase(), &concrete, &[], body.to_string()).await;
        let operation = &document["paths"][&path][method];
        let schema = &operation["responses"][answer.status.as_str()]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), method), [""; 0], "{path}: {}", answer.status);
    }
}

#[tokio::test]
async fn merchants_are_answered_as_documented() {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    let pos = rig.as_application("pos").await;
    let document = pos.get("/openapi.json").await.json();
    let pause = json!({ "id": "p", "description": "x", "start": "2033-03-21T06:00:00", "end": "2033-03-21T07:00:00" });
    let hours = json!({ "shifts": [{ "dayOfWeek": "MONDAY", "start": "09:00:00", "duration": 60 }] });
    let one = "/merchant/v1.0/merchants/{id}";
    for (method, path, body) in [
        ("get", "/merchant/v1.0/merchants".to_owned(), Value::Null),
        ("get", one.to_owned(), Value::Null),
        ("get", format!("{one}/opening-hours"), Value::Null),
        ("put", format!("{one}/opening-hours"), hours),
        ("post", format!("{one}/interruptions"), pause.clone()),
        ("post", format!("{one}/interruptions"), json!({ "start": pause["start"], "end": pause["end"] })),
        ("post", format!("{one}/interruptions"), json!({})),
        ("get", format!("{one}/interruptions"), Value::Null),
        ("get", format!("{one}/status"), Value::Null),
        ("get", format!("{one}/status/{{operation}}"), Value::Null),
    ] {
        let concrete = path.replace("{id}", &merchant(1).to_string()).replace("{operation}", "takeout");
        let answer = pos.send(&method.to_uppercase(), &concrete, &[], body.to_string()).await;
        let operation = &document["paths"][&path][method];
        let schema = &operation["responses"][answer.status.as_str()]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), method), [""; 0], "{path}: {}", answer.status);
        if answer.status.is_success() && body.is_object() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(differences(&document, schema, &body, "body"), [""; 0], "{path}");
        }
    }
}

/// An order with everything in it, so that every schema is looked at.
const FULL_ORDER: &str = r#"{"displayId":"1","orderType":"DELIVERY","createdAt":"2026-11-20T12:00:00.000Z","category":"FOOD","extraInfo":"x",
    "schedule":{"deliveryDateTimeStart":"2026-11-20T12:00:00Z"},"customer":{"name":"Ana","phone":{"number":"1","localizer":"2"}},
    "items":[{"index":1,"name":"Pizza","quantity":2,"unitPrice":1.50,"price":3.00,"optionsPrice":1,"totalPrice":4.00,"observations":"x","ean":"1",
      "options":[{"name":"Borda","quantity":1,"unitPrice":1,"price":1}]}],
    "benefits":[{"value":1,"target":"CART","sponsorshipValues":[{"name":"IFOOD","value":1}]}],"additionalFees":[{"type":"TIP","value":1}],
    "total":{"subTotal":4.00,"deliveryFee":7.0,"additionalFees":1,"benefits":1,"orderAmount":11.00},
    "payments":{"prepaid":0,"pending":11.00,"methods":[{"value":11,"method":"CASH","type":"OFFLINE","cash":{"changeFor":50}}]},
    "delivery":{"deliveredBy":"IFOOD","pickupCode":"1","deliveryAddress":{"complement":"x","coordinates":{"latitude":-23.5,"longitude":-46.6}}}}"#;

#[tokio::test]
async fn open_delivery_is_answered_as_documented() {
    let rig = crate::open_delivery::rig().await;
    let order = order_model::OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), FULL_ORDER);
    for (number, code) in (1..).zip([order_model::EventCode::Placed, order_model::EventCode::Cancelled]) {
        rig.peers.feed.events.lock().push(crate::peers::event(merchant(1), number, code));
    }
    let pos = rig.as_application("pos").await;
    let document = pos.get("/openapi/open-delivery.json").await.json();
    let form = "grant_type=client_credentials&client_id=pos&client_secret=pos-secret";
    let cancellation = r#"{"reason":"r","code":"RISK_AREA","mode":"AUTO"}"#;
    let conflict = proto::gateway_core::Conflict { state: "CANCELLED".to_owned(), ..Default::default() };
    *rig.peers.core.conflict.lock() = Some(conflict);
    for (method, path, body) in [
        ("post", "/oauth/token", form),
        ("post", "/oauth/token", ""),
        ("get", "/v1/versions/orderingApp", ""),
        ("get", "/v1/events:polling", ""),
        ("post", "/v1/events/acknowledgment", "x"),
        ("get", "/v1/orders/{orderId}", ""),
        ("post", "/v1/orders/{orderId}/confirm", ""),
        ("post", "/v1/orders/{orderId}/requestCancellation", cancellation),
        ("get", "/v1/merchant/{id}/status", ""),
    ] {
        let concrete = path.replace("{orderId}", &order.to_string()).replace("{id}", &merchant(1).to_string());
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let headers = if path == "/oauth/token" { &headers[..] } else { &[] };
        let answer = pos.send(&method.to_uppercase(), &concrete, headers, body).await;
        let content = &document["paths"][path][method]["responses"][answer.status.as_str()]["content"];
        let schema = &content[answer.headers["content-type"].to_str().unwrap()]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), method), [""; 0], "{path}: {}", answer.status);
    }
}
