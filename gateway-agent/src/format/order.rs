//! An order in the shape of PARTNER_API, section 3: what it must have, and the facts the lifecycle needs of it.
//!
//! Called for native and CloudEvents orders and for converted Open Delivery ones. Everything else in an order is
//! deliberately not looked at: unknown fields and enum values are kept and served unchanged.

use order_model::Timestamp;
use serde_json::value::RawValue;

use super::invalid::{Invalid, Path};
use super::json;
use super::located::Located;
use super::{Facts, MerchantReference, Placement, sums};

/// The length of an Open Delivery merchant id, characters (opendelivery-1.7.0.yaml, Order.merchant.id).
const OPEN_DELIVERY_MERCHANT_CHARS: (usize, usize) = (36, 100);

/// Which ids of a merchant an order may carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MerchantIds {
    /// Our UUIDs.
    OursOnly,
    /// Also the POS's own strings.
    OpenDelivery,
}

/// Reads `order`, whose text is `body`.
pub(crate) fn read(order: &Located<'_, '_>, body: String, merchant_ids: MerchantIds) -> Result<Placement, Invalid> {
    let id = order.id("id")?;
    order.text("displayId")?;
    order.instant("createdAt")?;
    let order_type = order.text("orderType")?;
    let block = block_of(&order_type)
        .ok_or_else(|| Invalid::at(order.path.field("orderType"), "expected DELIVERY, TAKEOUT, DINE_IN or INDOOR"))?;
    let merchant = merchant(order, merchant_ids)?;
    for (index, item) in order.elements("items")?.into_iter().enumerate() {
        check_item(order.path.field("items"), index, item)?;
    }
    order.object("total")?.number("orderAmount")?;
    let facts = facts(order, &order_type, &order.object(block)?)?;
    Ok(Placement { order: id, merchant, facts, mismatches: sums::mismatches(&order.object), body: body.into() })
}

/// The name of the block an order of this type must have.
pub(crate) fn block_of(order_type: &str) -> Option<&'static str> {
    match order_type {
        "DELIVERY" => Some("delivery"),
        "TAKEOUT" => Some("takeout"),
        "DINE_IN" => Some("dineIn"),
        "INDOOR" => Some("indoor"),
        _ => None,
    }
}

/// The merchant an order names.
pub(crate) fn merchant(order: &Located<'_, '_>, accepted: MerchantIds) -> Result<MerchantReference, Invalid> {
    let merchant = order.object("merchant")?;
    match (merchant.id("id"), accepted) {
        (Ok(id), _) => Ok(MerchantReference::Id(id)),
        (Err(invalid), MerchantIds::OursOnly) => Err(invalid),
        (Err(_), MerchantIds::OpenDelivery) => {
            let (min, max) = OPEN_DELIVERY_MERCHANT_CHARS;
            Ok(MerchantReference::OpenDelivery(merchant.text_of_length("id", min, max)?.into_owned()))
        }
    }
}

fn check_item(items: Path<'_>, index: usize, item: &RawValue) -> Result<(), Invalid> {
    let item = Located::open(items.position(index), item)?;
    item.text("name")?;
    for amount in ["quantity", "unitPrice", "totalPrice"] {
        item.number(amount)?;
    }
    Ok(())
}

fn facts(order: &Located<'_, '_>, order_type: &str, block: &Located<'_, '_>) -> Result<Facts, Invalid> {
    let text = |holder: &Located<'_, '_>, name: &str| holder.text_if_any(name).map(String::from).unwrap_or_default();
    let promised =
        ["deliveryDateTime", "takeoutDateTime"].into_iter().filter_map(|name| block.instant_if_any(name)).max();
    let scheduled: Option<Timestamp> =
        order.object_if_any("schedule")?.and_then(|schedule| schedule.instant_if_any("deliveryDateTimeEnd"));
    Ok(Facts {
        order_type: order_type.to_owned(),
        delivered_by: text(block, "deliveredBy"),
        category: text(order, "category"),
        sales_channel: text(order, "salesChannel"),
        order_timing: text(order, "orderTiming"),
        promised_at: promised.max(scheduled),
        preparation_start: order.instant_if_any("preparationStartDateTime"),
        is_test: order
            .object
            .get("isTest")
            .is_some_and(|value| json::kind(value) == "a boolean" && value.get() == "true"),
    })
}
