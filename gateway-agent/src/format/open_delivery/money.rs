//! Fees, discounts and the total of an Open Delivery order.
//!
//! Open Delivery has one sum of fees where section 3 has the delivery fee and the rest apart. The rest is computed from the
//! sum, exactly, so that the total still adds up; everything else is copied digit for digit.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::table::{self, Rule, each, object, price, rule, same};
use crate::format::invalid::{Invalid, Path};
use crate::format::json;
use crate::format::located::Located;
use crate::format::sums::decimal;
use crate::format::writer::{array, quoted};

/// The currency of an order, which section 3 leaves out of prices.
pub(super) struct Money {
    /// That of `total.orderAmount`.
    pub(super) currency: Option<String>,
    /// Some price is in another one.
    pub(super) currencies_differ: bool,
}

impl Money {
    pub(super) fn of(order: &Located<'_, '_>) -> Result<Self, Invalid> {
        let total = order.object("total")?;
        let currency = total.object("orderAmount")?.text_if_any("currency").map(String::from);
        Ok(Self { currency, currencies_differ: false })
    }

    /// Takes note of a price's currency.
    pub(super) fn saw(&mut self, currency: Option<&str>) {
        self.currencies_differ |= currency.is_some() && currency != self.currency.as_deref();
    }
}

const TOTAL: &[Rule] = &[
    rule("itemsPrice", "subTotal", price),
    rule("discount", "benefits", price),
    rule("orderAmount", "orderAmount", price),
];

const FEE: &[Rule] =
    &[rule("type", "type", fee_type), rule("price", "value", price), rule("observation", "observations", same)];

const DISCOUNT: &[Rule] = &[
    rule("amount", "value", price),
    rule("target", "target", same),
    rule("targetId", "targetId", same),
    rule("sponsorshipValues", "sponsorshipValues", sponsors),
];

const SPONSOR: &[Rule] = &[rule("name", "name", same), rule("amount", "value", price)];

/// The fees of an order, told apart, as JSON arrays.
pub(super) struct Fees {
    /// For `additionalFees`; `None` where the order has no list of fees.
    pub(super) additional: Option<String>,
    /// The fees for delivering in full; section 3 has room for their sum only.
    pub(super) delivery: Option<String>,
}

/// The fees and the `total` of an order.
pub(super) fn fees_and_total(order: &Located<'_, '_>, money: &mut Money) -> Result<(Fees, String), Invalid> {
    let total = order.object("total")?;
    let mut text = table::convert(&total, TOTAL, &["otherFees"], money)?;
    let mut sums = FeeSums::default();
    let fees = fees(order, money, &mut sums)?;
    let stated = total.object.get("otherFees");
    let stated_text = stated.map(|value| price(value, total.path.field("otherFees"), money)).transpose()?;
    text.put("deliveryFee", &sums.delivery.text());
    text.put("additionalFees", &sums.rest_of(stated_text.as_deref()));
    Ok((fees, text.finish()))
}

fn fees(order: &Located<'_, '_>, money: &mut Money, sums: &mut FeeSums) -> Result<Fees, Invalid> {
    let Some(value) = order.object.get("otherFees") else {
        return Ok(Fees { additional: None, delivery: None });
    };
    let path = order.path.field("otherFees");
    let Some(elements) = json::elements(value) else {
        return Ok(Fees { additional: Some(value.get().to_owned()), delivery: None });
    };
    let (mut additional, mut delivery) = (Vec::new(), Vec::new());
    for (index, element) in elements.into_iter().enumerate() {
        let fee = object(element, path.position(index), FEE, money)?.into_owned();
        let (is_delivery, amount) = type_and_amount(&fee);
        let (list, sum) =
            if is_delivery { (&mut delivery, &mut sums.delivery) } else { (&mut additional, &mut sums.additional) };
        sum.add(amount.as_deref());
        list.push(fee);
    }
    Ok(Fees { additional: Some(array(&additional)), delivery: (!delivery.is_empty()).then(|| array(&delivery)) })
}

/// Whether a converted fee is one for delivering, and its digits.
fn type_and_amount(fee: &str) -> (bool, Option<String>) {
    let Ok(value) = serde_json::from_str::<&RawValue>(fee) else {
        return (false, None);
    };
    let Ok(fee) = Located::open(Path::ROOT, value) else {
        return (false, None);
    };
    let amount = fee.object.get("value").and_then(json::number).map(str::to_owned);
    (fee.text_if_any("type").as_deref() == Some("DELIVERY_FEE"), amount)
}

#[derive(Default)]
struct FeeSums {
    delivery: Sum,
    additional: Sum,
}

impl FeeSums {
    /// What `total.otherFees` leaves after the delivery fee; the sum of the other fees where it says nothing readable.
    fn rest_of(&self, stated: Option<&str>) -> String {
        match (stated, &self.delivery) {
            (Some(stated), Sum::Nothing) => stated.to_owned(),
            (Some(stated), delivery) => decimal(stated)
                .zip(delivery.value())
                .and_then(|(all, delivery)| all.checked_sub(delivery))
                .map_or_else(|| self.additional.text(), |rest| rest.to_string()),
            (None, _) => self.additional.text(),
        }
    }
}

/// A sum of amounts. One amount alone keeps its digits.
#[derive(Default)]
enum Sum {
    #[default]
    Nothing,
    One(String),
    Many(Decimal),
}

impl Sum {
    /// Adds an amount; one that is absent or has more than 28 digits is left out, and the order's sums are counted as wrong.
    fn add(&mut self, amount: Option<&str>) {
        let Some(amount) = amount else { return };
        *self = match (&*self, decimal(amount)) {
            (Self::Nothing, _) => Self::One(amount.to_owned()),
            (before, Some(amount)) => Self::Many(before.value().unwrap_or_default().saturating_add(amount)),
            (before, None) => Self::Many(before.value().unwrap_or_default()),
        };
    }

    fn value(&self) -> Option<Decimal> {
        match self {
            Self::Nothing => Some(Decimal::ZERO),
            Self::One(amount) => decimal(amount),
            Self::Many(sum) => Some(*sum),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing => "0".to_owned(),
            Self::One(amount) => amount.clone(),
            Self::Many(sum) => sum.to_string(),
        }
    }
}

/// `discounts` as `benefits`.
pub(super) fn benefits<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    each(value, path, money, |_, discount, path, money| object(discount, path, DISCOUNT, money))
}

fn sponsors<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    each(value, path, money, |_, sponsor, path, money| object(sponsor, path, SPONSOR, money))
}

/// Only the fee for small orders is called otherwise.
#[expect(clippy::unnecessary_wraps, reason = "a Convert")]
fn fee_type<'a>(value: &'a RawValue, _: Path<'_>, _: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    match json::text(value).as_deref() {
        Some("MIN_ORDER_FEE") => Ok(Cow::Owned(quoted("SMALL_ORDER_FEE"))),
        _ => Ok(Cow::Borrowed(value.get())),
    }
}
