//! Reads JSON bodies field by field, so that a refusal names the field: `products[2].optionGroups[0].min`.
//!
//! Used by `requests` and by `crate::shipping`. Numbers stay the text they are. Fields that are not asked for are not looked at, however deep they are; null
//! and absent are the same.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::entities::{Availability, Context};
use super::limits::{ENTITIES_PER_REQUEST_MAX, ID_MAX_BYTES, WORD_MAX_CHARS};
use super::money::{EXPECTED as A_PRICE, Money};
use super::refusal::{Kind, Refusal};

/// A JSON object of a body.
pub(crate) struct Object<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
}

/// A body that is an object, or an array of objects.
pub(super) enum Body<'a> {
    One(Object<'a>),
    Many(Vec<Object<'a>>),
}

impl<'a> Body<'a> {
    pub(super) fn read(body: &'a [u8], most: usize) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(Kind::Invalid, "The body must be a JSON object, or an array of such objects.");
        let raw: &RawValue = serde_json::from_slice(body).map_err(|_| wrong())?;
        if raw.get().starts_with('{') {
            return Object::read(String::new(), raw).map(Self::One).map_err(|_| wrong());
        }
        let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        if entries.is_empty() || entries.len() > most {
            return Err(Refusal::new(Kind::Invalid, format!("A batch has 1 to {most} entries.")));
        }
        let entries = entries.into_iter().enumerate().map(|(at, raw)| Object::read(format!("[{at}]"), raw));
        Ok(Self::Many(entries.collect::<Result<_, _>>()?))
    }
}

impl<'a> Object<'a> {
    /// The object that a body is.
    pub(crate) fn body(body: &'a [u8]) -> Result<Self, Refusal> {
        let read: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_slice(body);
        let fields = read.map_err(|_| Refusal::new(Kind::Invalid, "The body must be a JSON object."))?;
        Ok(Self { path: String::new(), fields })
    }

    fn read(path: String, raw: &'a RawValue) -> Result<Self, Refusal> {
        match serde_json::from_str(raw.get()) {
            Ok(fields) => Ok(Self { path, fields }),
            Err(_) => Err(Refusal::field(path, "an object")),
        }
    }

    /// The field's place in the body.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn wrong(&self, name: &str, expected: &str) -> Refusal {
        Refusal::field(self.path(name), expected)
    }

    /// The field as it was written; `None` where it is not there or null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A text; `None` when there is none, or an empty one.
    pub(crate) fn text(&self, name: &str, most_chars: usize) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let expected =
            || self.wrong(name, &format!("a text of at most {most_chars} characters, none of them a control one"));
        let text: String = serde_json::from_str(raw.get()).map_err(|_| expected())?;
        let text = text.trim();
        let is_fine = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if text.chars().count() > most_chars || !text.chars().all(is_fine) {
            return Err(expected());
        }
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    pub(crate) fn required_text(&self, name: &str, most_chars: usize) -> Result<String, Refusal> {
        self.text(name, most_chars)?.ok_or_else(|| self.wrong(name, &format!("a text of 1 to {most_chars} characters")))
    }

    /// A word such as `SERVES_2`.
    pub(super) fn word(&self, name: &str) -> Result<Option<String>, Refusal> {
        let word = self.text(name, WORD_MAX_CHARS)?;
        if word.as_ref().is_some_and(|word| !is_word(word)) {
            return Err(self.wrong(name, "a word of capital letters, digits and _"));
        }
        Ok(word)
    }

    pub(super) fn words(&self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let expected =
            || self.wrong(name, &format!("an array of at most {most} words of capital letters, digits and _"));
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        let words: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| expected())?;
        if words.len() > most || !words.iter().all(|word| is_word(word)) { Err(expected()) } else { Ok(words) }
    }

    pub(super) fn id(&self, name: &str) -> Result<Option<String>, Refusal> {
        let id = self.text(name, ID_MAX_BYTES)?;
        match id {
            Some(id) if !is_id(&id) => Err(self.wrong_id(name)),
            id => Ok(id),
        }
    }

    pub(super) fn required_id(&self, name: &str) -> Result<String, Refusal> {
        self.id(name)?.ok_or_else(|| self.wrong_id(name))
    }

    pub(super) fn ids(&self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let expected = || self.wrong(name, &format!("an array of at most {most} ids, each once"));
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        let ids: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| expected())?;
        let mut sorted: Vec<&String> = ids.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let is_fine = ids.len() <= most && sorted.len() == ids.len() && ids.iter().all(|id| is_id(id));
        if is_fine { Ok(ids) } else { Err(expected()) }
    }

    fn wrong_id(&self, name: &str) -> Refusal {
        self.wrong(name, &format!("1 to {ID_MAX_BYTES} letters, digits, - and _"))
    }

    /// One of a few words, in any case.
    pub(super) fn choice<T: Copy>(&self, name: &str, all: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let sent: Option<String> = serde_json::from_str(raw.get()).ok();
        let found = sent.and_then(|sent| all.iter().find(|(text, _)| text.eq_ignore_ascii_case(sent.trim())));
        let expected = || all.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(" or ");
        found.map(|(_, value)| Some(*value)).ok_or_else(|| self.wrong(name, &expected()))
    }

    pub(super) fn status(&self, name: &str) -> Result<Option<Availability>, Refusal> {
        self.choice(name, &Availability::ALL)
    }

    pub(super) fn context(&self, name: &str) -> Result<Context, Refusal> {
        let expected = || self.wrong(name, "DEFAULT or WHITELABEL or INDOOR");
        self.choice(name, &Context::ALL)?.ok_or_else(expected)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| self.wrong(name, "true or false"))
    }

    /// A whole number, also written `1.0`, from 0.
    pub(crate) fn number(&self, name: &str, most: u32) -> Result<Option<u32>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = raw.get();
        let whole = text
            .split_once('.')
            .map_or(text, |(whole, fraction)| if fraction.bytes().all(|byte| byte == b'0') { whole } else { "" });
        let number: Option<u32> = whole.parse().ok().filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| self.wrong(name, &format!("a whole number from 0 to {most}")))
    }

    pub(crate) fn money(&self, name: &str) -> Result<Option<Money>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        Money::read(raw.get()).map(Some).ok_or_else(|| self.wrong(name, A_PRICE))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        self.raw(name).map(|raw| Self::read(self.path(name), raw)).transpose()
    }

    pub(crate) fn objects(&self, name: &str, most: usize) -> Result<Vec<Self>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        let most = most.min(ENTITIES_PER_REQUEST_MAX);
        let expected = || self.wrong(name, &format!("an array of at most {most} objects"));
        let all: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| expected())?;
        if all.len() > most {
            return Err(expected());
        }
        all.into_iter().enumerate().map(|(at, raw)| Self::read(format!("{}[{at}]", self.path(name)), raw)).collect()
    }
}

/// Whether it can stand in a path and in a sort key.
pub(super) fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=ID_MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=WORD_MAX_CHARS).contains(&text.len()) && text.bytes().all(is_allowed)
}
