//! The cases of Open Delivery, whose merchants have names of their own, and of what is ours alone. Pure data.

use crate::authorization_matrix::case::{Case, Needs, case};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const POLLING_MERCHANTS: &str = "x-polling-merchants";
const WHERE_THE_DOCUMENT_IS: &str = r#"{"getMerchantURL":{"baseURL":"{pos}"}}"#;

pub fn cases() -> Vec<Case> {
    [open_delivery(), open_delivery_orders(), open_delivery_merchants(), own(), webhooks(), documentation()].concat()
}

fn open_delivery() -> Vec<Case> {
    let poll = || case("get /v1/events:polling", 200).shows("{event}").of_feed();
    let named = |value| poll().header(POLLING_MERCHANTS, value).refused(403);
    vec![
        case("post /oauth/token", 200)
            .header(FORM.0, FORM.1)
            .body("grant_type=client_credentials&client_id=pos&client_secret=pos-secret")
            .names_nothing("names an application, by its secret"),
        case("get /v1/versions/merchant", 200).names_nothing("says which versions there are"),
        case("get /v1/versions/orderingApp", 200).names_nothing("says which versions there are"),
        poll().names_nothing("without the header it reads the application's own merchants"),
        named("{merchant}"),
        named("{name}"),
        named("{second},{merchant}"),
        named("{second},{name}"),
        case("post /v1/events/acknowledgment", 202).body(r#"[{"id":"{event}"}]"#).refused(202),
    ]
}

fn open_delivery_orders() -> Vec<Case> {
    let order = |operation: &str, own| {
        let (method, tail) = operation.split_once(' ').unwrap();
        case(&format!("{method} /v1/orders/{{orderId}}{tail}"), own)
    };
    let steps = ["confirm", "preparing", "readyForPickup", "pickedUp", "dispatch", "delivered"];
    let mut cases: Vec<Case> = steps.iter().map(|step| order(&format!("post /{step}"), 202)).collect();
    cases.extend([
        order("get ", 200).shows("{order}"),
        order("post /requestCancellation", 202).body(r#"{"reason":"r","code":"RISK_AREA","mode":"AUTO"}"#),
        order("post /acceptCancellation", 204),
        order("post /denyCancellation", 204),
        // The document knows no 404 here.
        order("post /validateCode", 200).query("deliveryCode=1234").refused(400),
        order("post /tracking", 202).body(r#"{"deliveryTrackingInfo":{"event":{"type":"DELIVERY_ONGOING"}}}"#),
        order("patch /details", 200).body(r#"{"preparationStartDateTime":"2026-11-20T12:00:00Z"}"#),
    ]);
    cases
}

/// A merchant by our UUID and by its POS's own name.
fn open_delivery_merchants() -> Vec<Case> {
    let status = || case("get /v1/merchant/{id}/status", 200).refused(404).shows("{merchant}");
    let mut cases = vec![status(), status().naming("{merchant}", "{name}")];
    for named in ["merchantId={merchant}", "merchantId={name}"] {
        cases.extend([
            case("put /v1/merchantOnboarding", 204).query(named).body(WHERE_THE_DOCUMENT_IS),
            case("get /v1/merchantStatus", 200).query(named),
            case("post /v1/menuUpdated", 204).query(named),
            case("post /v1/menuUpdated", 204).query(named).body(r#"{"merchantStatus":"UNAVAILABLE"}"#),
            case("post /v1/merchantUpdate", 204).query(named).body(r#"{"merchantStatus":"AVAILABLE"}"#),
        ]);
    }
    cases
}

fn own() -> Vec<Case> {
    let stream = || case("get /comanda/v1/events/stream", 200).shows("{event}").of_feed().endless();
    let streamed = |value| stream().header(POLLING_MERCHANTS, value).refused(403);
    let pending = || case("get /comanda/v1/events/unacknowledged", 200).shows("{merchant}").of_feed();
    vec![
        stream().names_nothing("without the header it reads the application's own merchants"),
        streamed("{merchant}"),
        streamed("{second},{merchant}"),
        streamed("{second},{merchant}").query("partial=true").refused(200),
        pending().names_nothing("without the header it counts the application's own merchants"),
        pending().header(POLLING_MERCHANTS, "{merchant}").refused(403),
        pending().header(POLLING_MERCHANTS, "{second},{merchant}").refused(403),
        case("get /comanda/v1/events", 200).query("merchantId={merchant}").refused(403).shows("{event}"),
        case("get /comanda/v1/merchants/{id}/presence", 200),
        case("get /comanda/v1/merchants/{id}/menu", 200).shows("{name}"),
        case("post /comanda/v1/simulator/orders", 202).body(r#"{"merchantId":"{merchant}"}"#).refused(403),
        case("post /comanda/v1/simulator/orders/{id}/steps", 202).body(r#"{"step":"CANCELLED"}"#),
    ]
}

fn webhooks() -> Vec<Case> {
    let its_own = "the application of the token is the only one it could be of";
    let webhook = |operation: &str, own| {
        let (method, tail) = operation.split_once(' ').unwrap();
        case(&format!("{method} /comanda/v1/webhook{tail}"), own)
    };
    vec![
        webhook("get ", 200).names_nothing(its_own),
        webhook("get /deliveries", 200).shows("{delivery}").names_nothing(its_own),
        webhook("get /dead-letters", 200).shows("{delivery}").needs(Needs::DeadLetter).names_nothing(its_own),
        webhook("post /deliveries/{eventId}/redeliver", 202).needs(Needs::DeadLetter),
        webhook("post /dead-letters/redeliver", 200).needs(Needs::DeadLetter).names_nothing(its_own),
        webhook("post /resume", 202).names_nothing(its_own),
        webhook("put ", 200).body(r#"{"url":"{hook}","dialect":"IFOOD","secret":"pos-secret"}"#).names_nothing(its_own),
        webhook("delete ", 204).names_nothing(its_own),
    ]
}

fn documentation() -> Vec<Case> {
    let paths = ["/openapi.json", "/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"];
    let pages = ["/docs", "/docs/{file}"];
    let open = |path: &&str| case(&format!("get {path}"), 200).names_nothing("the same for everybody");
    paths.iter().chain(&pages).map(open).collect()
}
