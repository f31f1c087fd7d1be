//! Attributes: how keys, numbers and texts are written and read. Used by the rest of this store.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use order_model::{ApplicationId, Timestamp};

use super::WebhookStoreError;

/// The format of every item this version writes.
pub(super) const FORMAT: u64 = 1;
/// When an item may be deleted, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at_s";
/// The index of what waits and of the dead, and its keys.
pub(super) const DUE_INDEX: &str = "due";
pub(super) const LANE: &str = "lane";
pub(super) const AT_MS: &str = "at_ms";

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn instant(value: Timestamp) -> AttributeValue {
    number(value.unix_ms())
}

pub(super) fn bytes(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn application_pk(id: &ApplicationId) -> String {
    format!("application#{id}")
}

/// Sets the attributes of `item`.
pub(super) fn extend<const N: usize>(item: &mut Item, values: [(&str, AttributeValue); N]) {
    item.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

pub(super) fn check_format(item: &Item) -> Result<(), WebhookStoreError> {
    if read_number::<u64>(item, "format")? == FORMAT { Ok(()) } else { Err(malformed("format")) }
}

pub(super) fn malformed(field: &'static str) -> WebhookStoreError {
    WebhookStoreError::Malformed { field }
}

pub(super) fn read_text<'a>(item: &'a Item, field: &'static str) -> Result<&'a str, WebhookStoreError> {
    item.get(field).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| malformed(field))
}

pub(super) fn read_parsed<T>(
    item: &Item,
    field: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, WebhookStoreError> {
    parse(read_text(item, field)?).ok_or_else(|| malformed(field))
}

pub(super) fn read_number<T: std::str::FromStr>(item: &Item, field: &'static str) -> Result<T, WebhookStoreError> {
    let digits = item.get(field).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| malformed(field))
}

/// A number that grows with every write. One that could not grow any more was never written: at a write a nanosecond it would
/// have taken 292 years.
pub(super) fn read_counter(item: &Item, field: &'static str) -> Result<u64, WebhookStoreError> {
    let number: u64 = read_number(item, field)?;
    if number < i64::MAX.unsigned_abs() { Ok(number) } else { Err(malformed(field)) }
}

pub(super) fn read_instant(item: &Item, field: &'static str) -> Result<Timestamp, WebhookStoreError> {
    read_number(item, field).map(Timestamp::from_unix_ms)
}

/// `None` where the attribute is absent.
pub(super) fn read_optional_instant(item: &Item, field: &'static str) -> Result<Option<Timestamp>, WebhookStoreError> {
    item.get(field).map(|_| read_instant(item, field)).transpose()
}

pub(super) fn read_bool(item: &Item, field: &'static str) -> Result<bool, WebhookStoreError> {
    item.get(field).and_then(|value| value.as_bool().ok()).copied().ok_or_else(|| malformed(field))
}

pub(super) fn read_bytes<'a>(item: &'a Item, field: &'static str) -> Result<&'a [u8], WebhookStoreError> {
    item.get(field).and_then(|value| value.as_b().ok()).map(AsRef::as_ref).ok_or_else(|| malformed(field))
}
