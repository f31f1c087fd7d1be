//! DynamoDB items built and read by hand: typed getters that name the attribute that does not fit.
//!
//! Used by the item modules beside this one. What an item means is deliberately absent.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use order_model::Timestamp;

use super::error::StoreError;

/// One item, as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Every item starts with the version of its own layout.
pub(super) const FORMAT_VERSION: &str = "formatVersion";
/// What DynamoDB's time to live looks at, in whole seconds.
pub(super) const TTL: &str = "ttl";

/// A number as DynamoDB takes it.
pub(super) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A text as DynamoDB takes it.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// Builds an item attribute by attribute.
pub(super) struct ItemBuilder(Item);

impl ItemBuilder {
    /// An empty item of layout `format_version`.
    pub(super) fn new(format_version: i64) -> Self {
        Self(HashMap::new()).number(FORMAT_VERSION, format_version)
    }

    pub(super) fn number(mut self, name: &str, value: i64) -> Self {
        self.0.insert(name.to_owned(), number(value));
        self
    }

    pub(super) fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), text(value));
        self
    }

    pub(super) fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::B(Blob::new(value)));
        self
    }

    pub(super) fn flag(mut self, name: &str, value: bool) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::Bool(value));
        self
    }

    pub(super) fn instant(self, name: &str, value: Timestamp) -> Self {
        self.number(name, value.unix_ms())
    }

    pub(super) fn optional_instant(self, name: &str, value: Option<Timestamp>) -> Self {
        match value {
            Some(value) => self.instant(name, value),
            None => self,
        }
    }

    /// Sets the time to live.
    pub(super) fn expires_at(self, value: Timestamp) -> Self {
        self.number(TTL, value.unix_s_ceil())
    }

    pub(super) fn build(self) -> Item {
        self.0
    }
}

/// Reads an item; whatever is missing or of another type is [`StoreError::Malformed`].
#[derive(Clone, Copy)]
pub(super) struct ItemReader<'a> {
    item: &'a Item,
    kind: &'static str,
}

impl<'a> ItemReader<'a> {
    /// A reader of `item`, which errors call `kind`. Refuses a layout that this build does not know.
    pub(super) fn open(item: &'a Item, kind: &'static str, format_version: i64) -> Result<Self, StoreError> {
        let reader = Self { item, kind };
        if reader.number::<i64>(FORMAT_VERSION)? == format_version {
            Ok(reader)
        } else {
            Err(reader.malformed(FORMAT_VERSION))
        }
    }

    /// A reader of an item that carries no layout version: an entry of an index, which holds keys only.
    pub(super) const fn bare(item: &'a Item, kind: &'static str) -> Self {
        Self { item, kind }
    }

    /// The error for `attribute`.
    pub(super) const fn malformed(&self, attribute: &'static str) -> StoreError {
        StoreError::Malformed { kind: self.kind, attribute }
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.item.contains_key(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, StoreError> {
        match self.item.get(name) {
            Some(AttributeValue::S(value)) => Ok(value),
            _ => Err(self.malformed(name)),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        match self.item.get(name) {
            Some(AttributeValue::N(value)) => value.parse().map_err(|_| self.malformed(name)),
            _ => Err(self.malformed(name)),
        }
    }

    /// A number that grows with every write. One that could not grow any more was never written: at a write a nanosecond it
    /// would have taken 292 years.
    pub(super) fn counter(&self, name: &'static str) -> Result<u64, StoreError> {
        let number: i64 = self.number(name)?;
        u64::try_from(number).ok().filter(|_| number < i64::MAX).ok_or_else(|| self.malformed(name))
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<&'a [u8], StoreError> {
        match self.item.get(name) {
            Some(AttributeValue::B(value)) => Ok(value.as_ref()),
            _ => Err(self.malformed(name)),
        }
    }

    pub(super) fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], StoreError> {
        self.bytes(name)?.try_into().map_err(|_| self.malformed(name))
    }

    /// A flag; absent is `false`.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, StoreError> {
        match self.item.get(name) {
            None => Ok(false),
            Some(AttributeValue::Bool(value)) => Ok(*value),
            Some(_) => Err(self.malformed(name)),
        }
    }

    pub(super) fn instant(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_unix_ms)
    }

    pub(super) fn optional_instant(&self, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
        if self.has(name) { self.instant(name).map(Some) } else { Ok(None) }
    }
}
