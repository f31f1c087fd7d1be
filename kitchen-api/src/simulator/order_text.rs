//! The order that is simulated, as text: every sum adds up, and everything personal in it is invented.
//!
//! Pure. Money is counted in cents and written as decimals; nothing goes through a float.

use std::time::Duration;

use order_model::lifecycle::{DeliveredBy, OrderType};
use order_model::{MerchantId, OrderId, Timestamp};
use proto::gateway_core::OrderFacts;

use super::request::{COURIERS, ORDER_TYPES, Scenario, TIMINGS, Timing, Wanted, name_of};
use crate::merchants::uuid_text;

/// What an order came through.
const SALES_CHANNEL: &str = "IFOOD";
/// What the kitchen and the way take.
const IMMEDIATE_AFTER: Duration = Duration::from_secs(45 * 60);
/// How far ahead a scheduled order is wanted.
const SCHEDULED_AFTER: Duration = Duration::from_secs(2 * 60 * 60);
/// How long the window of a scheduled order is, and how long before it preparing begins.
const WINDOW: Duration = Duration::from_secs(30 * 60);

const PIZZA_CENTS: u32 = 3_000;
const BORDER_CENTS: u32 = 500;
const SODA_CENTS: u32 = 850;
const DELIVERY_FEE_CENTS: u32 = 700;
const DISCOUNT_CENTS: u32 = 1_000;
/// Two pizzas with one border, and a soda.
const SUB_TOTAL_CENTS: u32 = 2 * PIZZA_CENTS + BORDER_CENTS + SODA_CENTS;

/// An order and what the core needs to know of it.
pub(super) struct OrderText {
    pub(super) body: String,
    pub(super) facts: OrderFacts,
}

/// Writes the order `id` that `wanted` asks for, placed at `now`; `merchant_name` as it is shown.
pub(super) fn write(id: OrderId, wanted: &Wanted, merchant_name: &str, now: Timestamp) -> OrderText {
    let Wanted { merchant, order_type, delivered_by, timing, category, scenario } = *wanted;
    let (promised, window_end, preparation) = match timing {
        Timing::Immediate => (now.plus(IMMEDIATE_AFTER), None, now),
        Timing::Scheduled => {
            let promised = now.plus(SCHEDULED_AFTER);
            (promised, Some(promised.plus(WINDOW)), promised.minus(WINDOW))
        }
    };
    let schedule = window_end
        .map(|end| format!(r#""schedule":{{"deliveryDateTimeStart":"{promised}","deliveryDateTimeEnd":"{end}"}},"#));
    let (type_name, timing_name) = (name_of(&ORDER_TYPES, &order_type), name_of(&TIMINGS, &timing));
    let body = format!(
        r#"{{"id":"{id}","displayId":"{display_id}","orderType":"{type_name}","orderTiming":"{timing_name}","salesChannel":"{SALES_CHANNEL}","category":"{category}","createdAt":"{now}","preparationStartDateTime":"{preparation}","isTest":true,"extraInfo":"Pedido simulado","merchant":{merchant},"customer":{customer},"items":{items},{money},{schedule}{block}}}"#,
        display_id = display_id(id),
        merchant = merchant_text(merchant, merchant_name),
        customer = customer(id),
        items = items(id),
        money = money(order_type, scenario),
        schedule = schedule.unwrap_or_default(),
        block = block(order_type, delivered_by, promised),
    );
    let is_delivery = order_type == OrderType::Delivery;
    let facts = OrderFacts {
        order_type: type_name.to_owned(),
        delivered_by: if is_delivery { name_of(&COURIERS, &delivered_by).to_owned() } else { String::new() },
        category: category.to_owned(),
        sales_channel: SALES_CHANNEL.to_owned(),
        order_timing: timing_name.to_owned(),
        promised_at_ms: window_end.unwrap_or(promised).unix_ms(),
        preparation_start_ms: preparation.unix_ms(),
        is_test: true,
    };
    OrderText { body, facts }
}

/// Four digits, as people call an order.
fn display_id(id: OrderId) -> String {
    let bytes = id.as_bytes();
    format!("{:04}", u16::from_be_bytes([bytes[0], bytes[1]]) % 10_000)
}

/// An id for a part of the order, the same one each time it is written.
fn part_id(order: OrderId, part: u8) -> String {
    let mut bytes = *order.as_bytes();
    bytes[15] ^= part;
    uuid_text(bytes)
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn merchant_text(merchant: MerchantId, name: &str) -> String {
    format!(r#"{{"id":"{merchant}","name":{}}}"#, json_text(name))
}

fn customer(order: OrderId) -> String {
    format!(
        r#"{{"id":"{}","name":"Cliente de Teste","ordersCountOnMerchant":0,"phone":{{"number":"0800 000 0000","localizer":"12345678"}}}}"#,
        part_id(order, 1)
    )
}

fn items(order: OrderId) -> String {
    let (pizza, border, soda) = (decimal(PIZZA_CENTS), decimal(BORDER_CENTS), decimal(SODA_CENTS));
    let (pizzas, with_border) = (decimal(2 * PIZZA_CENTS), decimal(2 * PIZZA_CENTS + BORDER_CENTS));
    let [first, option, second] = [2, 3, 4].map(|part| part_id(order, part));
    format!(
        r#"[{{"index":1,"id":"{first}","uniqueId":"{first}","name":"Pizza Margherita","externalCode":"PIZZA-1","unit":"UN","quantity":2,"unitPrice":{pizza},"addition":0,"price":{pizzas},"optionsPrice":{border},"totalPrice":{with_border},"observations":"sem cebola","options":[{{"index":1,"id":"{option}","name":"Borda recheada","groupName":"Bordas","externalCode":"BORDA-1","unit":"UN","quantity":1,"unitPrice":{border},"addition":0,"price":{border}}}]}},{{"index":2,"id":"{second}","uniqueId":"{second}","name":"Guaraná 1 L","externalCode":"REFRI-1","unit":"UN","quantity":1,"unitPrice":{soda},"addition":0,"price":{soda},"optionsPrice":0,"totalPrice":{soda}}}]"#
    )
}

/// Benefits, totals and payments.
fn money(order_type: OrderType, scenario: Scenario) -> String {
    let fee = if order_type == OrderType::Delivery { DELIVERY_FEE_CENTS } else { 0 };
    let discount = if scenario == Scenario::Discount { DISCOUNT_CENTS } else { 0 };
    let total = SUB_TOTAL_CENTS + fee - discount;
    let benefits = if discount > 0 {
        let (platform, own) = (decimal(discount - discount / 4), decimal(discount / 4));
        format!(
            r#""benefits":[{{"value":{},"target":"CART","sponsorshipValues":[{{"name":"IFOOD","value":{platform}}},{{"name":"MERCHANT","value":{own}}}]}}],"#,
            decimal(discount)
        )
    } else {
        String::new()
    };
    let is_prepaid = scenario == Scenario::Prepaid;
    let (prepaid, pending) = if is_prepaid { (total, 0) } else { (0, total) };
    let method = match scenario {
        Scenario::Standard | Scenario::Discount => r#""method":"PIX","type":"OFFLINE","prepaid":false"#.to_owned(),
        Scenario::Prepaid => r#""method":"CREDIT","type":"ONLINE","prepaid":true,"card":{"brand":"VISA"}"#.to_owned(),
        Scenario::CashWithChange => {
            let note = total.next_multiple_of(5_000);
            format!(r#""method":"CASH","type":"OFFLINE","prepaid":false,"cash":{{"changeFor":{}}}"#, decimal(note))
        }
    };
    format!(
        r#"{benefits}"total":{{"subTotal":{sub_total},"deliveryFee":{fee},"additionalFees":0,"benefits":{discount},"orderAmount":{amount}}},"payments":{{"prepaid":{prepaid},"pending":{pending},"methods":[{{"value":{amount},"currency":"BRL",{method}}}]}}"#,
        sub_total = decimal(SUB_TOTAL_CENTS),
        fee = decimal(fee),
        discount = decimal(discount),
        amount = decimal(total),
        prepaid = decimal(prepaid),
        pending = decimal(pending),
    )
}

/// The block for the order's type.
fn block(order_type: OrderType, delivered_by: DeliveredBy, promised: Timestamp) -> String {
    match order_type {
        OrderType::Delivery => format!(
            r#""delivery":{{"mode":"DEFAULT","deliveredBy":"{}","deliveryDateTime":"{promised}","pickupCode":"1234","deliveryAddress":{{"streetName":"Rua de Teste","streetNumber":"1","formattedAddress":"Rua de Teste, 1","neighborhood":"Centro","complement":"ap 2","postalCode":"01000000","city":"Sao Paulo","state":"SP","country":"BR","coordinates":{{"latitude":-23.55,"longitude":-46.63}}}}}}"#,
            name_of(&COURIERS, &delivered_by)
        ),
        OrderType::Takeout => format!(r#""takeout":{{"mode":"DEFAULT","takeoutDateTime":"{promised}"}}"#),
        OrderType::DineIn => format!(r#""dineIn":{{"deliveryDateTime":"{promised}"}}"#),
        OrderType::Indoor => format!(r#""indoor":{{"mode":"DEFAULT","deliveryDateTime":"{promised}","table":"7"}}"#),
    }
}

fn decimal(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use serde_json::Value;

    use super::super::request::{CATEGORIES, SCENARIOS};
    use super::*;

    fn amount(value: &Value) -> Decimal {
        value.to_string().parse().unwrap()
    }

    #[test]
    fn every_order_is_json_whose_sums_add_up() {
        let now = Timestamp::from_unix_ms(1_790_000_000_000);
        for (order_type, scenario) in
            ORDER_TYPES.iter().flat_map(|(_, kind)| SCENARIOS.iter().map(move |(_, scenario)| (*kind, *scenario)))
        {
            let timing = if scenario == Scenario::Discount { Timing::Scheduled } else { Timing::Immediate };
            let merchant = MerchantId::from_bytes([1; 16]);
            let delivered_by = DeliveredBy::Marketplace;
            let category = CATEGORIES[0].1;
            let wanted = Wanted { merchant, order_type, delivered_by, timing, category, scenario };
            let written = write(OrderId::from_bytes([9; 16]), &wanted, "Cantina \"A\"", now);
            let order: Value = serde_json::from_str(&written.body).unwrap();
            assert_eq!(
                (&order["isTest"], order["merchant"]["name"].as_str()),
                (&Value::Bool(true), Some("Cantina \"A\""))
            );
            let (total, payments) = (&order["total"], &order["payments"]);
            let of_items: Decimal =
                order["items"].as_array().unwrap().iter().map(|item| amount(&item["totalPrice"])).sum();
            assert_eq!(of_items, amount(&total["subTotal"]));
            let due = amount(&total["subTotal"]) + amount(&total["deliveryFee"]) - amount(&total["benefits"]);
            assert_eq!(due, amount(&total["orderAmount"]), "{order_type:?} {scenario:?}");
            assert_eq!(due, amount(&payments["prepaid"]) + amount(&payments["pending"]));
            assert_eq!(due, amount(&payments["methods"][0]["value"]));
            assert_eq!(order.get("schedule").is_some(), timing == Timing::Scheduled);
            assert_eq!(order["orderType"], written.facts.order_type.as_str());
            assert!(written.facts.is_test && written.facts.promised_at_ms > now.unix_ms());
            if order_type == OrderType::Delivery {
                assert_eq!(order["delivery"]["deliveredBy"], "MARKETPLACE");
            }
        }
    }
}
