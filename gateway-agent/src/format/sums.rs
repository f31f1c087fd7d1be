//! Whether the amounts of an order add up (PARTNER_API, section 3, "Arithmetic").
//!
//! Counted, never a reason to reject: the amounts are the producer's and are served as they came. Binary floating
//! point is deliberately absent.

use rust_decimal::Decimal;

use super::invalid::Path;
use super::json::{self, Object};

/// Which sum of an order does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SumMismatch {
    /// An item's `price` is not `quantity` x `unitPrice`.
    ItemPrice,
    /// An item's `totalPrice` is not `price` + `optionsPrice` (+ `addition`).
    ItemTotal,
    /// `orderAmount` is not `subTotal` + `deliveryFee` + `additionalFees` - `benefits`.
    OrderAmount,
    /// `prepaid` + `pending` is not `orderAmount`.
    Payments,
    /// Prices of one order are in different currencies.
    Currency,
}

impl SumMismatch {
    /// The label of its metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ItemPrice => "item_price",
            Self::ItemTotal => "item_total",
            Self::OrderAmount => "order_amount",
            Self::Payments => "payments",
            Self::Currency => "currency",
        }
    }
}

/// The sums of `order` (section 3) that do not add up, each kind once. A sum with an absent required part or with digits
/// beyond 28 is not judged.
pub(crate) fn mismatches(order: &Object<'_>) -> Vec<SumMismatch> {
    let mut found: Vec<_> = order
        .get("items")
        .and_then(json::elements)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| Object::open(Path::ROOT, item).ok())
        .flat_map(|item| {
            [
                (!item_price_holds(&item)).then_some(SumMismatch::ItemPrice),
                (!item_total_holds(&item)).then_some(SumMismatch::ItemTotal),
            ]
        })
        .flatten()
        .collect();
    let part = |name: &str| order.get(name).and_then(|value| Object::open(Path::ROOT, value).ok());
    if let Some(total) = part("total") {
        found.extend((!order_amount_holds(&total)).then_some(SumMismatch::OrderAmount));
        found.extend(
            part("payments").and_then(|payments| (!payments_hold(&payments, &total)).then_some(SumMismatch::Payments)),
        );
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn item_price_holds(item: &Object<'_>) -> bool {
    let product =
        amount(item, "quantity").zip(amount(item, "unitPrice")).and_then(|(quantity, unit)| quantity.checked_mul(unit));
    equal_if_known(amount(item, "price"), product)
}

fn item_total_holds(item: &Object<'_>) -> bool {
    let without = amount(item, "price").and_then(|price| price.checked_add(amount_or_zero(item, "optionsPrice")?));
    let with = without.and_then(|sum| sum.checked_add(amount_or_zero(item, "addition")?));
    let total = amount(item, "totalPrice");
    equal_if_known(total, without) || equal_if_known(total, with)
}

fn order_amount_holds(total: &Object<'_>) -> bool {
    let sum = amount(total, "subTotal")
        .and_then(|sum| sum.checked_add(amount_or_zero(total, "deliveryFee")?))
        .and_then(|sum| sum.checked_add(amount_or_zero(total, "additionalFees")?))
        .and_then(|sum| sum.checked_sub(amount_or_zero(total, "benefits")?));
    equal_if_known(amount(total, "orderAmount"), sum)
}

fn payments_hold(payments: &Object<'_>, total: &Object<'_>) -> bool {
    let sum =
        amount(payments, "prepaid").zip(amount(payments, "pending")).and_then(|(one, other)| one.checked_add(other));
    equal_if_known(amount(total, "orderAmount"), sum)
}

fn equal_if_known(one: Option<Decimal>, other: Option<Decimal>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

fn amount(object: &Object<'_>, name: &str) -> Option<Decimal> {
    object.get(name).and_then(json::number).and_then(decimal)
}

fn amount_or_zero(object: &Object<'_>, name: &str) -> Option<Decimal> {
    if object.get(name).is_none() { Some(Decimal::ZERO) } else { amount(object, name) }
}

/// The value of a JSON number; `None` when it has more than 28 digits.
pub(crate) fn decimal(number: &str) -> Option<Decimal> {
    Decimal::from_str_exact(number).or_else(|_| Decimal::from_scientific(number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(order: &str) -> Vec<SumMismatch> {
        mismatches(&Object::open(Path::ROOT, json::document(order).unwrap()).unwrap())
    }

    #[test]
    fn sums_are_exact_and_each_mismatch_is_named_once() {
        let order = |price: &str, total: &str, amount: &str, pending: &str| {
            format!(
                r#"{{"items":[{{"quantity":3,"unitPrice":0.1,"price":{price},"optionsPrice":0.2,"totalPrice":{total}}}],
                 "total":{{"subTotal":0.5,"deliveryFee":7,"benefits":0.5,"orderAmount":{amount}}},"payments":{{"prepaid":0,"pending":{pending}}}}}"#
            )
        };
        assert_eq!(of(&order("0.3", "0.50", "7.0", "7e0")), []);
        assert_eq!(of(&order("0.31", "0.50", "7.0", "7")), [SumMismatch::ItemPrice, SumMismatch::ItemTotal]);
        assert_eq!(of(&order("0.3", "0.5", "8", "7")), [SumMismatch::OrderAmount, SumMismatch::Payments]);
        assert_eq!(of(&order("0.3", "0.5", "7", "6")), [SumMismatch::Payments]);
        assert_eq!(of(&order("0.3", "0.5", "7", "1e999")), [], "not judged");
    }
}
