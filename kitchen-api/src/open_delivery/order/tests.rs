//! Orders of every kind, of both origins, and as bare as CONTRACT allows.

use serde_json::{Value, json};

use super::*;

/// The example of PARTNER_API, section 3.
const FULL: &str = r#"{"id":"5f0c2a4e-6a0e-4f5e-9d57-2b6f0d1f7a11","displayId":"4821","orderType":"DELIVERY","orderTiming":"IMMEDIATE",
 "salesChannel":"IFOOD","category":"FOOD","createdAt":"2026-11-20T12:00:00.000Z",
 "preparationStartDateTime":"2026-11-20T12:01:00.000Z","isTest":true,"extraInfo":"",
 "merchant":{"id":"0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901","name":"Cantina Exemplo"},
 "customer":{"id":"c3f1","name":"Ana","documentNumber":"00000000000","ordersCountOnMerchant":3,
   "phone":{"number":"0800 000 0000","localizer":"12345678","localizerExpiration":"2026-11-20T15:00:00.000Z"}},
 "items":[{"index":1,"id":"a1","uniqueId":"b1","name":"Pizza","externalCode":"P1","ean":null,"imageUrl":null,
   "unit":"UN","quantity":2,"unitPrice":30.00,"addition":0,"price":60.0,"optionsPrice":5.0,"totalPrice":65.0,
   "observations":"sem cebola",
   "options":[{"index":1,"id":"d1","name":"Borda","groupName":"Bordas","externalCode":"B1","ean":null,"unit":"UN",
     "quantity":1,"unitPrice":5.0,"addition":0,"price":5.0}]}],
 "benefits":[{"value":5.0,"target":"ITEM","targetId":"b1",
   "sponsorshipValues":[{"name":"IFOOD","value":5.0},{"name":"MERCHANT","value":0}]}],
 "additionalFees":[{"type":"SMALL_ORDER_FEE","value":1.0}],
 "total":{"subTotal":65.0,"deliveryFee":7.0,"additionalFees":1.0,"benefits":5.0,"orderAmount":68.0},
 "payments":{"prepaid":0,"pending":68.0,"methods":[{"value":68.0,"currency":"BRL","method":"CASH","type":"OFFLINE",
   "prepaid":false,"cash":{"changeFor":100.0}}]},
 "delivery":{"mode":"DEFAULT","deliveredBy":"MERCHANT","deliveryDateTime":"2026-11-20T12:45:00.000Z",
   "observations":"portaria","pickupCode":"1234",
   "deliveryAddress":{"streetName":"Rua A","streetNumber":"1","formattedAddress":"Rua A, 1","neighborhood":"Centro",
     "complement":"ap 2","reference":"","postalCode":"01000000","city":"Sao Paulo","state":"SP","country":"BR",
     "coordinates":{"latitude":-23.55,"longitude":-46.63}}}}"#;

fn placed(names: Option<&Names>) -> Placed<'_> {
    let [order, merchant] = [[7; 16], [3; 16]];
    let (order, merchant) = (OrderId::from_bytes(order), MerchantId::from_bytes(merchant));
    Placed { order, merchant, names, last_event: Some("CREATED"), version: OpenDeliveryVersion::V1_7 }
}

fn text(body: &str) -> String {
    render(&placed(None), body.as_bytes()).unwrap()
}

fn shown(body: &str) -> Value {
    serde_json::from_str(&text(body)).unwrap()
}

fn price(value: f64) -> Value {
    json!({ "value": value, "currency": "BRL" })
}

#[test]
fn every_field_of_a_full_order_is_there_under_its_name() {
    let order = shown(FULL);
    assert_eq!(order["id"], OrderId::from_bytes([7; 16]).to_string());
    for (pointer, expected) in [
        ("/type", json!("DELIVERY")),
        ("/orderTiming", json!("INSTANT")),
        ("/lastEvent", json!("CREATED")),
        ("/preparationStartDateTime", json!("2026-11-20T12:01:00.000Z")),
        ("/merchant/name", json!("Cantina Exemplo")),
        ("/customer/phone", json!({ "number": "0800 000 0000", "extension": "12345678" })),
        ("/items/0/specialInstructions", json!("sem cebola")),
        ("/items/0/optionsPrice", price(2.5)),
        ("/items/0/subtotalPrice", price(60.0)),
        ("/items/0/options/0/totalPrice", price(5.0)),
        ("/discounts/0/sponsorshipValues/0", json!({ "name": "MARKETPLACE", "amount": price(5.0) })),
        ("/discounts/0/targetId", order["items"][0]["id"].clone()),
        ("/otherFees/0/type", json!("DELIVERY_FEE")),
        ("/otherFees/0/receivedBy", json!("MERCHANT")),
        ("/otherFees/1/type", json!("MIN_ORDER_FEE")),
        ("/total/otherFees", price(8.0)),
        ("/payments/methods/0/type", json!("PENDING")),
        ("/payments/methods/0/changeFor", json!(100.0)),
        ("/delivery/estimatedDeliveryDateTime", json!("2026-11-20T12:45:00.000Z")),
        ("/delivery/deliveryAddress/district", json!("Centro")),
        ("/delivery/deliveryAddress/street", json!("Rua A")),
        ("/sendDelivered", json!(true)),
        ("/sendPickedUp", json!(false)),
    ] {
        assert_eq!(order.pointer(pointer), Some(&expected), "{pointer}");
    }
    for id in ["/items/0/id", "/items/0/options/0/id", "/customer/id"] {
        assert!(is_uuid(order.pointer(id).unwrap().as_str().unwrap()), "{id}");
    }
    assert_eq!(text(FULL), text(FULL), "ids that were made up stay");
}

#[test]
fn amounts_keep_their_digits() {
    let body = r#"{"orderType":"TAKEOUT","items":[{"name":"x","quantity":1.500,"unitPrice":12345678901234567890.120,"totalPrice":1.10e1}],
        "total":{"orderAmount":0.10,"deliveryFee":0.00,"additionalFees":3.30},"payments":{"prepaid":0.10,"pending":0.0,"methods":[]}}"#;
    let text = text(body);
    for digits in [
        r#""quantity":1.500"#,
        r#"{"value":12345678901234567890.120,"#,
        r#""totalPrice":{"value":1.10e1,"#,
        r#""orderAmount":{"value":0.10,"#,
        r#""otherFees":{"value":3.30,"#,
        r#""prepaid":0.10"#,
    ] {
        assert!(text.contains(digits), "{digits} in {text}");
    }
}

#[test]
fn grams_are_kilograms_and_nothing_is_lost() {
    let body = r#"{"orderType":"TAKEOUT","items":[{"unit":"G","quantity":250,"unitPrice":0.048,"totalPrice":12.00},{"unit":"PCT"}]}"#;
    let order = shown(body);
    assert_eq!((&order["items"][0]["unit"], &order["items"][0]["quantity"]), (&json!("KG"), &json!(0.25)));
    assert_eq!(order["items"][0]["unitPrice"], price(48.0));
    assert_eq!(order["items"][1]["unit"], "UN");
}

#[test]
fn a_bare_order_has_every_required_field() {
    for kind in ["TAKEOUT", "INDOOR", "DINE_IN", "DELIVERY"] {
        let block = if kind == "DINE_IN" { "dineIn".to_owned() } else { kind.to_ascii_lowercase() };
        let body = format!(
            r#"{{"id":"x","displayId":"1","orderType":"{kind}","createdAt":"2026-11-20T12:00:00Z","merchant":{{"id":"m"}},
            "items":[{{"name":"Pizza","quantity":1,"unitPrice":10,"totalPrice":10}}],"total":{{"orderAmount":10}},"{block}":{{}}}}"#
        );
        let order = shown(&body);
        for field in ["id", "type", "displayId", "createdAt", "orderTiming", "preparationStartDateTime", "merchant"] {
            assert!(order[field].is_string() || order[field].is_object(), "{kind} {field}");
        }
        assert_eq!(order["preparationStartDateTime"], order["createdAt"]);
        assert_eq!(order["payments"], json!({ "prepaid": 10, "pending": 0, "methods": [] }));
        assert_eq!(order["total"]["itemsPrice"]["value"], 10);
        assert_eq!(order["merchant"]["id"], MerchantId::from_bytes([3; 16]).to_string());
        let own = if kind == "DINE_IN" { "indoor".to_owned() } else { block };
        assert!(order[&own].is_object(), "{order}");
        assert!(order.get("customer").is_none());
    }
    assert!(render(&placed(None), b"[]").is_none());
}

#[test]
fn a_merchant_is_called_as_its_pos_calls_it() {
    let set = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824";
    let names = Names { open_delivery_id: Some(set.to_owned()), name: "Loja".to_owned() };
    let merchant = |body: &str| -> Value {
        let rendered = render(&placed(Some(&names)), body.as_bytes()).unwrap();
        serde_json::from_str::<Value>(&rendered).unwrap()["merchant"].clone()
    };
    assert_eq!(merchant(r#"{"merchant":{"id":"x"}}"#), json!({ "id": set, "name": "Loja" }));
    let sent = "sent-sent-sent-sent-sent-sent-sent-sent-sent";
    let body = format!(r#"{{"merchant":{{"id":"x","openDeliveryId":"{sent}","name":"Outra"}}}}"#);
    assert_eq!(merchant(&body), json!({ "id": sent, "name": "Outra" }));
}

#[test]
fn values_outside_the_lists_become_the_nearest_inside() {
    let body = r#"{"orderType":"DELIVERY","category":"PETS","orderTiming":"LATER","delivery":{"deliveredBy":"IFOOD","deliveryAddress":{"country":"Brasil"}},
        "payments":{"methods":[{"value":1,"currency":"real","method":"BITCOIN","type":"ONLINE","card":{"brand":"visa"}},
                               {"value":1,"method":"CREDIT","card":{"brand":"NEW"},"prepaid":true}]}}"#;
    let order = shown(body);
    assert!(order.get("category").is_none());
    assert_eq!(order["orderTiming"], "INSTANT");
    assert_eq!(order["delivery"]["deliveredBy"], "MARKETPLACE");
    assert_eq!(order["delivery"]["deliveryAddress"]["country"], "BR");
    assert_eq!(order["sendDelivered"], false);
    let [first, second] = [&order["payments"]["methods"][0], &order["payments"]["methods"][1]];
    assert_eq!(
        (&first["method"], &first["methodInfo"], &first["brand"]),
        (&json!("OTHER"), &json!("BITCOIN"), &json!("VISA"))
    );
    assert_eq!((&first["currency"], &first["type"]), (&json!("BRL"), &json!("PREPAID")));
    assert_eq!((&second["brand"], &second["type"]), (&json!("OTHER"), &json!("PREPAID")));
}

#[test]
fn an_older_reader_gets_the_nearest_values_that_it_knows() {
    let body = r#"{"orderType":"INDOOR","orderTiming":"ONDEMAND","indoor":{"mode":"TERMINAL"},
        "additionalFees":[{"type":"SMALL_ORDER_FEE","value":1.0}],
        "benefits":[{"value":2.0,"target":"CART","sponsorshipValues":[{"name":"CHAIN","value":2.0}]}]}"#;
    let shown = |version| -> Value {
        let placed = Placed { last_event: Some("PREPARING"), version, ..placed(None) };
        serde_json::from_str(&render(&placed, body.as_bytes()).unwrap()).unwrap()
    };
    let (new, old) = (shown(OpenDeliveryVersion::V1_7), shown(OpenDeliveryVersion::V1_3));
    for (pointer, as_new, as_old) in [
        ("/lastEvent", "PREPARING", "CONFIRMED"),
        ("/orderTiming", "ONDEMAND", "INSTANT"),
        ("/indoor/mode", "TERMINAL", "DEFAULT"),
        ("/otherFees/0/type", "MIN_ORDER_FEE", "SERVICE_FEE"),
        ("/discounts/0/sponsorshipValues/0/name", "CHAIN", "MERCHANT"),
    ] {
        let both = (new.pointer(pointer).unwrap(), old.pointer(pointer).unwrap());
        assert_eq!(both, (&json!(as_new), &json!(as_old)), "{pointer}");
    }
}
