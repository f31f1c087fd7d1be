//! JSON as borrowed text: objects and arrays are opened one level at a time, amounts stay the digits they were sent with.
//!
//! Used to render orders and events from what is stored. Numbers are never turned into floats.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// An object. A value that is null counts as absent: the iFood-style shape writes it for what is not there.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads an object; `None` for anything else.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// A field as it was written.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get()).filter(|text| *text != "null")
    }

    /// The first of these fields that is a text.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| serde_json::from_str(self.get(name)?).ok())
    }

    /// The digits of a field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|text| text.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
    }

    /// A field that is true or false.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// A text that is an RFC 3339 instant, as it was written.
    pub(super) fn instant(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(&[name]).filter(|text| text.parse::<order_model::Timestamp>().is_ok()))
    }

    /// A field that is an object.
    pub(super) fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.get(name)?)
    }

    /// The objects of a field that is an array.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let elements: Vec<&'a RawValue> =
            self.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        elements.into_iter().filter_map(|element| Self::read(element.get())).collect()
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An array of values that are JSON already.
pub(super) fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// An object being written. No name is written twice.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    /// Writes a field whose value is JSON already.
    pub(super) fn put(&mut self, name: &str, json: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    /// The same, where there is a value.
    pub(super) fn put_if(&mut self, name: &str, json: Option<impl AsRef<str>>) -> &mut Self {
        match json {
            Some(json) => self.put(name, json.as_ref()),
            None => self,
        }
    }

    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.put(name, &quoted(text))
    }

    /// The same, where there is a text.
    pub(super) fn text_if(&mut self, name: &str, text: Option<impl AsRef<str>>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text.as_ref()),
            None => self,
        }
    }

    pub(super) fn finish(&self) -> String {
        format!("{{{}}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_kind_and_digits_stay() {
        let text = r#"{"a":null,"n":1.50,"t":"x\"y","o":{"d":12345678901234567890.10},"l":[{"i":1},2],"at":"2026-11-20T12:00:00Z"}"#;
        let object = Object::read(text).unwrap();
        assert_eq!((object.get("a"), object.number("n"), object.number("t")), (None, Some("1.50"), None));
        assert_eq!(object.text(&["n", "t"]).as_deref(), Some("x\"y"));
        assert_eq!(object.object("o").unwrap().number("d"), Some("12345678901234567890.10"));
        assert_eq!(object.objects("l").len(), 1);
        assert_eq!(object.instant(&["t", "at"]).as_deref(), Some("2026-11-20T12:00:00Z"));
        assert!(Object::read("[1]").is_none() && object.object("t").is_none() && object.objects("o").is_empty());
    }

    #[test]
    fn objects_are_written() {
        let mut writer = Writer::default();
        writer.put("a", "1.50").text("b", "\"").text_if("c", None::<String>).put_if("d", Some("[]"));
        assert_eq!(writer.finish(), r#"{"a":1.50,"b":"\"","d":[]}"#);
        assert_eq!(Writer::default().finish(), "{}");
    }
}
