//! A conversion as a table: the field, what it is called with us, and what becomes of its value.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::money::Money;
use crate::format::invalid::{Invalid, Path};
use crate::format::json;
use crate::format::located::Located;
use crate::format::writer::{ObjectText, array};

/// Converts a value that stands at a path.
pub(super) type Convert = for<'a> fn(&'a RawValue, Path<'_>, &mut Money) -> Result<Cow<'a, str>, Invalid>;

/// What becomes of one field.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    from: &'static str,
    to: &'static str,
    convert: Convert,
}

/// The field `from` is called `to`, its value goes through `convert`.
pub(super) const fn rule(from: &'static str, to: &'static str, convert: Convert) -> Rule {
    Rule { from, to, convert }
}

/// Copies the value as it is.
#[expect(clippy::unnecessary_wraps, reason = "a Convert")]
pub(super) fn same<'a>(value: &'a RawValue, _: Path<'_>, _: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    Ok(Cow::Borrowed(value.get()))
}

/// A price `{value, currency}` as its digits. Anything else is copied as it is.
pub(super) fn price<'a>(value: &'a RawValue, path: Path<'_>, money: &mut Money) -> Result<Cow<'a, str>, Invalid> {
    if json::kind(value) != "an object" {
        return Ok(Cow::Borrowed(value.get()));
    }
    let price = Located::open(path, value)?;
    let Some(digits) = price.object.get("value").and_then(json::number) else {
        return Ok(Cow::Borrowed(value.get()));
    };
    money.saw(price.text_if_any("currency").as_deref());
    Ok(Cow::Borrowed(digits))
}

/// Writes the fields of `holder` by `rules`, leaving out those in `elsewhere`; every other field is kept.
pub(super) fn convert(
    holder: &Located<'_, '_>,
    rules: &[Rule],
    elsewhere: &[&str],
    money: &mut Money,
) -> Result<ObjectText, Invalid> {
    let mut object = ObjectText::default();
    for (name, value) in holder.object.fields() {
        match rules.iter().find(|rule| rule.from == name) {
            Some(rule) => object.put(rule.to, &(rule.convert)(value, holder.path.field(rule.from), money)?),
            None if elsewhere.contains(&name) => {}
            None => object.keep(name, value.get()),
        }
    }
    Ok(object)
}

/// Converts an object by `rules`; a value that is no object is copied as it is.
pub(super) fn object<'a>(
    value: &'a RawValue,
    path: Path<'_>,
    rules: &[Rule],
    money: &mut Money,
) -> Result<Cow<'a, str>, Invalid> {
    if json::kind(value) != "an object" {
        return Ok(Cow::Borrowed(value.get()));
    }
    Ok(Cow::Owned(convert(&Located::open(path, value)?, rules, &[], money)?.finish()))
}

/// Converts each element of an array; a value that is no array is copied as it is.
pub(super) fn each<'a>(
    value: &'a RawValue,
    path: Path<'_>,
    money: &mut Money,
    mut convert: impl FnMut(usize, &'a RawValue, Path<'_>, &mut Money) -> Result<Cow<'a, str>, Invalid>,
) -> Result<Cow<'a, str>, Invalid> {
    let Some(elements) = json::elements(value) else {
        return Ok(Cow::Borrowed(value.get()));
    };
    let converted: Result<Vec<String>, Invalid> = elements
        .into_iter()
        .enumerate()
        .map(|(index, element)| Ok(convert(index, element, path.position(index), money)?.into_owned()))
        .collect();
    Ok(Cow::Owned(array(&converted?)))
}
