//! Reads fields of a request that are one of a few words. Pure; a wrong one is refused at its field.

use serde_json::{Map, Value};

use crate::errors::ApiError;

/// The JSON object of a body that has these fields at most.
pub(super) fn object(body: &[u8], fields: &[&str]) -> Result<Map<String, Value>, ApiError> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return Err(ApiError::bad_request("The body must be a JSON object."));
    };
    match object.keys().find(|name| !fields.contains(&name.as_str())) {
        None => Ok(object),
        Some(unknown) => {
            let known = fields.join(", ");
            let field: String = unknown.chars().take(FIELD_MAX_CHARS).collect();
            Err(ApiError::bad_request(format!("There is no such field; there are {known}.")).at_field(field))
        }
    }
}

/// The longest name of an unknown field that is said back.
const FIELD_MAX_CHARS: usize = 64;

/// What a field's word stands for; `None` where it is not there or null.
pub(super) fn choice<T: Copy>(
    object: &Map<String, Value>,
    field: &'static str,
    choices: &[(&'static str, T)],
) -> Result<Option<T>, ApiError> {
    let word = match object.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str(),
    };
    let chosen = choices.iter().find(|(name, _)| word == Some(name)).map(|(_, chosen)| *chosen);
    chosen.map(Some).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        ApiError::bad_request(format!("{field} must be one of {}.", names.join(", "))).at_field(field)
    })
}
