//! What each format accepts, what it refuses and how it says so.

use order_model::EventCode;
use proptest::prelude::*;

use super::*;

const ORDER_ID: &str = "5f0c2a4e-6a0e-4f5e-9d57-2b6f0d1f7a11";
const MERCHANT_ID: &str = "0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901";
const CANARY: &str = "CANARY-4711";

/// An order of section 3 with canaries wherever something personal stands.
fn order() -> String {
    format!(
        r#"{{"id":"{ORDER_ID}","displayId":"4821","orderType":"DELIVERY","orderTiming":"IMMEDIATE","salesChannel":"IFOOD","category":"FOOD",
 "createdAt":"2026-11-20T12:00:00.000Z","preparationStartDateTime":"2026-11-20T12:01:00Z","isTest":true,
 "merchant":{{"id":"{MERCHANT_ID}","name":"Cantina"}},
 "customer":{{"id":"c3f1","name":"{CANARY}","documentNumber":"{CANARY}","phone":{{"number":"{CANARY}"}}}},
 "items":[{{"name":"Pizza","quantity":2,"unitPrice":30.00,"price":60.0,"optionsPrice":5.0,"totalPrice":65.0,"observations":"{CANARY}"}}],
 "total":{{"subTotal":65.0,"deliveryFee":7.0,"additionalFees":1.0,"benefits":5.0,"orderAmount":68.0}},
 "payments":{{"prepaid":0,"pending":68.0,"methods":[{{"value":68.0,"method":"NEW_METHOD"}}]}},
 "delivery":{{"deliveredBy":"MERCHANT","deliveryDateTime":"2026-11-20T12:45:00.000Z","observations":"{CANARY}","pickupCode":"{CANARY}",
   "deliveryAddress":{{"streetName":"{CANARY}","complement":"{CANARY}"}}}},"futureField":[1.10,1e2]}}"#
    )
}

fn native(order: &str) -> String {
    format!(
        r#"{{"id":"m-1","type":"ORDER_PLACED","source":"app","occurredAt":"2026-11-20T12:00:00Z","order":{order}}}"#
    )
}

fn update(fields: &str) -> String {
    format!(r#"{{"id":"m-2","source":"app","occurredAt":"2026-11-20T12:00:00Z",{fields}}}"#)
}

fn cloud_event(fields: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"m-3","source":"/app",{fields}}}"#)
}

fn open_delivery() -> String {
    format!(
        r#"{{"id":"{}","type":"DELIVERY","displayId":"4821","createdAt":"2026-11-20T12:00:00Z","orderTiming":"INSTANT","sendTracking":true,
 "preparationStartDateTime":"2026-11-20T12:00:00Z","merchant":{{"id":"22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824","name":"Plaza"}},
 "items":[{{"id":"a1","name":"Pizza","unit":"UN","externalCode":"P1","quantity":2,"specialInstructions":"{CANARY}",
   "unitPrice":{{"value":30.00,"currency":"BRL"}},"optionsPrice":{{"value":5.0,"currency":"BRL"}},"totalPrice":{{"value":70.00,"currency":"BRL"}},
   "options":[{{"id":"d1","name":"Borda","unitPrice":{{"value":5.0,"currency":"BRL"}},"totalPrice":{{"value":5.0,"currency":"BRL"}},"specialInstructions":"{CANARY}"}}]}}],
 "otherFees":[{{"name":"frete","type":"DELIVERY_FEE","receivedBy":"MERCHANT","price":{{"value":7.00,"currency":"BRL"}}}},
   {{"name":"min","type":"MIN_ORDER_FEE","receivedBy":"MARKETPLACE","price":{{"value":1.0,"currency":"BRL"}},"observation":"{CANARY}"}}],
 "discounts":[{{"amount":{{"value":5,"currency":"BRL"}},"target":"CART","sponsorshipValues":[{{"name":"MARKETPLACE","amount":{{"value":5,"currency":"BRL"}}}}]}}],
 "total":{{"itemsPrice":{{"value":70.00,"currency":"BRL"}},"otherFees":{{"value":8.0,"currency":"BRL"}},"discount":{{"value":5,"currency":"BRL"}},"orderAmount":{{"value":73.00,"currency":"BRL"}}}},
 "payments":{{"prepaid":0,"pending":73.00,"methods":[{{"value":73.00,"currency":"BRL","type":"PENDING","method":"CASH","changeFor":100.0}}]}},
 "customer":{{"id":"c1","name":"{CANARY}","phone":{{"number":"0800","extension":"{CANARY}"}},"ordersCountOnMerchant":3}},
 "delivery":{{"deliveredBy":"MARKETPLACE","estimatedDeliveryDateTime":"2026-11-20T12:45:00Z","deliveryDateTime":"2026-11-20T12:50:00Z","pickupCode":"{CANARY}",
   "deliveryAddress":{{"street":"{CANARY}","streetName":"kept","number":"1","district":"Centro","coordinates":{{"latitude":-23.55000,"longitude":-46.63}}}}}}}}"#,
        ORDER_ID.to_uppercase()
    )
}

fn placement(body: &str) -> Placement {
    match parse(body).unwrap().content {
        Content::Place(placement) => *placement,
        Content::Update(_) => panic!("an update"),
    }
}

#[test]
fn a_native_order_is_served_verbatim() {
    let submission = parse(&native(&order())).unwrap();
    assert_eq!((submission.source.as_str(), submission.message_id.as_str()), ("app", "m-1"));
    let Content::Place(placement) = submission.content else { panic!("an update") };
    assert_eq!(placement.body, order().as_bytes());
    assert_eq!((placement.order.to_string(), placement.mismatches), (ORDER_ID.to_owned(), vec![]));
    assert_eq!(placement.merchant, MerchantReference::Id(MERCHANT_ID.parse().unwrap()));
    let expected = Facts {
        order_type: "DELIVERY".into(),
        delivered_by: "MERCHANT".into(),
        category: "FOOD".into(),
        sales_channel: "IFOOD".into(),
        order_timing: "IMMEDIATE".into(),
        promised_at: Some("2026-11-20T12:45:00Z".parse().unwrap()),
        preparation_start: Some("2026-11-20T12:01:00Z".parse().unwrap()),
        is_test: true,
    };
    assert_eq!(placement.facts, expected);
}

#[test]
fn each_order_type_needs_its_own_block() {
    for (order_type, block, promised) in [
        ("TAKEOUT", "takeout", r#"{"mode":"DEFAULT","takeoutDateTime":"2026-11-20T13:00:00Z"}"#),
        ("INDOOR", "indoor", r#"{"deliveryDateTime":"2026-11-20T13:00:00Z"}"#),
        ("DINE_IN", "dineIn", r#"{"deliveryDateTime":"2026-11-20T13:00:00Z"}"#),
    ] {
        let of_type = order().replace(r#""orderType":"DELIVERY""#, &format!(r#""orderType":"{order_type}""#));
        let detail = parse(&native(&of_type)).unwrap_err().detail;
        assert_eq!(detail, format!("order.{block}: required, but absent"));
        let whole = of_type.replace(r#""isTest":true"#, &format!(r#""{block}":{promised}"#));
        assert_eq!(placement(&native(&whole)).facts.promised_at, Some("2026-11-20T13:00:00Z".parse().unwrap()));
    }
    let scheduled = order().replace(
        r#""isTest":true"#,
        r#""orderTiming2":1,"schedule":{"deliveryDateTimeStart":"2026-11-21T10:00:00Z","deliveryDateTimeEnd":"2026-11-21T11:00:00Z"}"#,
    );
    assert_eq!(placement(&native(&scheduled)).facts.promised_at, Some("2026-11-21T11:00:00Z".parse().unwrap()));
}

#[test]
fn an_update_takes_every_code_and_full_code() {
    for code in EventCode::ALL.iter().filter(|code| **code != EventCode::Placed) {
        for name in [code.code(), code.full_code()] {
            let body = update(&format!(r#""type":"{name}","orderId":"{ORDER_ID}","metadata":{{"CODE":1.50}}"#));
            let Content::Update(update) = parse(&body).unwrap().content else { panic!("an order") };
            assert_eq!((update.code, update.metadata.as_ref()), (*code, br#"{"CODE":1.50}"#.as_slice()));
        }
        let kind = format!("comanda.order.{}.v1", code.full_code().to_lowercase());
        let event = cloud_event(&format!(r#""type":"{kind}","data":{{"orderId":"{ORDER_ID}"}}"#));
        assert!(
            matches!(parse(&event).unwrap().content, Content::Update(update) if update.code == *code && update.metadata.is_empty())
        );
    }
}

#[test]
fn a_cloud_event_says_the_same_as_a_native_message() {
    let event = cloud_event(&format!(
        r#""type":"comanda.order.placed.v1","time":"2026-11-20T12:00:00Z","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{{"order":{}}}"#,
        order()
    ));
    let (event, native) = (parse(&event).unwrap(), parse(&native(&order())).unwrap());
    assert_eq!((event.digest, &event.content, event.occurred_at), (native.digest, &native.content, native.occurred_at));
    assert_eq!((event.source.as_str(), event.trace.to_string().as_str()), ("/app", "0af7651916cd43dd8448eb211c80319c"));
}

#[test]
fn the_digest_tells_repeats_from_reuse() {
    let first = parse(&native(&order())).unwrap().digest;
    let stamped_anew = native(&order()).replace("12:00:00Z\",\"order\"", "12:00:09Z\", \"order\"");
    assert_eq!(parse(&stamped_anew).unwrap().digest, first);
    assert_ne!(parse(&native(&order().replace("68.0", "68.00"))).unwrap().digest, first);
    let update_of =
        |metadata: &str| parse(&update(&format!(r#""type":"CON","orderId":"{ORDER_ID}"{metadata}"#))).unwrap().digest;
    assert_ne!(update_of(""), update_of(r#","metadata":{}"#));
}

#[test]
fn an_open_delivery_order_becomes_one_of_section_3() {
    let submission = parse(&open_delivery()).unwrap();
    assert_eq!((submission.source.as_str(), submission.message_id.as_str()), ("opendelivery", ORDER_ID));
    let Content::Place(placement) = submission.content else { panic!("an update") };
    let merchant = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824";
    assert_eq!(placement.merchant, MerchantReference::OpenDelivery(merchant.into()));
    assert_eq!(
        (placement.facts.delivered_by.as_str(), placement.facts.order_timing.as_str()),
        ("MARKETPLACE", "IMMEDIATE")
    );
    assert_eq!(placement.facts.promised_at, Some("2026-11-20T12:45:00Z".parse().unwrap()));
    assert_eq!(placement.mismatches, [], "the sums of section 3 hold");
    let expected = format!(
        r#"{{"orderType":"DELIVERY","orderTiming":"IMMEDIATE","items":[{{"observations":"{CANARY}","unitPrice":30.00,"totalPrice":70.00,"options":[{{"unitPrice":5.0,"price":5.0,"observations":"{CANARY}","id":"d1","name":"Borda"}}],"index":1,"price":60.00,"optionsPrice":10.0,"id":"a1","name":"Pizza","unit":"UN","externalCode":"P1","quantity":2}}],"benefits":[{{"value":5,"target":"CART","sponsorshipValues":[{{"name":"MARKETPLACE","value":5}}]}}],"payments":{{"methods":[{{"type":"OFFLINE","prepaid":false,"cash":{{"changeFor":100.0}},"value":73.00,"currency":"BRL","method":"CASH"}}],"prepaid":0,"pending":73.00}},"customer":{{"phone":{{"localizer":"{CANARY}","number":"0800"}},"id":"c1","name":"{CANARY}","ordersCountOnMerchant":3}},"delivery":{{"deliveryDateTime":"2026-11-20T12:45:00Z","deliveryAddress":{{"streetName":"{CANARY}","streetNumber":"1","neighborhood":"Centro","openDelivery.streetName":"kept","coordinates":{{"latitude":-23.55000,"longitude":-46.63}}}},"deliveredBy":"MARKETPLACE","openDelivery.deliveryDateTime":"2026-11-20T12:50:00Z","pickupCode":"{CANARY}"}},"additionalFees":[{{"type":"SMALL_ORDER_FEE","value":1.0,"observations":"{CANARY}","name":"min","receivedBy":"MARKETPLACE"}}],"deliveryFees":[{{"type":"DELIVERY_FEE","value":7.00,"name":"frete","receivedBy":"MERCHANT"}}],"total":{{"subTotal":70.00,"benefits":5,"orderAmount":73.00,"deliveryFee":7.00,"additionalFees":1.00}},"currency":"BRL","id":"{}","displayId":"4821","createdAt":"2026-11-20T12:00:00Z","sendTracking":true,"preparationStartDateTime":"2026-11-20T12:00:00Z","merchant":{{"id":"{merchant}","name":"Plaza"}}}}"#,
        ORDER_ID.to_uppercase()
    );
    assert_eq!(std::str::from_utf8(&placement.body).unwrap(), expected);
}

#[test]
fn open_delivery_blocks_and_payments_of_the_other_kinds() {
    let body = format!(
        r#"{{"id":"{ORDER_ID}","type":"INDOOR","displayId":"1","createdAt":"2026-11-20T12:00:00Z","orderTiming":"SCHEDULED",
 "schedule":{{"scheduledDateTimeStart":"2026-11-20T13:00:00Z","scheduledDateTimeEnd":"2026-11-20T13:30:00Z"}},"merchant":{{"id":"{MERCHANT_ID}"}},
 "items":[],"total":{{"orderAmount":{{"value":10,"currency":"BRL"}},"otherFees":{{"value":2,"currency":"USD"}}}},
 "payments":{{"prepaid":10,"pending":0,"methods":[{{"type":"PREPAID","method":"DIGITAL_WALLET","methodInfo":"w","brand":"VISA"}},{{"type":"NEW","method":"PIX"}}]}},
 "indoor":{{"mode":"PLACE","indoorDateTime":"2026-11-20T13:10:00Z","place":"7"}},"additionalFees":3}}"#
    );
    let placement = placement(&body);
    assert_eq!(placement.merchant, MerchantReference::Id(MERCHANT_ID.parse().unwrap()));
    assert_eq!(placement.facts.promised_at, Some("2026-11-20T13:30:00Z".parse().unwrap()));
    assert_eq!(placement.mismatches, [SumMismatch::Currency]);
    let text = std::str::from_utf8(&placement.body).unwrap();
    for part in [
        r#""schedule":{"deliveryDateTimeStart":"2026-11-20T13:00:00Z","deliveryDateTimeEnd":"2026-11-20T13:30:00Z"}"#,
        r#"{"type":"ONLINE","prepaid":true,"card":{"brand":"VISA"},"wallet":{"name":"w"},"method":"DIGITAL_WALLET"}"#,
        r#"{"type":"NEW","method":"PIX"}"#,
        r#""indoor":{"deliveryDateTime":"2026-11-20T13:10:00Z","table":"7","mode":"PLACE"}"#,
        r#""total":{"orderAmount":10,"deliveryFee":0,"additionalFees":2}"#,
        r#""additionalFees":3"#,
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
}

/// Message, reason, detail.
fn bad_messages() -> Vec<(String, Reason, &'static str)> {
    let (native_order, od) = (native(&order()), open_delivery());
    let placed = |from: &str, to: &str| {
        assert!(native_order.contains(from), "{from}");
        native_order.replacen(from, to, 1)
    };
    let delivered = |from: &str, to: &str| {
        assert!(od.contains(from), "{from}");
        od.replacen(from, to, 1)
    };
    let quoted = format!("\"{CANARY}\"");
    let malformed = |body: String, detail: &'static str| (body, Reason::Malformed, detail);
    vec![
        malformed(CANARY.to_owned(), "not JSON at line 1 column 1"),
        malformed(format!("[\"{CANARY}\"]"), "the message: expected an object, found an array"),
        malformed("{}".to_owned(), "type: required, but absent"),
        malformed(format!("{native_order}{CANARY}"), "not JSON at line 9 column 105"),
        malformed(
            placed("\"id\":\"m-1\"", &format!("\"id\":\"{}\"", CANARY.repeat(12))),
            "id: expected 1 to 128 characters",
        ),
        malformed(placed("\"id\":\"m-1\"", "\"id\":\"\""), "id: expected 1 to 128 characters"),
        malformed(placed("\"source\":\"app\"", "\"source\":null"), "source: required, but absent"),
        malformed(
            placed("\"source\":\"app\"", "\"source\":\"a\",\"source\":\"b\""),
            "the message: a field name appears twice",
        ),
        malformed(
            placed("\"occurredAt\":\"2026-11-20T12:00:00Z\"", &format!("\"occurredAt\":{quoted}")),
            "occurredAt: expected an RFC 3339 instant with an offset, such as 2026-11-20T12:00:00.123Z",
        ),
        malformed(placed(&format!("\"{ORDER_ID}\""), &quoted), "order.id: expected a UUID of 36 characters"),
        malformed(
            placed(&format!("\"{MERCHANT_ID}\""), &quoted),
            "order.merchant.id: expected a UUID of 36 characters",
        ),
        malformed(
            placed("\"displayId\":\"4821\"", "\"displayId\":4821"),
            "order.displayId: expected a string, found a number",
        ),
        malformed(placed("\"DELIVERY\"", &quoted), "order.orderType: expected DELIVERY, TAKEOUT, DINE_IN or INDOOR"),
        malformed(
            placed("\"quantity\":2", &format!("\"quantity\":{quoted}")),
            "order.items[0].quantity: expected a number, found a string",
        ),
        malformed(placed("\"unitPrice\":30.00,", ""), "order.items[0].unitPrice: required, but absent"),
        malformed(
            placed("\"orderAmount\":68.0", "\"orderAmount\":true"),
            "order.total.orderAmount: expected a number, found a boolean",
        ),
        malformed(placed("\"delivery\":", "\"delivery2\":"), "order.delivery: required, but absent"),
        malformed(placed("\"customer\":", "\"total\":{},\"customer\":"), "order: a field name appears twice"),
        malformed(
            placed("\"customer\":", "\"x\":\"\\ud800\",\"customer\":"),
            "a string holds half of a surrogate pair",
        ),
        malformed(update("\"type\":\"PLACED\""), "order: required, but absent"),
        malformed(
            update(&format!("\"type\":\"CON\",\"orderId\":{quoted}")),
            "orderId: expected a UUID of 36 characters",
        ),
        malformed(
            update(&format!("\"type\":\"CON\",\"orderId\":\"{ORDER_ID}\",\"metadata\":{quoted}")),
            "metadata: expected an object, found a string",
        ),
        (
            update(&format!("\"type\":{quoted}")),
            Reason::UnknownType,
            "type: expected a code or fullCode of an order event",
        ),
        (
            cloud_event(&format!("\"type\":\"comanda.order.{CANARY}.v1\"")),
            Reason::UnknownType,
            "type: expected comanda.order.<fullCode in lower case>.v1",
        ),
        malformed(
            cloud_event("\"type\":\"comanda.order.placed.v1\"").replace("1.0", "2.0"),
            "specversion: expected 1.0",
        ),
        malformed(
            cloud_event(&format!("\"type\":\"comanda.order.placed.v1\",\"data\":{quoted}")),
            "data: expected an object, found a string",
        ),
        malformed(
            cloud_event(&format!(
                "\"type\":\"comanda.order.placed.v1\",\"data\":{{\"order\":{}}}",
                order().replace("\"name\":\"Pizza\",", "")
            )),
            "data.order.items[0].name: required, but absent",
        ),
        malformed(delivered("22815773000169-dbc7e35a-", ""), "merchant.id: expected 36 to 100 characters"),
        malformed(
            delivered("\"value\":30.00", &format!("\"value\":{quoted}")),
            "items[0].unitPrice.value: expected a number, found a string",
        ),
        malformed(
            delivered("\"orderAmount\":{\"value\":73.00,\"currency\":\"BRL\"}", "\"orderAmount\":73.00"),
            "total.orderAmount: expected an object, found a number",
        ),
        malformed(delivered("\"delivery\":{", "\"delivery2\":{"), "delivery: required, but absent"),
        malformed(delivered("\"customer\":{", "\"customer\":{\"id\":1,"), "customer: a field name appears twice"),
        (
            format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX)),
            Reason::TooLarge,
            "196610 bytes, at most 196608 are accepted",
        ),
    ]
}

#[test]
fn a_bad_message_is_refused_by_path_and_never_by_value() {
    for (body, reason, detail) in bad_messages() {
        let invalid = parse(&body).unwrap_err();
        assert_eq!((invalid.reason, invalid.detail.as_str()), (reason, detail), "{body:.300}");
        assert!(!format!("{invalid} {invalid:?}").contains(CANARY));
    }
}

#[test]
fn the_largest_and_deepest_message_is_accepted() {
    let message = native(&order());
    let filler = "x".repeat(MESSAGE_BYTES_MAX - message.len() - 11);
    let largest = message.replacen('{', &format!("{{\"pad\":\"{filler}\",  "), 1);
    assert_eq!(largest.len(), MESSAGE_BYTES_MAX);
    assert!(parse(&largest).is_ok());
    let nested =
        |levels: usize| order().replacen("[1.10,1e2]", &format!("{}{}", "[".repeat(levels), "]".repeat(levels)), 1);
    assert!(parse(&native(&nested(30))).is_ok());
    assert_eq!(parse(&native(&nested(31))).unwrap_err().detail, "nested deeper than 32 levels");
}

#[test]
fn formatting_a_submission_shows_nothing_personal() {
    for body in [native(&order()), open_delivery()] {
        assert!(!format!("{:?}", parse(&body).unwrap()).contains(CANARY));
    }
}

fn json() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "id",
        "type",
        "source",
        "order",
        "orderId",
        "items",
        "total",
        "value",
        "specversion",
        "data",
        "merchant",
        "delivery",
        "otherFees",
        "price",
        "otherName",
        "payments",
        "methods",
        "orderAmount",
        "createdAt",
        "displayId",
        "metadata",
    ]);
    let text = prop_oneof![
        Just(ORDER_ID.to_owned()),
        Just("DELIVERY".to_owned()),
        Just("CON".to_owned()),
        Just("2026-11-20T12:00:00Z".to_owned()),
        any::<String>(),
    ];
    let number = prop_oneof!["-?[0-9]{1,40}", "[1-9][0-9]{0,3}\\.[0-9]{1,40}", "[1-9]e[+-]?[0-9]{1,9}"];
    let leaf = prop_oneof![
        text.prop_map(|text| writer::quoted(&text)),
        number,
        Just("null".to_owned()),
        Just("true".to_owned())
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| writer::array(&elements)),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// A decimal as JSON writes it.
fn amount() -> impl Strategy<Value = String> {
    "(0|[1-9][0-9]{0,6})(\\.[0-9]{1,12})?"
}

proptest! {
    #[test]
    fn nothing_panics(body in prop_oneof![json(), any::<String>()]) {
        let _ = parse(&body);
    }

    #[test]
    fn nothing_panics_inside_an_open_delivery_order(value in json(), at in 0..12usize) {
        let body = open_delivery();
        let field = ["otherFees", "discounts", "total", "payments", "customer", "delivery", "items", "merchant", "schedule", "indoor", "orderTiming", "additionalFees"][at];
        let replaced = body.replacen(&format!("\"{field}\":"), &format!("\"{field}\":{value},\"old\":"), 1);
        if let Ok(submission) = parse(&replaced) && let Content::Place(placement) = submission.content {
            let text = std::str::from_utf8(&placement.body).unwrap();
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        }
    }

    #[test]
    fn decimals_survive_digit_for_digit(unit in amount(), quantity in amount(), total in amount()) {
        let order = order().replace("30.00", &unit).replace("\"quantity\":2", &format!("\"quantity\":{quantity}"));
        prop_assert_eq!(&placement(&native(&order)).body, order.as_bytes());
        // One value may hold the digits that stand for another.
        let marked = open_delivery().replace("30.00", "<unit>").replace("73.00", "<total>");
        let od = marked.replace("\"quantity\":2", &format!("\"quantity\":{quantity}")).replace("<unit>", &unit).replace("<total>", &total);
        let body = placement(&od).body;
        let text = std::str::from_utf8(&body).unwrap();
        for part in [format!("\"unitPrice\":{unit},"), format!("\"quantity\":{quantity}}}"), format!("\"orderAmount\":{total},")] {
            prop_assert!(text.contains(&part), "{} not in {}", part, text);
        }
    }
}

mod hostile {
    use hostile_inputs::{json_of, text_of};
    use serde_json::Value;

    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn messages() -> Vec<Value> {
        let data = format!(r#""type":"comanda.order.placed.v1","data":{{"order":{}}}"#, order());
        let dispute = format!(
            r#""type":"HSD","orderId":"{ORDER_ID}","metadata":{{"disputeId":"d","expiresAt":"2026-11-20T12:00:00Z","x":[1.50]}}"#
        );
        [native(&order()), open_delivery(), cloud_event(&data), update(&dispute)]
            .iter()
            .map(|text| value(text))
            .collect()
    }

    fn any_message() -> impl Strategy<Value = String> {
        prop::sample::select(messages()).prop_flat_map(json_of)
    }

    /// All that a reader has to find; nothing else is looked at.
    #[derive(serde::Deserialize)]
    struct Served {
        id: String,
    }

    /// What is accepted can be served: it is one JSON object, in which the next reader finds the same order.
    fn check(body: &str) {
        let Ok(submission) = parse(body) else { return };
        assert!(body.len() <= MESSAGE_BYTES_MAX && !submission.source.is_empty() && !submission.message_id.is_empty());
        let Content::Place(placed) = submission.content else { return };
        let text = std::str::from_utf8(&placed.body).unwrap();
        let read: Served = serde_json::from_str(text).unwrap();
        assert_eq!(read.id.parse(), Ok(placed.order), "{text:.300}");
    }

    #[test]
    fn the_samples_are_accepted() {
        for message in messages() {
            parse(&message.to_string()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_message_is_refused_or_can_be_served(body in any_message()) {
            check(&body);
        }

        #[test]
        fn a_text_is_refused_or_can_be_served(body in text_of(native(&order()))) {
            check(&body);
        }

        /// An order that came in our own form is served as it stands, in whatever message it comes.
        #[test]
        fn an_order_of_ours_is_refused_or_survives(order in json_of(value(&order()))) {
            if let Ok(submission) = parse(&native(&order)) && let Content::Place(placed) = submission.content {
                prop_assert_eq!(std::str::from_utf8(&placed.body).unwrap(), order.trim());
                let again = parse(&native(std::str::from_utf8(&placed.body).unwrap())).map(|again| again.content);
                prop_assert!(matches!(again, Ok(Content::Place(again)) if again.body == placed.body));
            }
        }

        #[test]
        fn no_part_of_it_is_told(order in json_of(value(&order()))) {
            if let Err(invalid) = parse(&native(&order)) {
                let told = format!("{invalid} {invalid:?}");
                prop_assert!(!told.contains(CANARY) && told.len() < 2_000, "{:.300}", told);
            }
        }
    }
}
