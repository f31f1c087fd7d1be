//! Items and their options.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::money::Money;
use super::table::{self, Rule, each, object, price, rule, same};
use crate::format::invalid::{Invalid, Path};
use crate::format::json::{self, Object};
use crate::format::located::Located;
use crate::format::sums::decimal;

const ITEM: &[Rule] = &[
    rule("unitPrice", "unitPrice", price),
    rule("totalPrice", "totalPrice", price),
    rule("subtotalPrice", "price", price),
    rule("specialInstructions", "observations", same),
    rule("options", "options", options),
];

const OPTION: &[Rule] = &[
    rule("unitPrice", "unitPrice", price),
    rule("totalPrice", "price", price),
    rule("specialInstructions", "observations", same),
];

/// `items`.
pub(super) fn items<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    each(value, path, money, item)
}

fn options<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    each(value, path, money, |_, option, path, money| object(option, path, OPTION, money))
}

fn item<'a>(index: usize, value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    let item = Located::open(path, value)?;
    let mut text = table::convert(&item, ITEM, &["optionsPrice"], money)?;
    if item.object.get("index").is_none() {
        text.put("index", &(index + 1).to_string());
    }
    let amounts = Amounts::of(&item.object);
    if let (None, Some(price)) = (item.object.get("subtotalPrice"), amounts.price()) {
        text.put("price", &price.to_string());
    }
    if let Some(value) = item.object.get("optionsPrice") {
        let as_sent = price(value, item.path.field("optionsPrice"), money)?;
        let for_all = amounts.options_for_all().map(|amount| amount.to_string());
        text.put("optionsPrice", for_all.as_deref().unwrap_or(&as_sent));
    }
    Ok(Cow::Owned(text.finish()))
}

/// The amounts of an item that its arithmetic needs.
struct Amounts {
    quantity: Option<Decimal>,
    unit: Option<Decimal>,
    options: Option<Decimal>,
    total: Option<Decimal>,
}

impl Amounts {
    fn of(item: &Object<'_>) -> Self {
        let price = |name: &str| {
            let price = Object::open(Path::ROOT, item.get(name)?).ok()?;
            price.get("value").and_then(json::number).and_then(decimal)
        };
        Self {
            quantity: item.get("quantity").and_then(json::number).and_then(decimal),
            unit: price("unitPrice"),
            options: price("optionsPrice"),
            total: price("totalPrice"),
        }
    }

    /// Without options: `quantity` x `unitPrice`.
    fn price(&self) -> Option<Decimal> {
        self.quantity?.checked_mul(self.unit?)
    }

    /// Open Delivery states the options of one unit (total = quantity x (unit + options)), section 3 those of all (total =
    /// price + options). `None` where there is one unit, or the item's own sum shows that the producer meant all already.
    fn options_for_all(&self) -> Option<Decimal> {
        let (quantity, options) = (self.quantity?, self.options?);
        let of_all = quantity.checked_mul(options)?;
        let per_unit = self.price()?.checked_add(of_all)? == self.total?;
        (per_unit && of_all != options).then_some(of_all)
    }
}
