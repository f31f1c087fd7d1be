//! DynamoDB's expressions, as far as merchant-connection writes any: conditions and updates of presence.

use serde_json::{Map, Value};

/// An item, or the value of an attribute, as DynamoDB's JSON has it.
pub type Item = Map<String, Value>;

/// The names and values of a request that its expressions refer to.
pub struct Scope<'a>(pub &'a Value);

impl Scope<'_> {
    fn name<'a>(&'a self, text: &'a str) -> &'a str {
        self.0["ExpressionAttributeNames"][text].as_str().unwrap_or(text)
    }

    /// What an operand stands for: a value of the request, or an attribute of the item.
    fn operand(&self, item: Option<&Item>, text: &str) -> Option<Value> {
        if text.starts_with(':') {
            return self.0["ExpressionAttributeValues"].get(text).cloned();
        }
        item?.get(self.name(text)).cloned()
    }

    /// Whether `item` meets a condition: comparisons and `attribute_not_exists`, joined by OR.
    pub fn holds(&self, condition: &str, item: Option<&Item>) -> bool {
        condition.split(" OR ").any(|term| self.term_holds(term.trim(), item))
    }

    fn term_holds(&self, term: &str, item: Option<&Item>) -> bool {
        if let Some(name) = argument(term, "attribute_not_exists") {
            return item.is_none_or(|item| !item.contains_key(self.name(name)));
        }
        for (operator, is_met) in [(" < ", i64::lt as fn(&i64, &i64) -> bool), (" = ", i64::eq)] {
            if let Some((left, right)) = term.split_once(operator) {
                let (left, right) = (self.operand(item, left), self.operand(item, right));
                return match (&left, &right) {
                    (Some(left), Some(right)) => match (number(left), number(right)) {
                        (Some(left), Some(right)) => is_met(&left, &right),
                        _ => operator == " = " && left == right,
                    },
                    _ => false,
                };
            }
        }
        false
    }

    /// Carries out `SET a = b, c = if_not_exists(d, e)`.
    pub fn update(&self, expression: &str, item: &mut Item) {
        let before = item.clone();
        for assignment in assignments(expression.trim_start_matches("SET ")) {
            let Some((name, value)) = assignment.split_once(" = ") else { continue };
            let value = match argument(value, "if_not_exists").and_then(|arguments| arguments.split_once(", ")) {
                Some((known, or)) => self.operand(Some(&before), known).or_else(|| self.operand(None, or)),
                None => self.operand(Some(&before), value),
            };
            if let Some(value) = value {
                item.insert(self.name(name).to_owned(), value);
            }
        }
    }
}

fn number(value: &Value) -> Option<i64> {
    value["N"].as_str()?.parse().ok()
}

fn argument<'a>(term: &'a str, function: &str) -> Option<&'a str> {
    term.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')')
}

/// Splits at the commas that stand outside of parentheses.
fn assignments(list: &str) -> Vec<&str> {
    let (mut found, mut begun, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, character) in list.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(list[begun..at].trim());
                begun = at + 1;
            }
            _ => {}
        }
    }
    found.push(list[begun..].trim());
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: &Value) -> Item {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_condition_holds_as_dynamodb_has_it() {
        let request = json!({
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {":sequence": {"N": "2"}, ":presence": {"S": "presence"}},
        });
        let condition = "attribute_not_exists(#sequence) OR #sequence < :sequence";
        let of = |sequence: &str| item(&json!({"sequence": {"N": sequence}, "sk": {"S": "presence"}}));
        assert!(Scope(&request).holds(condition, None));
        assert!(Scope(&request).holds(condition, Some(&of("1"))));
        assert!(!Scope(&request).holds(condition, Some(&of("2"))));
        assert!(!Scope(&request).holds("#sequence < :sequence", None), "a missing attribute is less than nothing");
        assert!(Scope(&request).holds("sk = :presence", Some(&of("1"))));
    }

    #[test]
    fn an_update_sets_and_keeps() {
        let request = json!({
            "ExpressionAttributeNames": {"#online": "online"},
            "ExpressionAttributeValues": {":online": {"BOOL": true}, ":zero": {"N": "0"}},
        });
        let update = "SET #online = :online, published = if_not_exists(published, :zero)";
        let mut new = Item::new();
        Scope(&request).update(update, &mut new);
        assert_eq!(new, item(&json!({"online": {"BOOL": true}, "published": {"N": "0"}})));
        let mut known = item(&json!({"published": {"N": "4"}}));
        Scope(&request).update(update, &mut known);
        assert_eq!(known["published"], json!({"N": "4"}));
    }
}
