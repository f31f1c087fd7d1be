//! Customer, schedule, delivery, indoor and payments: mostly other names for the same values.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::money::Money;
use super::table::{self, Rule, each, object, rule, same};
use crate::format::invalid::{Invalid, Path};
use crate::format::json;
use crate::format::located::Located;
use crate::format::writer::{ObjectText, quoted};

const CUSTOMER: &[Rule] = &[rule("phone", "phone", phone)];

const PHONE: &[Rule] = &[rule("extension", "localizer", same)];

const SCHEDULE: &[Rule] = &[
    rule("scheduledDateTimeStart", "deliveryDateTimeStart", same),
    rule("scheduledDateTimeEnd", "deliveryDateTimeEnd", same),
];

const DELIVERY: &[Rule] =
    &[rule("estimatedDeliveryDateTime", "deliveryDateTime", same), rule("deliveryAddress", "deliveryAddress", address)];

const ADDRESS: &[Rule] =
    &[rule("street", "streetName", same), rule("number", "streetNumber", same), rule("district", "neighborhood", same)];

const INDOOR: &[Rule] = &[rule("indoorDateTime", "deliveryDateTime", same), rule("place", "table", same)];

const PAYMENTS: &[Rule] = &[rule("methods", "methods", methods)];

/// `customer`.
pub(super) fn customer<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, CUSTOMER, money)
}

fn phone<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, PHONE, money)
}

/// `schedule`.
pub(super) fn schedule<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, SCHEDULE, money)
}

/// `delivery`. The time of the actual delivery, which shares its name with our promised one, is kept beside it.
pub(super) fn delivery<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, DELIVERY, money)
}

fn address<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, ADDRESS, money)
}

/// `indoor`.
pub(super) fn indoor<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, INDOOR, money)
}

/// `orderTiming`: only INSTANT is called otherwise.
#[expect(clippy::unnecessary_wraps, reason = "a Convert")]
pub(super) fn timing<'a>(value: &'a RawValue, _: Path<'_>, _: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    match json::text(value).as_deref() {
        Some("INSTANT") => Ok(Cow::Owned(quoted("IMMEDIATE"))),
        _ => Ok(Cow::Borrowed(value.get())),
    }
}

/// `payments`.
pub(super) fn payments<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    object(value, path, PAYMENTS, money)
}

fn methods<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    each(value, path, money, |_, method, path, money| {
        if json::kind(method) != "an object" {
            return Ok(Cow::Borrowed(method.get()));
        }
        let method = Located::open(path, method)?;
        money.saw(method.text_if_any("currency").as_deref());
        Ok(Cow::Owned(payment_method(&method, money)?))
    })
}

/// One payment method: PREPAID was paid ONLINE, PENDING is paid OFFLINE; brand, change and wallet have objects of their own.
fn payment_method(method: &Located<'_, '_>, money: &mut Money) -> Result<String, Invalid> {
    let is_wallet = method.text_if_any("method").as_deref() == Some("DIGITAL_WALLET");
    let mut moved = vec!["type", "brand", "changeFor"];
    moved.extend(is_wallet.then_some("methodInfo"));
    let mut text = table::convert(method, &[], &moved, money)?;
    match (method.text_if_any("type").as_deref(), method.object.get("type")) {
        (Some("PREPAID"), _) => put_type(&mut text, "ONLINE", "true"),
        (Some("PENDING"), _) => put_type(&mut text, "OFFLINE", "false"),
        (_, Some(other)) => text.put("type", other.get()),
        (_, None) => {}
    }
    let mut wrap = |outer: &str, inner: &str, value: Option<&RawValue>| {
        if let Some(value) = value {
            text.put(outer, &format!("{{{}:{}}}", quoted(inner), value.get()));
        }
    };
    wrap("card", "brand", method.object.get("brand"));
    wrap("cash", "changeFor", method.object.get("changeFor"));
    wrap("wallet", "name", method.object.get("methodInfo").filter(|_| is_wallet));
    Ok(text.finish())
}

fn put_type(text: &mut ObjectText, payment_type: &str, prepaid: &str) {
    text.put_text("type", payment_type);
    text.put("prepaid", prepaid);
}
