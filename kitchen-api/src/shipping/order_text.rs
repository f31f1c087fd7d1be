//! The order that is placed for one made outside, as text. Pure.
//!
//! Its sums are made of what was sent, in whole cents; quantities and `metadata` stay the text they were. The merchant delivers it as
//! far as the core is concerned: a courier of the platform is asked for, and comes or does not.

use std::time::Duration;

use order_model::{MerchantId, OrderId, Timestamp};
use proto::gateway_core::OrderFacts;
use serde_json::{Value, json};

use super::order_request::{Customer, Item, Method, Wanted};
use crate::catalog::money::Money;
use crate::idempotency::derived;
use crate::merchants::uuid_text;
use crate::store::kept::Quote;

/// What an order made outside came through.
const SALES_CHANNEL: &str = "POS";
const CATEGORY: &str = "FOOD";

/// For whom, under which id and when an order is written.
pub(super) struct Frame<'a> {
    pub(super) order: OrderId,
    pub(super) merchant: MerchantId,
    pub(super) merchant_name: &'a str,
    pub(super) is_test: bool,
    pub(super) quote: &'a Quote,
    pub(super) now: Timestamp,
}

/// Writes the order.
pub(super) fn write(frame: &Frame<'_>, wanted: &Wanted) -> String {
    let Frame { order, merchant, merchant_name, is_test, now, .. } = frame;
    let items = wanted.items.iter().enumerate().map(|(at, one)| item(*order, at, one));
    let mut fields = vec![
        ("id", text(&order.to_string())),
        ("displayId", text(&wanted.display_id.clone().unwrap_or_else(|| display_id(*order)))),
        ("orderType", text("DELIVERY")),
        ("orderTiming", text("IMMEDIATE")),
        ("salesChannel", text(SALES_CHANNEL)),
        ("category", text(CATEGORY)),
        ("createdAt", text(&now.to_string())),
        ("preparationStartDateTime", text(&now.to_string())),
        ("isTest", is_test.to_string()),
        ("extraInfo", text("")),
        ("merchant", json!({ "id": merchant.to_string(), "name": merchant_name }).to_string()),
        ("customer", customer(*order, &wanted.customer)),
        ("items", array(items)),
        ("total", total(wanted)),
        ("payments", payments(&wanted.methods)),
        ("delivery", delivery(frame, wanted)),
    ];
    if let Some(metadata) = &wanted.metadata {
        fields.push(("additionalInfo", object(&[("metadata", metadata.clone())])));
    }
    object(&fields)
}

/// What the core has to know of it.
pub(super) fn facts(frame: &Frame<'_>, wanted: &Wanted) -> OrderFacts {
    OrderFacts {
        order_type: "DELIVERY".to_owned(),
        delivered_by: "MERCHANT".to_owned(),
        category: CATEGORY.to_owned(),
        sales_channel: SALES_CHANNEL.to_owned(),
        order_timing: "IMMEDIATE".to_owned(),
        promised_at_ms: promised_at(frame, wanted).unix_ms(),
        preparation_start_ms: frame.now.unix_ms(),
        is_test: frame.is_test,
    }
}

/// The latest arrival that was quoted, after the goods are ready.
fn promised_at(frame: &Frame<'_>, wanted: &Wanted) -> Timestamp {
    frame.now.plus(Duration::from_secs(u64::from(wanted.preparation_s))).plus(frame.quote.within)
}

/// Four digits, as people call an order.
fn display_id(order: OrderId) -> String {
    let bytes = order.as_bytes();
    format!("{:04}", u16::from_be_bytes([bytes[0], bytes[1]]) % 10_000)
}

fn customer(order: OrderId, customer: &Customer) -> String {
    let id = uuid_text(derived(b"customer", order.as_bytes()));
    json!({ "id": id, "name": customer.name, "phone": { "number": customer.phone } }).to_string()
}

fn item(order: OrderId, at: usize, item: &Item) -> String {
    let unique = uuid_text(derived(format!("item {at}").as_bytes(), order.as_bytes()));
    let options = item.options.iter().enumerate().map(|(at, option)| object(&common(at, option)));
    let mut fields = common(at, item);
    fields.extend([
        ("uniqueId", text(&unique)),
        ("optionsPrice", item.options_price.text()),
        ("totalPrice", item.total_price.text()),
        ("options", array(options)),
    ]);
    object(&fields)
}

/// What items and options have in common.
fn common(at: usize, item: &Item) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("index", (at + 1).to_string()),
        ("id", text(&item.id)),
        ("name", text(&item.name)),
        ("externalCode", item.external_code.as_deref().map_or_else(|| "null".to_owned(), text)),
        ("unit", text(&item.unit)),
        ("quantity", item.quantity.clone()),
        ("unitPrice", item.unit_price.text()),
        ("addition", "0".to_owned()),
        ("price", item.price.text()),
    ];
    let said = [("groupName", &item.group_name), ("observations", &item.observations)];
    fields.extend(said.into_iter().filter_map(|(name, said)| Some((name, text(said.as_deref()?)))));
    fields
}

fn total(wanted: &Wanted) -> String {
    let sub_total = sum(wanted.items.iter().map(|item| item.total_price));
    object(&[
        ("subTotal", decimal(sub_total)),
        ("deliveryFee", wanted.merchant_fee.text()),
        ("additionalFees", "0".to_owned()),
        ("benefits", "0".to_owned()),
        ("orderAmount", decimal(sub_total + wanted.merchant_fee.cents())),
    ])
}

fn payments(methods: &[Method]) -> String {
    let paid = |is_prepaid| sum(methods.iter().filter(|one| one.is_prepaid == is_prepaid).map(|one| one.value));
    object(&[
        ("prepaid", decimal(paid(true))),
        ("pending", decimal(paid(false))),
        ("methods", array(methods.iter().map(method))),
    ])
}

fn method(method: &Method) -> String {
    let mut fields = vec![
        ("value", method.value.text()),
        ("currency", text("BRL")),
        ("method", text(&method.method)),
        ("type", text(if method.is_prepaid { "ONLINE" } else { "OFFLINE" })),
        ("prepaid", method.is_prepaid.to_string()),
    ];
    if let Some(brand) = &method.card_brand {
        fields.push(("card", json!({ "brand": brand }).to_string()));
    }
    object(&fields)
}

/// With what the courier costs, which the quote no longer tells once it is gone.
fn delivery(frame: &Frame<'_>, wanted: &Wanted) -> String {
    let Frame { quote, .. } = frame;
    object(&[
        ("mode", text("DEFAULT")),
        ("deliveredBy", text("MERCHANT")),
        ("deliveryDateTime", text(&promised_at(frame, wanted).to_string())),
        ("quote", object(&[("id", text(&quote.id)), ("netValue", decimal(quote.fee_cents))])),
        ("deliveryAddress", wanted.address.to_json().to_string()),
    ])
}

/// Of at most some hundred amounts with a highest value each: it fits.
fn sum(amounts: impl Iterator<Item = Money>) -> u64 {
    amounts.map(Money::cents).sum()
}

/// Cents as a JSON number; a sum may be more than any price.
fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::super::order_request;
    use super::*;

    #[test]
    fn the_order_says_what_was_sent_and_its_sums_add_up() {
        let wanted = order_request::read(order_request::tests::sample().to_string().as_bytes()).ok().unwrap();
        let merchant = MerchantId::from_bytes([1; 16]);
        let now = Timestamp::from_unix_ms(1_790_000_000_000);
        let quote = Quote {
            id: wanted.quote.clone(),
            application: "pos".parse().unwrap(),
            merchant,
            distance_m: 1_000,
            fee_cents: 649,
            within: Duration::from_secs(1_680),
            valid_until: now,
        };
        let order = OrderId::from_bytes([9; 16]);
        let frame = Frame { order, merchant, merchant_name: "Cantina \"A\"", is_test: true, quote: &quote, now };
        let written = write(&frame, &wanted);
        for decimal in [
            r#""total":{"subTotal":75.50,"deliveryFee":7.90,"additionalFees":0,"benefits":0,"orderAmount":83.40}"#,
            r#""payments":{"prepaid":50.00,"pending":33.40,"methods":"#,
            r#""quantity":0.25,"unitPrice":40.00,"addition":0,"price":10.00"#,
            r#""quote":{"id":"57cd1046-2e06-446f-a2dd-18a518212c3c","netValue":6.49}"#,
        ] {
            assert!(written.contains(decimal), "{decimal} in {written}");
        }
        assert!(written.ends_with(r#""additionalInfo":{"metadata":{"table":1.5}}}"#), "{written}");
        let read: Value = serde_json::from_str(&written).unwrap();
        assert_eq!((&read["displayId"], &read["merchant"]["name"]), (&json!("A-17"), &json!("Cantina \"A\"")));
        assert_eq!(read["customer"]["phone"]["number"], "+55 11 999990000");
        assert_eq!(read["items"][0]["options"][0]["name"], "Borda");
        assert_eq!(read["payments"]["methods"][0]["card"]["brand"], "VISA");
        let facts = facts(&frame, &wanted);
        assert_eq!(facts.promised_at_ms, now.unix_ms() + (600 + 1_680) * 1_000);
        assert_eq!((facts.order_type.as_str(), facts.delivered_by.as_str()), ("DELIVERY", "MERCHANT"));
        assert_eq!(write(&frame, &wanted), written, "the same each time");
    }
}
