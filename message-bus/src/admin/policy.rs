//! The policy of a queue that lets topics send to it: a pure function over its JSON.
//!
//! Called by [`super::subscribe`]. Statements of others are kept as they are.

use serde_json::{Value, json};

/// `current` with a statement that lets this topic, and no other of anybody's, send to this queue; `None` if it has it
/// already. A policy that cannot be read counts as none: SQS would not have stored one.
pub(super) fn allowing(current: Option<&str>, topic_arn: &str, queue_arn: &str) -> Option<String> {
    let wanted = statement(topic_arn, queue_arn);
    let current = current.and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(Value::is_object);
    let mut policy = current.unwrap_or_else(|| json!({ "Version": "2012-10-17" }));
    let mut statements = match policy["Statement"].take() {
        Value::Array(statements) => statements,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    if statements.contains(&wanted) {
        return None;
    }
    statements.retain(|statement| statement["Sid"] != wanted["Sid"]);
    statements.push(wanted);
    policy["Statement"] = Value::Array(statements);
    Some(policy.to_string())
}

fn statement(topic_arn: &str, queue_arn: &str) -> Value {
    // An id may hold letters and digits only; two topics that differ in nothing else would share one, and the later
    // would replace the earlier: the platform's topics do not.
    let topic = topic_arn.rsplit(':').next().unwrap_or_default();
    let id: String = topic.chars().filter(char::is_ascii_alphanumeric).collect();
    json!({
        "Sid": format!("ComandaTopic{id}"),
        "Effect": "Allow",
        "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:1:feed";
    const TOPIC: &str = "arn:aws:sns:us-east-1:1:order-events";

    #[test]
    fn a_second_time_changes_nothing() {
        let policy = allowing(None, TOPIC, QUEUE).unwrap();
        assert_eq!(allowing(Some(&policy), TOPIC, QUEUE), None);
    }

    #[test]
    fn other_statements_are_kept_and_an_outdated_one_is_replaced() {
        let other = json!({ "Sid": "Other", "Effect": "Deny" });
        let outdated = json!({ "Sid": "ComandaTopicorderevents", "Effect": "Allow", "Resource": "elsewhere" });
        let current = json!({ "Version": "2012-10-17", "Statement": [other, outdated] }).to_string();
        let policy: Value = serde_json::from_str(&allowing(Some(&current), TOPIC, QUEUE).unwrap()).unwrap();
        assert_eq!(policy["Statement"], json!([other, statement(TOPIC, QUEUE)]));
    }

    #[test]
    fn two_topics_have_a_statement_each() {
        let first = allowing(None, TOPIC, QUEUE).unwrap();
        let both = allowing(Some(&first), "arn:aws:sns:us-east-1:1:merchant-status", QUEUE).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&both).unwrap()["Statement"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn nonsense_counts_as_no_policy() {
        for current in ["", "[]", "not json"] {
            assert!(allowing(Some(current), TOPIC, QUEUE).is_some());
        }
    }
}
