//! Attribute values: building items and reading them back without panicking on what somebody else wrote.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use order_model::{EventId, Timestamp};

use super::StoreError;
use crate::keys::Key;

/// An item as the client holds it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition key.
pub(super) const PARTITION_KEY: &str = "pk";
/// Sort key.
pub(super) const SORT_KEY: &str = "sk";
/// Seconds since 1970 after which DynamoDB may delete the item, some day.
pub(super) const TTL: &str = "ttl";
/// Milliseconds since 1970 from which on the item no longer counts, whatever TTL has done.
pub(super) const EXPIRES_AT: &str = "x";
/// Event ids, 16 bytes each: one on an event, many on acknowledgments.
pub(super) const IDS: &str = "i";
/// Version of the item's format.
const FORMAT: &str = "v";
const FORMAT_VERSION: u64 = 1;

/// A new item under `key`.
pub(super) fn new(key: &Key) -> Item {
    let mut item = key_attributes(key);
    item.insert(FORMAT.to_owned(), number(FORMAT_VERSION));
    item
}

/// The key attributes alone.
pub(super) fn key_attributes(key: &Key) -> Item {
    HashMap::from([
        (PARTITION_KEY.to_owned(), AttributeValue::S(key.partition.clone())),
        (SORT_KEY.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn instant(value: Timestamp) -> AttributeValue {
    number(value.unix_ms())
}

pub(super) fn binary(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// Sets when the item stops counting and when it may be deleted.
pub(super) fn set_expiry(item: &mut Item, expires_at: Timestamp) {
    item.insert(EXPIRES_AT.to_owned(), instant(expires_at));
    item.insert(TTL.to_owned(), number(expires_at.unix_s_ceil()));
}

pub(super) fn set_ids(item: &mut Item, ids: &[EventId]) {
    let packed: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
    item.insert(IDS.to_owned(), AttributeValue::B(Blob::new(packed)));
}

pub(super) fn read_text<'a>(item: &'a Item, what: &'static str) -> Result<&'a str, StoreError> {
    let text = item.get(what).and_then(|value| value.as_s().ok());
    text.map(String::as_str).ok_or(StoreError::Malformed { what })
}

pub(super) fn read_number<N: std::str::FromStr>(item: &Item, what: &'static str) -> Result<N, StoreError> {
    let digits = item.get(what).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(StoreError::Malformed { what })
}

/// A number that grows with every write. One that could not grow any more was never written: at a write a nanosecond it would
/// have taken 292 years.
pub(super) fn read_counter(item: &Item, what: &'static str) -> Result<u64, StoreError> {
    let number: u64 = read_number(item, what)?;
    if number < i64::MAX.unsigned_abs() { Ok(number) } else { Err(StoreError::Malformed { what }) }
}

/// A number that older or newer items may lack: zero then.
pub(super) fn read_number_or_zero<N: std::str::FromStr + Default>(
    item: &Item,
    what: &'static str,
) -> Result<N, StoreError> {
    if item.contains_key(what) { read_number(item, what) } else { Ok(N::default()) }
}

pub(super) fn read_instant(item: &Item, what: &'static str) -> Result<Timestamp, StoreError> {
    read_number(item, what).map(Timestamp::from_unix_ms)
}

/// A set of numbers, ascending. What cannot be read of it is left out: such sets only say what to wait for, at most 2 s, and
/// an event that is shown at once is better than one that never is.
pub(super) fn read_numbers(item: &Item, what: &'static str) -> Vec<u32> {
    let Some(AttributeValue::Ns(digits)) = item.get(what) else { return Vec::new() };
    let mut numbers: Vec<u32> = digits.iter().filter_map(|digits| digits.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn read_binary<'a>(item: &'a Item, what: &'static str) -> Result<&'a [u8], StoreError> {
    let blob = item.get(what).and_then(|value| value.as_b().ok());
    blob.map(AsRef::as_ref).ok_or(StoreError::Malformed { what })
}

pub(super) fn read_ids(item: &Item) -> Result<Vec<EventId>, StoreError> {
    let malformed = StoreError::Malformed { what: IDS };
    let (ids, rest) = read_binary(item, IDS)?.as_chunks::<16>();
    if rest.is_empty() { Ok(ids.iter().map(|id| EventId::from_bytes(*id)).collect()) } else { Err(malformed) }
}

/// The partition key of an item.
pub(crate) fn partition_key(item: &Item) -> Result<&str, StoreError> {
    read_text(item, PARTITION_KEY)
}
