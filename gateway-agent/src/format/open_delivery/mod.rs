//! An Open Delivery 1.7.0 order turned into the order of PARTNER_API, section 3 (field by field: section 4).
//!
//! Called by [`super::parse`]. Required is what CONTRACT requires of any order, in Open Delivery's spelling. What has no
//! counterpart is kept as an unknown field where it stood. Prices `{value, currency}` become decimals, digit for digit;
//! the order's currency is kept as the field `currency`. Our own id of the merchant is deliberately absent: the core resolves
//! the POS's string.

mod blocks;
mod items;
mod money;
mod table;

use serde_json::value::RawValue;

use super::invalid::{Invalid, Path};
use super::json;
use super::located::Located;
use super::order::{self, MerchantIds};
use super::{Content, Format, Submission, SumMismatch, digest};
use money::Money;
use table::{Rule, rule};

/// The source of every Open Delivery order: the key of the message is the order's id alone.
const SOURCE: &str = "opendelivery";

/// What becomes of the fields of an order.
const ORDER: &[Rule] = &[
    rule("type", "orderType", table::same),
    rule("orderTiming", "orderTiming", blocks::timing),
    rule("items", "items", items::items),
    rule("discounts", "benefits", money::benefits),
    rule("customer", "customer", blocks::customer),
    rule("schedule", "schedule", blocks::schedule),
    rule("delivery", "delivery", blocks::delivery),
    rule("indoor", "indoor", blocks::indoor),
    rule("payments", "payments", blocks::payments),
];

/// Reads an Open Delivery order.
pub(crate) fn read(document: &RawValue, message: &Located<'_, '_>) -> Result<Submission, Invalid> {
    check(message)?;
    let mut money = Money::of(message)?;
    let body = convert(message, &mut money)?;
    let converted = json::document(&body)?;
    let placed = Located::open(Path::ROOT, converted)?;
    let mut placement = order::read(&placed, body.clone(), MerchantIds::OpenDelivery)?;
    placement.mismatches.extend(money.currencies_differ.then_some(SumMismatch::Currency));
    Ok(Submission {
        format: Format::OpenDelivery,
        source: SOURCE.to_owned(),
        // Rendered anew, so that two spellings of one UUID are one key.
        message_id: placement.order.to_string(),
        digest: digest::of_order(document),
        occurred_at: Some(message.instant("createdAt")?),
        trace: event_feed::TraceId::default(),
        content: Content::Place(Box::new(placement)),
    })
}

/// Looks for what is required, so that an error names the field as its producer knows it.
fn check(message: &Located<'_, '_>) -> Result<(), Invalid> {
    message.id::<order_model::OrderId>("id")?;
    message.text("displayId")?;
    message.instant("createdAt")?;
    order::merchant(message, MerchantIds::OpenDelivery)?;
    let items = message.path.field("items");
    for (index, item) in message.elements("items")?.into_iter().enumerate() {
        let item = Located::open(items.position(index), item)?;
        item.text("name")?;
        item.number("quantity")?;
        item.object("unitPrice")?.number("value")?;
        item.object("totalPrice")?.number("value")?;
    }
    message.object("total")?.object("orderAmount")?.number("value")?;
    if let Some(block) = order::block_of(&message.text("type")?) {
        message.object(block)?;
    }
    Ok(())
}

fn convert(message: &Located<'_, '_>, money: &mut Money) -> Result<String, Invalid> {
    let (fees, total) = money::fees_and_total(message, money)?;
    let mut order = table::convert(message, ORDER, &["otherFees", "total"], money)?;
    if let Some(fees) = &fees.additional {
        order.put("additionalFees", fees);
    }
    if let Some(fees) = &fees.delivery {
        order.put("deliveryFees", fees);
    }
    order.put("total", &total);
    if let Some(currency) = &money.currency {
        order.put_text("currency", currency);
    }
    Ok(order.finish())
}
