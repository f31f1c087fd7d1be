//! The cases of the merchant API but for its catalog: tokens, events, orders, disputes, couriers, merchants. Pure data.

use crate::authorization_matrix::case::{Case, case};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CODE: &str = r#"{"code":"1234"}"#;
const CANCELLATION: &str = r#"{"reason":"r","cancellationCode":"501"}"#;
const ADDRESS: &str = r#"{"postalCode":"01310100","streetNumber":"900","streetName":"Avenida Paulista","neighborhood":"Bela Vista",
    "city":"Sao Paulo","state":"SP","country":"BR","coordinates":{"latitude":-23.56,"longitude":-46.63}}"#;
const OUTSIDE: &str = r#"{
    "customer": { "name": "Ana", "phone": { "countryCode": "55", "areaCode": "11", "number": "999990000" } },
    "delivery": { "merchantFee": 7.9, "quoteId": "{quote}", "deliveryAddress": {
        "postalCode": "01310100", "streetNumber": "900", "streetName": "Avenida Paulista", "neighborhood": "Bela Vista",
        "city": "Sao Paulo", "state": "SP", "country": "BR", "coordinates": { "latitude": -23.56, "longitude": -46.63 } } },
    "items": [{ "id": "i", "name": "Pizza", "quantity": 1, "unitPrice": 60, "price": 60, "optionsPrice": 0, "totalPrice": 60 }],
    "payments": { "methods": [{ "method": "CASH", "type": "OFFLINE", "value": 67.9 }] }
}"#;
const CLOSING: &str = r#"{"description":"x","start":"2033-03-21T06:00:00","end":"2033-03-21T07:00:00"}"#;
const HOURS: &str = r#"{"shifts":[{"dayOfWeek":"MONDAY","start":"09:00:00","duration":60}]}"#;

pub fn cases() -> Vec<Case> {
    [authentication(), events(), orders(), couriers(), disputes(), merchants()].concat()
}

fn authentication() -> Vec<Case> {
    let of_page = "a page for people: it names what they type, and shows nothing that they do not know";
    vec![
        case("post /authentication/v1.0/oauth/token", 200)
            .header(FORM.0, FORM.1)
            .body("grantType=client_credentials&clientId=pos&clientSecret=pos-secret")
            .names_nothing("names an application, by its secret"),
        // No 2xx here: `pos` is centralised, and this is for distributed ones (`authorisations`).
        case("post /authentication/v1.0/oauth/userCode", 401)
            .header(FORM.0, FORM.1)
            .body("clientId=pos")
            .names_nothing("names an application; which merchant will authorise it is not known yet"),
        case("get /activate", 200).names_nothing(of_page),
        // No 2xx here: nobody keeps authorisations where applications are in memory (`activation`).
        case("post /activate", 400).header(FORM.0, FORM.1).body("userCode=&portalKey=").names_nothing(of_page),
    ]
}

fn events() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in ["get /events/v1.0/events:polling", "get /order/v1.0/events:polling"] {
        let poll = || case(path, 200).shows("{event}").of_feed();
        let named = |value| poll().header("x-polling-merchants", value).refused(403);
        cases.push(poll().names_nothing("without the header it reads the application's own merchants"));
        cases.push(named("{merchant}"));
        // All or nothing: one foreign merchant among own ones refuses the poll.
        cases.push(named("{second},{merchant}"));
        cases.push(named("{merchant},{second}").query("wait=1"));
        // Asked for a part, it lists the others; the second merchant has nothing pending.
        cases.push(named("{second},{merchant}").query("partial=true").refused(204));
    }
    for path in ["post /events/v1.0/events/acknowledgment", "post /order/v1.0/events/acknowledgment"] {
        // 202 whatever it names; that nothing of the other application's goes away is looked at in the end.
        cases.push(case(path, 202).body(r#"[{"id":"{event}"}]"#).refused(202));
    }
    cases
}

fn orders() -> Vec<Case> {
    let order = |operation: &str, own| {
        let (method, tail) = operation.split_once(' ').unwrap();
        case(&format!("{method} /order/v1.0/orders/{{id}}{tail}"), own)
    };
    vec![
        order("get ", 200).shows("{order}"),
        order("post /confirm", 202),
        order("post /confirm", 202).header("idempotency-key", "key-of-{order}"),
        order("post /startPreparation", 202),
        order("post /readyToPickup", 202),
        order("post /dispatch", 202),
        order("get /cancellationReasons", 200),
        order("post /requestCancellation", 202).body(CANCELLATION),
        order("post /acceptCancellation", 202),
        order("post /denyCancellation", 202),
        order("post /validatePickupCode", 200).body(CODE),
        order("post /verifyDeliveryCode", 200).body(CODE),
        order("get /cancellationEvidences/{evidenceId}", 200),
        order("get /tracking", 200),
        order("get /virtual-bag", 200).shows("{order}"),
        order("post /requestDriver", 202),
        order("post /cancelRequestDriver", 202),
    ]
}

fn couriers() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "shipping requestDriver",
        "shipping cancelRequestDriver",
        "shipping userConfirmAddress",
        "shipping acceptDeliveryAddressChange",
        "shipping denyDeliveryAddressChange",
        "logistics goingToOrigin",
        "logistics arrivedAtOrigin",
        "logistics dispatch",
        "logistics arrivedAtDestination",
    ]
    .iter()
    .map(|step| step.split_once(' ').unwrap())
    .map(|(whose, step)| case(&format!("post /{whose}/v1.0/orders/{{id}}/{step}"), 202))
    .collect();
    cases.extend([
        case("post /shipping/v1.0/orders/{id}/cancel", 202).body(CANCELLATION),
        case("get /shipping/v1.0/merchants/{id}/deliveryAvailabilities", 200).query("latitude=-23.56&longitude=-46.63"),
        case("get /shipping/v1.0/orders/{id}/deliveryAvailabilities", 200),
        case("post /shipping/v1.0/merchants/{id}/orders", 202).body(OUTSIDE),
        case("post /shipping/v1.0/orders/{id}/deliveryAddressChangeRequest", 202).body(ADDRESS),
        case("get /logistics/v1.0/orders/{id}", 200).shows("{order}"),
        case("post /logistics/v1.0/orders/{id}/assignDriver", 202)
            .body(r#"{"workerName":"Rui","workerPhone":"1","workerVehicleType":"CAR"}"#),
        case("post /logistics/v1.0/orders/{id}/verifyDeliveryCode", 202).body(CODE),
    ]);
    cases
}

fn disputes() -> Vec<Case> {
    let answers = ["accept", "reject", "alternatives/{alternativeId}"];
    answers.map(|answer| case(&format!("post /order/v1.0/disputes/{{disputeId}}/{answer}"), 201).body("{}")).into()
}

fn merchants() -> Vec<Case> {
    let merchant = |operation: &str, own| {
        let (method, tail) = operation.split_once(' ').unwrap();
        case(&format!("{method} /merchant/v1.0/merchants/{{id}}{tail}"), own)
    };
    vec![
        case("get /merchant/v1.0/merchants", 200)
            .shows("{merchant}")
            .names_nothing("lists the application's own merchants"),
        merchant("get ", 200).shows("{merchant}"),
        merchant("get /status", 200),
        merchant("get /status/{operation}", 200),
        merchant("get /interruptions", 200).shows("{interruption}"),
        merchant("post /interruptions", 201).body(CLOSING),
        merchant("delete /interruptions/{interruptionId}", 204),
        merchant("get /opening-hours", 200),
        merchant("put /opening-hours", 201).body(HOURS),
        // All or none: one foreign store among own ones refuses the sheets.
        case("post /merchant/v1.0/merchants/checkin-qrcode", 200)
            .body(r#"{"merchantIds":["{second}","{merchant}"]}"#)
            .refused(403),
    ]
}
