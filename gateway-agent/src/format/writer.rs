//! Writes a JSON object around values that are copied as text.
//!
//! The Open Delivery conversion builds orders with it. Values are never rendered here, only names are.

use std::collections::BTreeSet;

/// An object being written. Fields that have no counterpart come last, under a name that is free.
#[derive(Default)]
pub(crate) struct ObjectText {
    fields: String,
    names: BTreeSet<String>,
    kept: Vec<(String, String)>,
}

impl ObjectText {
    /// Writes a field. A name that was written already is ignored, so that no name appears twice.
    pub(crate) fn put(&mut self, name: &str, json: &str) {
        if self.names.insert(name.to_owned()) {
            self.write(name, json);
        }
    }

    /// Writes a string field.
    pub(crate) fn put_text(&mut self, name: &str, text: &str) {
        self.put(name, &quoted(text));
    }

    /// Keeps a field that has no counterpart: under its own name unless the conversion writes that name itself, then
    /// with `openDelivery.` before it, in the same object, so that what is personal stays where it is looked for.
    pub(crate) fn keep(&mut self, name: &str, json: &str) {
        self.kept.push((name.to_owned(), json.to_owned()));
    }

    /// The finished object.
    pub(crate) fn finish(mut self) -> String {
        for (mut name, json) in std::mem::take(&mut self.kept) {
            while self.names.contains(&name) {
                name.insert_str(0, "openDelivery.");
            }
            self.put(&name, &json);
        }
        format!("{{{}}}", self.fields)
    }

    fn write(&mut self, name: &str, json: &str) {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        self.fields.push_str(&quoted(name));
        self.fields.push(':');
        self.fields.push_str(json);
    }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An array of values that are JSON already.
pub(crate) fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_no_name_appears_twice() {
        let mut object = ObjectText::default();
        object.keep("price", "\"kept\"");
        object.put("price", "1.50");
        object.keep("a\"b", "null");
        object.keep("openDelivery.price", "2");
        assert_eq!(
            object.finish(),
            r#"{"price":1.50,"openDelivery.price":"kept","a\"b":null,"openDelivery.openDelivery.price":2}"#
        );
    }
}
