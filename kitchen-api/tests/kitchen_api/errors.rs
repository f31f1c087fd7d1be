//! PARTNER_API, sections 1.1 and 8: a JSON body in the usual envelope on everything from 400 on.

use crate::rig::Rig;

#[tokio::test]
async fn unknown_resources_and_methods_answer_in_the_envelope() {
    let rig = Rig::start().await;
    for path in ["/", "/nothing", "/events/v1.0/events:polling/", "/order/v1.0/orders", "/admin", "/debug"] {
        let answer = rig.client.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "NotFound"), "{path}");
    }
    for (method, path, allow) in [
        ("POST", "/events/v1.0/events:polling", "GET,HEAD"),
        ("GET", "/events/v1.0/events/acknowledgment", "POST"),
        ("DELETE", "/authentication/v1.0/oauth/token", "POST"),
    ] {
        let answer = rig.client.send(method, path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (405, "MethodNotAllowed"), "{path}");
        assert_eq!(answer.headers["allow"], allow);
    }
}

#[tokio::test]
async fn heads_that_are_too_large_answer_in_the_envelope() {
    let rig = Rig::start().await;
    let long = format!("/events/v1.0/events:polling?types={}", "x".repeat(8 * 1024));
    let answer = rig.client.get(&long).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (414, "UriTooLong"));
    let headers = [("x-a", "y".repeat(16 * 1024)), ("x-b", "y".repeat(16 * 1024))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = rig.client.send("GET", "/events/v1.0/events:polling", &headers, "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (431, "RequestHeaderFieldsTooLarge"));
    let token = format!("Bearer {}", "t".repeat(15 * 1024));
    let answer = rig.client.send("GET", "/events/v1.0/events:polling", &[("authorization", &token)], "").await;
    assert_eq!(answer.status, 401, "a header of 15 KiB is read");
}

#[tokio::test]
async fn heads_that_are_too_large_on_open_deliverys_paths_answer_as_a_problem() {
    let rig = Rig::start().await;
    let long = rig.client.get(&format!("/v1/events:polling?eventType={}", "x".repeat(8 * 1024))).await;
    let headers = [("x-a", "y".repeat(16 * 1024)), ("x-b", "y".repeat(16 * 1024))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let large = rig.client.send("GET", "/v1/events:polling", &headers, "").await;
    for (answer, status) in [(long, 414), (large, 431)] {
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (status, &serde_json::json!(status)));
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.json()["title"].is_string());
    }
}

#[tokio::test]
async fn an_action_with_a_body_above_256_kib_is_413() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let path = format!("/order/v1.0/orders/{}/confirm", order_model::OrderId::from_bytes([1; 16]));
    let answer = pos.post(&path, "x".repeat(256 * 1024 + 1)).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "PayloadTooLarge"));
}
