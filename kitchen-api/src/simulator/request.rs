//! What is asked of the simulator: which order to place. Pure; everything but the merchant may be left out.

use order_model::MerchantId;
use order_model::lifecycle::{DeliveredBy, OrderType};
use serde_json::Value;

use super::choice::{choice, object};
use crate::errors::ApiError;

/// The types of an order there are.
pub(crate) const ORDER_TYPES: [(&str, OrderType); 4] = [
    ("DELIVERY", OrderType::Delivery),
    ("TAKEOUT", OrderType::Takeout),
    ("DINE_IN", OrderType::DineIn),
    ("INDOOR", OrderType::Indoor),
];

/// Whose courier brings it.
pub(crate) const COURIERS: [(&str, DeliveredBy); 2] =
    [("MERCHANT", DeliveredBy::Merchant), ("MARKETPLACE", DeliveredBy::Marketplace)];

/// When it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    Immediate,
    Scheduled,
}

/// When an order can be wanted.
pub(crate) const TIMINGS: [(&str, Timing); 2] = [("IMMEDIATE", Timing::Immediate), ("SCHEDULED", Timing::Scheduled)];

/// The categories there are.
pub(crate) const CATEGORIES: [(&str, &str); 2] = [("FOOD", "FOOD"), ("GROCERY", "GROCERY")];

/// What is special about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Paid to the merchant, by PIX.
    Standard,
    /// Paid already, by card.
    Prepaid,
    /// Paid in cash, and change is asked for.
    CashWithChange,
    /// With a discount that the marketplace and the merchant share.
    Discount,
}

/// The scenarios there are.
pub(crate) const SCENARIOS: [(&str, Scenario); 4] = [
    ("STANDARD", Scenario::Standard),
    ("PREPAID", Scenario::Prepaid),
    ("CASH_WITH_CHANGE", Scenario::CashWithChange),
    ("DISCOUNT", Scenario::Discount),
];

/// The order that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) merchant: MerchantId,
    pub(super) order_type: OrderType,
    /// Of a DELIVERY.
    pub(super) delivered_by: DeliveredBy,
    pub(super) timing: Timing,
    pub(super) category: &'static str,
    pub(super) scenario: Scenario,
}

const FIELDS: [&str; 6] = ["merchantId", "orderType", "orderTiming", "deliveredBy", "category", "scenario"];

/// Reads a body.
///
/// # Errors
/// 400 at the field that is wrong.
pub(super) fn read(body: &[u8]) -> Result<Wanted, ApiError> {
    let object = object(body, &FIELDS)?;
    let merchant = object.get("merchantId").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let merchant =
        merchant.ok_or_else(|| ApiError::bad_request("merchantId must be a UUID.").at_field("merchantId"))?;
    let order_type = choice(&object, "orderType", &ORDER_TYPES)?.unwrap_or(OrderType::Delivery);
    let delivered_by = choice(&object, "deliveredBy", &COURIERS)?;
    if delivered_by.is_some() && order_type != OrderType::Delivery {
        return Err(ApiError::bad_request("deliveredBy is of a DELIVERY only.").at_field("deliveredBy"));
    }
    Ok(Wanted {
        merchant,
        order_type,
        delivered_by: delivered_by.unwrap_or(DeliveredBy::Merchant),
        timing: choice(&object, "orderTiming", &TIMINGS)?.unwrap_or(Timing::Immediate),
        category: choice(&object, "category", &CATEGORIES)?.unwrap_or("FOOD"),
        scenario: choice(&object, "scenario", &SCENARIOS)?.unwrap_or(Scenario::Standard),
    })
}

/// The word for a choice.
pub(super) fn name_of<T: PartialEq>(choices: &[(&'static str, T)], chosen: &T) -> &'static str {
    choices.iter().find(|(_, value)| value == chosen).map_or("", |(name, _)| name)
}
