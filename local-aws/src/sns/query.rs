//! The query protocol's request: `Action=Publish&MessageAttributes.entry.1.Name=...` as a JSON value.
//!
//! Called by [`super::Sns`]. `awsim` parses it; done here is what it leaves undone: message attributes arrive as a list
//! of names and values and must become a map, and indices must be bounded before anything is allocated for them.

use awsim_core::AwsError;
use awsim_core::protocol::ParsedRequest;
use bytes::Bytes;
use serde_json::{Map, Value};

/// The highest index of a list: SNS takes 10 entries of a batch, 10 attributes of a message, 100 tags or so. `awsim`
/// allocates as many elements as the index says.
const INDEX_MAX: usize = 128;
/// The deepest parameter: `PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.StringValue` has eight
/// parts. `awsim` recurses once for each.
const DEPTH_MAX: usize = 16;

/// Reads a request.
pub(super) fn parse(body: &Bytes) -> Result<ParsedRequest, AwsError> {
    if !body.split(|byte| *byte == b'&').all(has_bounded_name) {
        return Err(AwsError::bad_request("InvalidParameter", "a parameter's name is not one of the query protocol"));
    }
    let mut request = awsim_core::protocol::query::parse_request(body)?;
    mend_attributes(&mut request.input)?;
    if let Some(entries) = request.input.get_mut("PublishBatchRequestEntries").and_then(Value::as_array_mut) {
        entries.iter_mut().try_for_each(mend_attributes)?;
    }
    Ok(request)
}

/// Whether the name before `=` holds only bounded indices. AWS's parameter names never need percent-encoding, so an
/// encoded one is refused rather than decoded.
fn has_bounded_name(parameter: &[u8]) -> bool {
    let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
    if name.contains(&b'%') || name.contains(&b'+') {
        return false;
    }
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    let is_bounded = |part: &str| match part.parse::<usize>() {
        Ok(index) => (1..=INDEX_MAX).contains(&index),
        // Digits only, yet no number: larger than any index.
        Err(_) => part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    name.split('.').count() <= DEPTH_MAX && name.split('.').all(is_bounded)
}

/// Turns `MessageAttributes: {entry: [{Name, Value}]}` into `MessageAttributes: {Name: Value}`.
fn mend_attributes(published: &mut Value) -> Result<(), AwsError> {
    let Some(attributes) = published.get_mut("MessageAttributes") else {
        return Ok(());
    };
    let Some(entries) = attributes.get("entry").and_then(Value::as_array) else {
        return Ok(());
    };
    let mut by_name = Map::new();
    for entry in entries {
        let Some(name) = entry["Name"].as_str() else {
            return Err(AwsError::bad_request("InvalidParameter", "a message attribute has no name"));
        };
        if entry["Value"].get("BinaryValue").is_some() {
            return Err(AwsError::bad_request("InvalidParameter", "local-aws carries no binary message attributes"));
        }
        by_name.insert(name.to_owned(), entry["Value"].clone());
    }
    *attributes = Value::Object(by_name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &'static str) -> Result<ParsedRequest, AwsError> {
        parse(&Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn message_attributes_become_a_map() {
        let request = parsed(concat!(
            "Action=PublishBatch&PublishBatchRequestEntries.member.1.Id=a",
            "&PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Name=code",
            "&PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.DataType=String",
            "&PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.StringValue=PLC",
        ))
        .unwrap();
        assert_eq!(request.operation, "PublishBatch");
        assert_eq!(request.input["PublishBatchRequestEntries"][0]["MessageAttributes"]["code"]["StringValue"], "PLC");
    }

    #[test]
    fn binary_attributes_are_refused() {
        let error = parsed(
            "Action=Publish&MessageAttributes.entry.1.Name=x&MessageAttributes.entry.1.Value.DataType=Binary&MessageAttributes.entry.1.Value.BinaryValue=AA",
        )
        .unwrap_err();
        assert_eq!(error.code, "InvalidParameter");
    }

    #[test]
    fn names_that_would_allocate_or_recurse_without_bound_are_refused() {
        let deep = format!("Action=Publish&{}=1", vec!["a"; DEPTH_MAX + 1].join("."));
        assert!(parse(&Bytes::from(deep)).is_err());
        for name in ["X.0", "X.4000000000", "X.99999999999999999999999999", "X%2E0"] {
            assert!(parse(&Bytes::from(format!("Action=Publish&{name}=1"))).is_err(), "{name}");
        }
    }
}
