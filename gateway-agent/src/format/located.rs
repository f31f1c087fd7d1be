//! An object together with where it stands, so that whatever is missing or misshapen names itself.
//!
//! The parsers of all three formats read required fields through it. What a field means is deliberately absent.

use std::borrow::Cow;

use order_model::Timestamp;
use serde_json::value::RawValue;

use super::invalid::{Invalid, Path};
use super::json::{self, Object};

/// An opened object at its path.
pub(crate) struct Located<'a, 'p> {
    pub(crate) path: Path<'p>,
    pub(crate) object: Object<'a>,
}

impl<'a, 'p> Located<'a, 'p> {
    /// Opens `value`, which stands at `path`.
    pub(crate) fn open(path: Path<'p>, value: &'a RawValue) -> Result<Self, Invalid> {
        Ok(Self { path, object: Object::open(path, value)? })
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&'a RawValue, Invalid> {
        self.object.get(name).ok_or_else(|| Invalid::at(self.path.field(name), "required, but absent"))
    }

    /// A required object.
    pub(crate) fn object(&self, name: &'static str) -> Result<Located<'a, '_>, Invalid> {
        Located::open(self.path.field(name), self.required(name)?)
    }

    /// A required string.
    pub(crate) fn text(&self, name: &'static str) -> Result<Cow<'a, str>, Invalid> {
        let value = self.required(name)?;
        json::text(value).ok_or_else(|| self.unexpected(name, "a string", value))
    }

    /// A required string of `min` to `max` characters.
    pub(crate) fn text_of_length(&self, name: &'static str, min: usize, max: usize) -> Result<Cow<'a, str>, Invalid> {
        let text = self.text(name)?;
        match (min..=max).contains(&text.chars().take(max + 1).count()) {
            true => Ok(text),
            false => Err(Invalid::at(self.path.field(name), format_args!("expected {min} to {max} characters"))),
        }
    }

    /// A required JSON number, as it was sent.
    pub(crate) fn number(&self, name: &'static str) -> Result<&'a str, Invalid> {
        let value = self.required(name)?;
        json::number(value).ok_or_else(|| self.unexpected(name, "a number", value))
    }

    /// A required RFC 3339 instant with an offset.
    pub(crate) fn instant(&self, name: &'static str) -> Result<Timestamp, Invalid> {
        let text = self.text(name)?;
        text.parse().map_err(|error| Invalid::at(self.path.field(name), error))
    }

    /// A required string that is an identifier of type `T`.
    pub(crate) fn id<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, Invalid> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Invalid::at(self.path.field(name), "expected a UUID of 36 characters"))
    }

    /// A required array.
    pub(crate) fn elements(&self, name: &'static str) -> Result<Vec<&'a RawValue>, Invalid> {
        let value = self.required(name)?;
        json::elements(value).ok_or_else(|| self.unexpected(name, "an array", value))
    }

    /// An optional string; `None` also where something else stands, which is kept but means nothing to us.
    pub(crate) fn text_if_any(&self, name: &str) -> Option<Cow<'a, str>> {
        self.object.get(name).and_then(json::text)
    }

    /// An optional instant; `None` also where something else stands.
    pub(crate) fn instant_if_any(&self, name: &str) -> Option<Timestamp> {
        self.text_if_any(name).and_then(|text| text.parse().ok())
    }

    /// An optional object; `None` also where something else stands.
    pub(crate) fn object_if_any(&self, name: &'static str) -> Result<Option<Located<'a, '_>>, Invalid> {
        let value = self.object.get(name).filter(|value| json::kind(value) == "an object");
        value.map(|value| Located::open(self.path.field(name), value)).transpose()
    }

    fn unexpected(&self, name: &'static str, expected: &str, found: &RawValue) -> Invalid {
        Invalid::at(self.path.field(name), format_args!("expected {expected}, found {}", json::kind(found)))
    }
}
