//! JSON with fields missing, twice, of another type, at the ends of their range, or nested without end.
//!
//! Written as text and not as a value of some library: a name that stands twice, `NaN`, half a surrogate pair and 10,000
//! brackets are things that no such value holds.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// How deep anything here nests: far beyond every limit of ours, and what a parser that recurses without one dies of.
pub const NESTED_MAX: usize = 10_000;
/// The most that is wrong with one document.
const DAMAGES_MAX: usize = 3;
/// The longest text.
const LONG_BYTES: usize = 100_000;

/// What may stand where something else was expected, as it is written. Not all of it is JSON.
const VALUES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "0.1",
    "-0.0",
    "1e0",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "1e308",
    "-1e308",
    "1e999",
    "1e-999",
    "0.1234567890123456789012345678901234567890",
    "79228162514264337593543950335",
    "NaN",
    "Infinity",
    "01",
    "1.",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"-1\"",
    "\"\\u0000\"",
    "\"\\u001b[31m\\r\\n\"",
    "\"\\ud800\"",
    "\"ação 🍕 \\u202e\"",
    "\"0B8E1C34-7F70-4C2F-9A55-6D1DE6A3C901\"",
    "\"{0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901}\"",
    "\"1970-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59.999Z\"",
    "\"-009999-01-01T00:00:00Z\"",
    "\"2026-02-30T25:61:61+99:99\"",
    "[]",
    "{}",
];

/// A document that can be written in ways that a [`Value`] cannot.
#[derive(Debug, Clone)]
enum Node {
    /// As it is written.
    Text(Cow<'static, str>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// One thing that is wrong, and with which part.
#[derive(Debug, Clone)]
enum Damage {
    /// Something else stands there.
    Value(Index),
    /// A long text stands there: of ASCII, of what is two bytes each, of what JSON has to escape.
    Long(Index),
    /// It nests so deep.
    Nested(bool, usize),
    /// It stands in a list, or in an object.
    Wrapped(bool),
    /// One of its parts is missing.
    Without(Index),
    /// One of its parts comes twice.
    Twice(Index),
    /// One of its parts has another name.
    Renamed(Index, Index),
    /// Its parts stand the other way round.
    Reversed,
}

/// `valid` as text, with up to three things wrong; now and then the text itself is damaged as well.
pub fn json_of(valid: Value) -> impl Strategy<Value = String> {
    let damages = prop::collection::vec((any::<Index>(), damage()), 0..=DAMAGES_MAX);
    (damages, prop::option::weighted(0.2, text_damage())).prop_map(move |(damages, of_text)| {
        let mut node = Node::of(&valid);
        for (at, damage) in &damages {
            let at = at.index(node.count());
            node.at(at, &mut |node| node.damage(damage));
        }
        let mut text = String::new();
        node.write(&mut text);
        of_text.map_or_else(|| text.clone(), |damage| damage.apply(&text))
    })
}

/// A text with characters missing, doubled or put in between; or any text.
pub fn text_of(valid: String) -> impl Strategy<Value = String> {
    let damaged = prop::collection::vec(text_damage(), 0..=DAMAGES_MAX)
        .prop_map(move |damages| damages.iter().fold(valid.clone(), |text, damage| damage.apply(&text)));
    prop_oneof![1 => any::<String>(), 7 => damaged]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        16 => any::<Index>().prop_map(Damage::Value),
        1 => any::<Index>().prop_map(Damage::Long),
        1 => (any::<bool>(), prop::sample::select(vec![31, 33, 130, NESTED_MAX]))
            .prop_map(|(is_object, levels)| Damage::Nested(is_object, levels)),
        2 => any::<bool>().prop_map(Damage::Wrapped),
        6 => any::<Index>().prop_map(Damage::Without),
        4 => any::<Index>().prop_map(Damage::Twice),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(which, name)| Damage::Renamed(which, name)),
        1 => Just(Damage::Reversed),
    ]
}

impl Node {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(elements) => Self::Array(elements.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                Self::Object(fields.iter().map(|(name, value)| (name.clone(), Self::of(value))).collect())
            }
            scalar => Self::Text(scalar.to_string().into()),
        }
    }

    fn parts(&mut self) -> Box<dyn Iterator<Item = &mut Self> + '_> {
        match self {
            Self::Text(_) => Box::new(std::iter::empty()),
            Self::Array(elements) => Box::new(elements.iter_mut()),
            Self::Object(fields) => Box::new(fields.iter_mut().map(|(_, value)| value)),
        }
    }

    /// How many parts there are, itself included.
    fn count(&mut self) -> usize {
        1 + self.parts().map(Self::count).sum::<usize>()
    }

    /// Calls `then` with part `at`, counted from itself downwards.
    fn at(&mut self, at: usize, then: &mut dyn FnMut(&mut Self)) {
        if at == 0 {
            return then(self);
        }
        let mut left = at - 1;
        for part in self.parts() {
            let count = part.count();
            if left < count {
                return part.at(left, then);
            }
            left -= count;
        }
    }

    fn damage(&mut self, damage: &Damage) {
        match damage {
            Damage::Value(which) => *self = Self::Text(Cow::Borrowed(VALUES[which.index(VALUES.len())])),
            Damage::Long(which) => {
                let unit = which.get(&["x", "é", "\\u0001", "9"]);
                let text = unit.repeat(LONG_BYTES / unit.len());
                *self = Self::Text(if *unit == "9" { text.into() } else { format!("\"{text}\"").into() });
            }
            Damage::Nested(is_object, levels) => {
                let (opening, closing) = if *is_object { ("{\"a\":", "}") } else { ("[", "]") };
                *self = Self::Text(format!("{}0{}", opening.repeat(*levels), closing.repeat(*levels)).into());
            }
            Damage::Wrapped(is_object) => {
                let inner = std::mem::replace(self, Self::Array(Vec::new()));
                *self =
                    if *is_object { Self::Object(vec![("id".to_owned(), inner)]) } else { Self::Array(vec![inner]) };
            }
            Damage::Without(which) => self.change_parts(|parts| drop(parts.remove(which.index(parts.len())))),
            Damage::Twice(which) => self.change_parts(|parts| parts.push(which.get(parts).clone())),
            Damage::Renamed(which, name) => self.change_parts(|parts| {
                let place = which.index(parts.len());
                parts[place].0 = (*name.get(&["", "id", "ID", "\u{0}", "açúcar", "constructor"])).to_owned();
            }),
            Damage::Reversed => self.change_parts(|parts| parts.reverse()),
        }
    }

    /// What has no parts becomes `null`: something is wrong with it all the same.
    fn change_parts(&mut self, change: impl FnOnce(&mut Vec<(String, Self)>)) {
        match self {
            Self::Object(fields) if !fields.is_empty() => change(fields),
            Self::Array(elements) if !elements.is_empty() => {
                let mut parts = std::mem::take(elements).into_iter().map(|part| (String::new(), part)).collect();
                change(&mut parts);
                *elements = parts.into_iter().map(|(_, part)| part).collect();
            }
            Self::Text(_) | Self::Object(_) | Self::Array(_) => *self = Self::Text(Cow::Borrowed("null")),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Array(elements) => {
                out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    element.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// What is wrong with a text, character by character.
#[derive(Debug, Clone)]
enum TextDamage {
    Cut(Index),
    Without(Index),
    Twice(Index),
    Inserted(Index, char),
}

fn text_damage() -> impl Strategy<Value = TextDamage> {
    let character = prop_oneof![
        prop::sample::select("{}[]\",:\\0-eE.+/;&=%#\u{0}\u{7f}é\u{feff}🍕".chars().collect::<Vec<char>>()),
        any::<char>()
    ];
    prop_oneof![
        any::<Index>().prop_map(TextDamage::Cut),
        any::<Index>().prop_map(TextDamage::Without),
        any::<Index>().prop_map(TextDamage::Twice),
        (any::<Index>(), character).prop_map(|(at, character)| TextDamage::Inserted(at, character)),
    ]
}

impl TextDamage {
    fn apply(&self, text: &str) -> String {
        let (Self::Cut(at) | Self::Without(at) | Self::Twice(at) | Self::Inserted(at, _)) = self;
        let place = text.floor_char_boundary(at.index(text.len() + 1));
        let (before, after) = text.split_at(place);
        let first = after.chars().next().map_or(0, char::len_utf8);
        match self {
            Self::Cut(_) => before.to_owned(),
            Self::Without(_) => format!("{before}{}", &after[first..]),
            Self::Twice(_) => format!("{before}{}{after}", &after[..first]),
            Self::Inserted(_, character) => format!("{before}{character}{after}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_left_alone_changed_and_broken() {
        let valid = json!({"a": [1, {"b": "text"}], "c": null, "d": {"e": 1.5}});
        let mut runner = TestRunner::deterministic();
        let strategy = json_of(valid.clone());
        let seen: Vec<String> = (0..3_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        let read = |text: &String| serde_json::from_str::<Value>(text).ok();
        assert!(seen.iter().any(|text| read(text).as_ref() == Some(&valid)));
        assert!(seen.iter().any(|text| read(text).is_some_and(|read| read != valid)));
        assert!(seen.iter().any(|text| read(text).is_none()));
        for part in ["NaN", "18446744073709551616", "\\ud800", &"[".repeat(NESTED_MAX), &"x".repeat(LONG_BYTES)] {
            assert!(seen.iter().any(|text| text.contains(part)), "{part:.40} never comes");
        }
        let twice = |text: &String| text.matches("\"c\":").count() == 2;
        assert!(seen.iter().any(twice), "no name ever comes twice");
    }

    #[test]
    fn texts_are_damaged_at_characters() {
        let mut runner = TestRunner::deterministic();
        let strategy = text_of("ação".to_owned());
        let seen: Vec<String> = (0..1_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        assert!(seen.iter().any(|text| text == "ação") && seen.iter().any(|text| text == "aço"));
    }
}
