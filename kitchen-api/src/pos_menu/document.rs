//! A POS's merchant document (Open Delivery 1.7.0, schema `Merchant`): whether it is one, and whether it hangs together.
//!
//! Pure. Used by [`super::reader`] for what a POS serves, and by [`super::updates`] for what it sends. The document itself is kept as the
//! text it is, so that no amount changes; this only looks. What the schema leaves to the POS is not looked at. What is wrong is named by
//! its place, never by its value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::json_depth::is_too_deep;

/// The largest document that is read: thousands of items with their texts.
pub const DOCUMENT_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Objects of one kind: far above what fits into the largest document in earnest.
const OBJECTS_MAX: usize = 20_000;
/// How long a document may be used, in seconds, as Open Delivery bounds it.
const TTL_S: std::ops::RangeInclusive<u64> = 500..=86_400;

/// What is looked at of a field.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Price,
    Texts,
    Array,
    OneOf(&'static [&'static str]),
}

/// A field: its name, what it has to be, whether it has to be there.
type Field = (&'static str, Kind, bool);

const STATUS: Kind = Kind::OneOf(&["AVAILABLE", "UNAVAILABLE"]);

/// The lists of a document, and the fields of what is in them.
const LISTS: &[(&str, bool, &[Field])] = &[
    (
        "services",
        true,
        &[
            ("status", STATUS, true),
            ("serviceType", Kind::OneOf(&["DELIVERY", "TAKEOUT", "INDOOR"]), true),
            ("menuId", Kind::Text, true),
        ],
    ),
    (
        "menus",
        true,
        &[("name", Kind::Text, true), ("externalCode", Kind::Text, true), ("categoryId", Kind::Texts, true)],
    ),
    (
        "categories",
        true,
        &[
            ("index", Kind::Integer, true),
            ("name", Kind::Text, true),
            ("externalCode", Kind::Text, true),
            ("status", STATUS, true),
            ("availabilityId", Kind::Texts, false),
            ("itemOfferId", Kind::Texts, false),
        ],
    ),
    (
        "itemOffers",
        true,
        &[
            ("itemId", Kind::Text, true),
            ("index", Kind::Integer, true),
            ("status", STATUS, false),
            ("price", Kind::Price, true),
            ("availabilityId", Kind::Texts, false),
            ("optionGroupsId", Kind::Texts, false),
        ],
    ),
    (
        "items",
        true,
        &[
            ("name", Kind::Text, true),
            ("description", Kind::Text, true),
            ("externalCode", Kind::Text, true),
            ("status", STATUS, false),
            ("unit", Kind::OneOf(&["UN", "KG", "L", "OZ", "LB", "GAL"]), true),
        ],
    ),
    (
        "optionGroups",
        false,
        &[
            ("index", Kind::Integer, true),
            ("name", Kind::Text, true),
            ("externalCode", Kind::Text, true),
            ("status", STATUS, true),
            ("minPermitted", Kind::Integer, true),
            ("maxPermitted", Kind::Integer, true),
            ("options", Kind::Array, false),
        ],
    ),
    ("availabilities", false, &[("hours", Kind::Array, true)]),
];

/// The fields of an option, which stands in its group.
const OPTION: &[Field] =
    &[("itemId", Kind::Text, false), ("index", Kind::Integer, false), ("price", Kind::Price, false)];

/// What `basicInfo` has to have.
const BASIC_INFO: [&str; 12] = [
    "name",
    "document",
    "corporateName",
    "description",
    "averagePreparationTime",
    "minOrderValue",
    "merchantType",
    "merchantCategories",
    "address",
    "contactEmails",
    "contactPhones",
    "logoImage",
];

/// Which list a field of another names: list, field, named list.
const REFERENCES: [(&str, &str, &str); 7] = [
    ("services", "menuId", "menus"),
    ("menus", "categoryId", "categories"),
    ("categories", "itemOfferId", "itemOffers"),
    ("categories", "availabilityId", "availabilities"),
    ("itemOffers", "itemId", "items"),
    ("itemOffers", "optionGroupsId", "optionGroups"),
    ("itemOffers", "availabilityId", "availabilities"),
];

/// Something about a document is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {expected}")]
pub struct Wrong {
    /// Where.
    pub at: String,
    /// What was expected there.
    pub expected: &'static str,
}

impl Wrong {
    pub(super) fn new(at: impl Into<String>, expected: &'static str) -> Self {
        Self { at: at.into(), expected }
    }
}

/// A document that holds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// For how long it may be used, in seconds.
    pub ttl_s: u64,
}

/// Looks at a document of the merchant that is called one of `names`.
///
/// # Errors
/// What is wrong first.
pub fn check(text: &[u8], names: &[&str]) -> Result<Checked, Wrong> {
    if is_too_deep(text) {
        return Err(Wrong::new("the document", "expected at most 32 objects and arrays inside each other"));
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(text) else {
        return Err(Wrong::new("the document", "expected a JSON object"));
    };
    let id = document.get("id").and_then(Value::as_str);
    if id.is_none_or(|id| !names.contains(&id)) {
        return Err(Wrong::new("id", "expected the id that the merchant was onboarded with"));
    }
    check_field(&document, "", ("lastUpdate", Kind::Text, true))?;
    check_field(&document, "", ("status", STATUS, true))?;
    let ttl_s = document.get("TTL").and_then(Value::as_u64).filter(|ttl_s| *ttl_s > 0);
    let ttl_s = ttl_s.ok_or_else(|| Wrong::new("TTL", "expected a whole number of seconds"))?;
    check_basic_info(&document)?;
    for (list, is_required, fields) in LISTS {
        check_list(&document, list, *is_required, fields)?;
    }
    check_options(&document)?;
    REFERENCES.iter().try_for_each(|(list, field, named)| check_references(&document, list, field, named))?;
    Ok(Checked { ttl_s: ttl_s.clamp(*TTL_S.start(), *TTL_S.end()) })
}

fn check_basic_info(document: &Map<String, Value>) -> Result<(), Wrong> {
    let info = document.get("basicInfo").and_then(Value::as_object);
    let info = info.ok_or_else(|| Wrong::new("basicInfo", "expected an object"))?;
    match BASIC_INFO.iter().find(|field| info.get(**field).is_none_or(Value::is_null)) {
        Some(field) => Err(Wrong::new(format!("basicInfo.{field}"), "expected a value")),
        None => Ok(()),
    }
}

/// The objects of a list; none where it is absent.
fn objects<'a>(document: &'a Map<String, Value>, list: &str) -> &'a [Value] {
    document.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn check_list(document: &Map<String, Value>, list: &str, is_required: bool, fields: &[Field]) -> Result<(), Wrong> {
    match document.get(list) {
        None | Some(Value::Null) if !is_required => return Ok(()),
        Some(Value::Array(objects)) if objects.len() <= OBJECTS_MAX => {}
        _ => return Err(Wrong::new(list, "expected an array of at most 20000 objects")),
    }
    let mut ids = BTreeSet::new();
    for (index, object) in objects(document, list).iter().enumerate() {
        let at = format!("{list}[{index}]");
        let object = object.as_object().ok_or_else(|| Wrong::new(at.as_str(), "expected an object"))?;
        check_field(object, &at, ("id", Kind::Text, true))?;
        if !ids.insert(id_of(object)) {
            return Err(Wrong::new(format!("{at}.id"), "expected an id that no other has"));
        }
        fields.iter().try_for_each(|field| check_field(object, &at, *field))?;
    }
    Ok(())
}

fn id_of(object: &Map<String, Value>) -> &str {
    object.get("id").and_then(Value::as_str).unwrap_or_default()
}

fn check_options(document: &Map<String, Value>) -> Result<(), Wrong> {
    let items = ids_of(document, "items");
    for (group, object) in objects(document, "optionGroups").iter().enumerate() {
        let options = object.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, option) in options.iter().enumerate() {
            let at = format!("optionGroups[{group}].options[{index}]");
            let option = option.as_object().ok_or_else(|| Wrong::new(at.as_str(), "expected an object"))?;
            check_field(option, &at, ("id", Kind::Text, true))?;
            OPTION.iter().try_for_each(|field| check_field(option, &at, *field))?;
            if option.get("itemId").and_then(Value::as_str).is_some_and(|item| !items.contains(item)) {
                return Err(Wrong::new(format!("{at}.itemId"), "expected the id of one of the items"));
            }
        }
    }
    Ok(())
}

fn ids_of<'a>(document: &'a Map<String, Value>, list: &str) -> BTreeSet<&'a str> {
    objects(document, list).iter().filter_map(Value::as_object).map(id_of).collect()
}

fn check_references(document: &Map<String, Value>, list: &str, field: &str, named: &str) -> Result<(), Wrong> {
    let known = ids_of(document, named);
    for (index, object) in objects(document, list).iter().enumerate() {
        let is_known = |id: &Value| id.as_str().is_some_and(|id| known.contains(id));
        let holds = match object.get(field) {
            None | Some(Value::Null) => true,
            Some(Value::Array(ids)) => ids.iter().all(is_known),
            Some(id) => is_known(id),
        };
        if !holds {
            return Err(Wrong::new(format!("{list}[{index}].{field}"), "expected ids that the document has"));
        }
    }
    Ok(())
}

fn check_field(object: &Map<String, Value>, at: &str, (name, kind, is_required): Field) -> Result<(), Wrong> {
    let place = || if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let Some(value) = object.get(name).filter(|value| !value.is_null()) else {
        return if is_required { Err(Wrong::new(place(), "expected a value")) } else { Ok(()) };
    };
    let (holds, expected) = match kind {
        Kind::Text => (value.is_string(), "expected a text"),
        Kind::Integer => (value.is_i64() || value.is_u64(), "expected a whole number"),
        Kind::Price => (is_price(value), "expected a price: value and originalValue, not negative, and a currency"),
        Kind::Texts => {
            (value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)), "expected an array of texts")
        }
        Kind::Array => (value.is_array(), "expected an array"),
        Kind::OneOf(names) => {
            (value.as_str().is_some_and(|name| names.contains(&name)), "expected one of the values that are known")
        }
    };
    if holds { Ok(()) } else { Err(Wrong::new(place(), expected)) }
}

/// Whether it is negative is told by its digits: no amount is computed with here.
fn is_price(value: &Value) -> bool {
    let is_amount =
        |name: &str| value.get(name).is_some_and(|amount| amount.is_number() && !amount.to_string().starts_with('-'));
    let currency = value.get("currency").and_then(Value::as_str).unwrap_or_default();
    let is_currency = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    is_amount("value") && is_amount("originalValue") && is_currency
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(super) mod tests;
