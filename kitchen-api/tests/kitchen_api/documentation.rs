//! The OpenAPI document and what is served are one.

use serde_json::Value;

use crate::rig::Rig;

#[tokio::test]
async fn every_documented_operation_is_served_and_every_other_method_is_not() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let document = pos.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let concrete = path.replace("{id}", "00000000-0000-4000-8000-000000000001").replace("{operation}", "delivery");
        for method in ["get", "post", "put", "delete", "patch"] {
            let answer = pos.send(&method.to_uppercase(), &concrete, &[], "").await;
            let documented = item.get(method).is_some();
            assert_eq!(answer.status != 405, documented, "{method} {path}: {}", answer.status);
            if let Some(operation) = item.get(method) {
                let status = answer.status.as_u16().to_string();
                assert!(operation["responses"].get(&status).is_some(), "{method} {path} answered {status}");
                assert_eq!(operation.get("security").is_some(), needs_token(&rig, method, &concrete).await, "{path}");
            }
        }
    }
}

async fn needs_token(rig: &Rig, method: &str, path: &str) -> bool {
    let answer = rig.client.send(&method.to_uppercase(), path, &[], "").await;
    answer.status == 401
}

/// The list of what is served, kept by hand: a route that comes or goes must be meant.
#[tokio::test]
async fn the_served_paths_are_these() {
    let rig = Rig::start().await;
    let document = rig.client.get("/openapi.json").await.json();
    let mut served: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        served.extend(item.as_object().unwrap().keys().filter(|key| item[*key].is_object()).map(|method| {
            assert!(matches!(item[method]["operationId"], Value::String(_)));
            format!("{method} {path}")
        }));
    }
    served.sort();
    let mut expected = vec![
        "get /events/v1.0/events:polling",
        "get /order/v1.0/events:polling",
        "post /events/v1.0/events/acknowledgment",
        "post /order/v1.0/events/acknowledgment",
        "post /authentication/v1.0/oauth/token",
        "get /order/v1.0/orders/{id}",
        "post /order/v1.0/orders/{id}/confirm",
        "post /order/v1.0/orders/{id}/startPreparation",
        "post /order/v1.0/orders/{id}/readyToPickup",
        "post /order/v1.0/orders/{id}/dispatch",
        "get /order/v1.0/orders/{id}/cancellationReasons",
        "post /order/v1.0/orders/{id}/requestCancellation",
        "post /order/v1.0/orders/{id}/acceptCancellation",
        "post /order/v1.0/orders/{id}/denyCancellation",
        "get /merchant/v1.0/merchants",
        "get /merchant/v1.0/merchants/{id}",
        "get /merchant/v1.0/merchants/{id}/status",
        "get /merchant/v1.0/merchants/{id}/status/{operation}",
        "get /openapi.json",
    ];
    expected.sort_unstable();
    assert_eq!(served, expected);
}
