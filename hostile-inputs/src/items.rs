//! DynamoDB items with attributes missing, of another type, or at the ends of their range.
//!
//! An attribute whose text is JSON is damaged as JSON is: stores keep lists so.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::Union;
use serde_json::Value;

use crate::bytes::bytes_of;
use crate::json::{json_of, text_of};

/// An item.
pub type Item = HashMap<String, AttributeValue>;

/// The most that is wrong with one item.
const DAMAGES_MAX: usize = 3;
/// As deep as DynamoDB lets values nest.
const LEVELS_MAX: usize = 32;
/// A long text or blob: an item has 400 KB.
const LONG_BYTES: usize = 100_000;

/// Numbers as the protocol carries them, and what is none.
const NUMBERS: [&str; 26] = [
    "0",
    "-0",
    "1",
    "-1",
    "+1",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "253402207200000",
    "253402300799999",
    "253402300800000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "1.5",
    "1E+125",
    "NaN",
    " 1",
    "",
];
/// Texts that are none of what is expected anywhere.
const TEXTS: [&str; 8] = ["", " ", "\0", "ação 🍕", "#", "null", "-1", "../../x"];

/// `valid` with up to three things wrong.
pub fn item_of(valid: Item) -> impl Strategy<Value = Item> {
    let mut names: Vec<String> = valid.keys().cloned().collect();
    names.sort_unstable();
    let attributes = names.into_iter().map(|name| {
        let value = valid[&name].clone();
        (Just(name), damaged(&value)).boxed()
    });
    let damage = Union::new(attributes.collect::<Vec<_>>());
    prop::collection::vec(damage, 0..=DAMAGES_MAX).prop_map(move |damages| {
        let mut item = valid.clone();
        for (name, value) in damages {
            match value {
                Some(value) => drop(item.insert(name, value)),
                None => drop(item.remove(&name)),
            }
        }
        item
    })
}

/// Attributes of `valid` without which, or with another type of which, `read` fails and does not say so by name.
pub fn unnamed_attributes<T, E: Display>(valid: &Item, read: impl Fn(&Item) -> Result<T, E>) -> Vec<String> {
    let mut unnamed = Vec::new();
    for name in valid.keys() {
        let mut absent = valid.clone();
        absent.remove(name);
        let mut retyped = valid.clone();
        retyped.insert(name.clone(), AttributeValue::Null(true));
        for item in [absent, retyped] {
            if let Err(error) = read(&item)
                && !error.to_string().contains(name)
            {
                unnamed.push(format!("{name}: {error}"));
            }
        }
    }
    unnamed.sort_unstable();
    unnamed
}

/// What may stand in the place of `value`; `None`: nothing.
fn damaged(value: &AttributeValue) -> BoxedStrategy<Option<AttributeValue>> {
    let like = like(value);
    prop_oneof![1 => Just(None), 3 => any_value().prop_map(Some), 6 => like.prop_map(Some)].boxed()
}

/// Something of the same type.
fn like(value: &AttributeValue) -> BoxedStrategy<AttributeValue> {
    match value {
        AttributeValue::S(text) => match serde_json::from_str::<Value>(text) {
            Ok(json @ (Value::Array(_) | Value::Object(_))) => json_of(json).prop_map(AttributeValue::S).boxed(),
            _ => text_of(text.clone()).prop_map(AttributeValue::S).boxed(),
        },
        AttributeValue::N(_) => numbers().prop_map(AttributeValue::N).boxed(),
        AttributeValue::B(blob) => {
            bytes_of(blob.as_ref().to_vec()).prop_map(|bytes| AttributeValue::B(Blob::new(bytes))).boxed()
        }
        AttributeValue::Bool(flag) => Just(AttributeValue::Bool(!flag)).boxed(),
        AttributeValue::Ns(_) => prop::collection::vec(numbers(), 0..8).prop_map(AttributeValue::Ns).boxed(),
        AttributeValue::Ss(texts) => {
            let first = texts.first().cloned().unwrap_or_default();
            prop::collection::vec(text_of(first), 0..4).prop_map(AttributeValue::Ss).boxed()
        }
        // There is nothing in an empty one that could be wrong.
        AttributeValue::M(map) if !map.is_empty() => item_of(map.clone()).prop_map(AttributeValue::M).boxed(),
        AttributeValue::L(list) => damaged_list(list),
        _ => any_value().boxed(),
    }
}

fn damaged_list(list: &[AttributeValue]) -> BoxedStrategy<AttributeValue> {
    let Some(first) = list.first() else { return any_value().boxed() };
    let list = list.to_vec();
    (any::<Index>(), damaged(first), any::<bool>())
        .prop_map(move |(at, value, is_twice)| {
            let mut list = list.clone();
            let at = at.index(list.len());
            match value {
                Some(value) if is_twice => list.push(value),
                Some(value) => list[at] = value,
                None => drop(list.remove(at)),
            }
            AttributeValue::L(list)
        })
        .boxed()
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(NUMBERS.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string())
    ]
}

/// A value of whatever type.
fn any_value() -> impl Strategy<Value = AttributeValue> {
    let blob = |bytes: Vec<u8>| AttributeValue::B(Blob::new(bytes));
    prop_oneof![
        8 => numbers().prop_map(AttributeValue::N),
        8 => prop::sample::select(TEXTS.to_vec()).prop_map(|text| AttributeValue::S(text.to_owned())),
        1 => prop::sample::select(vec!["x", "é"]).prop_map(|unit| AttributeValue::S(unit.repeat(LONG_BYTES / unit.len()))),
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(blob),
        1 => Just(blob(vec![7; LONG_BYTES])),
        2 => any::<bool>().prop_map(AttributeValue::Bool),
        2 => Just(AttributeValue::Null(true)),
        2 => prop::collection::vec(numbers(), 0..4).prop_map(AttributeValue::Ns),
        2 => Just(AttributeValue::Ss(vec![String::new()])),
        2 => Just(AttributeValue::L(Vec::new())),
        2 => Just(AttributeValue::M(HashMap::new())),
        1 => Just(nested()),
    ]
}

fn nested() -> AttributeValue {
    (0..LEVELS_MAX).fold(AttributeValue::Null(true), |inner, _| AttributeValue::L(vec![inner]))
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn valid() -> Item {
        Item::from([
            ("text".to_owned(), AttributeValue::S("ação".to_owned())),
            ("json".to_owned(), AttributeValue::S("[{\"a\":1}]".to_owned())),
            ("number".to_owned(), AttributeValue::N("7".to_owned())),
            ("list".to_owned(), AttributeValue::L(vec![AttributeValue::M(HashMap::new())])),
        ])
    }

    #[test]
    fn attributes_are_left_alone_missing_retyped_and_extreme() {
        let mut runner = TestRunner::deterministic();
        let strategy = item_of(valid());
        let seen: Vec<Item> = (0..2_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        assert!(seen.contains(&valid()));
        assert!(seen.iter().any(|item| !item.contains_key("number")));
        assert!(seen.iter().any(|item| item.get("number").is_some_and(|value| !value.is_n())));
        let is_largest = |item: &Item| item["number"] == AttributeValue::N(u64::MAX.to_string());
        assert!(seen.iter().any(|item| item.contains_key("number") && is_largest(item)));
        let is_other_json = |text: &String| text.starts_with('[') && *text != "[{\"a\":1}]";
        assert!(seen.iter().any(|item| item.get("json").and_then(|json| json.as_s().ok()).is_some_and(is_other_json)));
    }

    #[test]
    fn an_attribute_that_no_error_names_is_found() {
        let read = |item: &Item| match item.get("number").and_then(|number| number.as_n().ok()) {
            Some(_) => Ok(()),
            None => Err("something is wrong"),
        };
        assert_eq!(unnamed_attributes(&valid(), read), vec!["number: something is wrong"; 2]);
        let named = |item: &Item| read(item).map_err(|_| "number is malformed");
        assert!(unnamed_attributes(&valid(), named).is_empty());
    }
}
