//! The OpenAPI 3.1 document, made from the table of operations with utoipa.
//!
//! Rendered once, when the service is built. Shapes are those of PARTNER_API; what clients must ignore (further fields) is
//! allowed everywhere.

use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
};

use crate::merchants::{interruptions, shift_list, status};
use crate::operations::{Answers, OPERATIONS, Row, Takes, Verb};

const TOKEN_URL: &str = "/authentication/v1.0/oauth/token";
const SECURITY: &str = "clientCredentials";
const JSON: &str = "application/json";

/// The document.
pub(crate) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Comanda: merchant API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Orders and their events for POS systems: poll, acknowledge, act. Money is a JSON decimal."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let mut paths = PathsBuilder::new();
    for row in OPERATIONS {
        for (index, path) in row.paths.iter().enumerate() {
            paths = paths.path(*path, path_item(row, path, index));
        }
    }
    let flow = Flow::ClientCredentials(ClientCredentials::new(TOKEN_URL, Scopes::new()));
    let mut components =
        ComponentsBuilder::new().security_scheme(SECURITY, SecurityScheme::OAuth2(OAuth2::new([flow])));
    for (name, schema) in schemas().into_iter().chain(merchant_schemas()).chain(schedule_schemas()) {
        components = components.schema(name, schema);
    }
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components.build())).build()
}

fn path_item(row: &Row, path: &str, index: usize) -> utoipa::openapi::PathItem {
    let method = match row.verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Delete => HttpMethod::Delete,
    };
    let id = if index == 0 { row.id.to_owned() } else { format!("{}_alias_{index}", row.id) };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag(row.tag)
        .summary(Some(row.summary))
        .request_body(body(row.takes));
    for name in path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        operation = operation.parameter(parameter.schema(Some(text())).build());
    }
    for parameter in row.parameters {
        let parameter_in = if parameter.in_header { ParameterIn::Header } else { ParameterIn::Query };
        let documented = ParameterBuilder::new().name(parameter.name).parameter_in(parameter_in);
        let documented = documented.required(Required::False).description(Some(parameter.description));
        operation = operation.parameter(documented.schema(Some(text())).build());
    }
    for (status, response) in answers(row.answers) {
        operation = operation.response(status, response);
    }
    let with_token: &[u16] = if row.takes_token { &[401, 403] } else { &[] };
    for status in row.errors.iter().chain(with_token).chain(&[503]) {
        operation = operation.response(status.to_string(), error(*status));
    }
    if row.takes_token {
        operation = operation.security(SecurityRequirement::new(SECURITY, Vec::<String>::new()));
    }
    PathItemBuilder::new().operation(method, operation.build()).build()
}

fn body(takes: Takes) -> Option<utoipa::openapi::request_body::RequestBody> {
    let (content_type, schema, required) = match takes {
        Takes::Nothing => return None,
        Takes::TokenForm => ("application/x-www-form-urlencoded", reference("TokenForm"), Required::True),
        Takes::EventIds => (JSON, array("EventReference"), Required::True),
        Takes::Note => (JSON, reference("Note"), Required::False),
        Takes::One(name) => (JSON, reference(name), Required::True),
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    Some(RequestBodyBuilder::new().required(Some(required)).content(content_type, content).build())
}

fn answers(answers: Answers) -> Vec<(&'static str, Response)> {
    let with = |description: &str, schema| {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new().description(description).content(JSON, content).build()
    };
    let without = |description: &str| ResponseBuilder::new().description(description).build();
    match answers {
        Answers::One(name) => vec![("200", with("Found.", reference(name)))],
        Answers::Many(name) => vec![("200", with("Found.", array(name)))],
        Answers::Events => {
            vec![("200", with("Pending events, unordered.", array("Event"))), ("204", without("Nothing is pending."))]
        }
        Answers::Created(name) => vec![("201", with("Done, and kept.", reference(name)))],
        Answers::Accepted => vec![("202", without("Done, and kept."))],
        Answers::Gone => vec![("204", without("Gone."))],
    }
}

fn error(status: u16) -> Response {
    let description = match status {
        400 => "The request cannot be read.",
        401 => "The token or the credentials do not count.",
        403 => "No permission for a merchant; `unauthorizedMerchants` lists them.",
        404 => "Unknown, or not the application's.",
        408 => "The body did not arrive in time.",
        409 => "Not possible as things stand; for an order, `details` says in which state it is and what would be.",
        413 => "The body is too large.",
        415 => "Another content type is expected.",
        429 => "Too many requests; see `Retry-After`.",
        _ => "Not possible for the moment; repeat after `Retry-After`.",
    };
    let content = ContentBuilder::new().schema(Some(reference("Error"))).build();
    ResponseBuilder::new().description(description).content(JSON, content).build()
}

fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn array(name: &str) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(reference(name)).build()))
}

fn typed(kind: Type) -> RefOr<Schema> {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(kind).build()))
}

fn text() -> RefOr<Schema> {
    typed(Type::String)
}

/// An object with these fields; a name ending in `?` is optional.
fn object(fields: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().schema_type(Type::Object);
    for (name, schema) in fields {
        let (name, optional) = name.strip_suffix('?').map_or((*name, false), |name| (name, true));
        object = object.property(name, schema.clone());
        if !optional {
            object = object.required(name);
        }
    }
    RefOr::T(Schema::Object(object.build()))
}

fn texts(names: &[&str]) -> RefOr<Schema> {
    let fields: Vec<(&str, RefOr<Schema>)> = names.iter().map(|name| (*name, text())).collect();
    object(&fields)
}

fn schemas() -> Vec<(&'static str, RefOr<Schema>)> {
    let anything = || typed(Type::Object);
    vec![
        ("TokenForm", texts(&["grantType", "clientId", "clientSecret"])),
        ("Token", object(&[("accessToken", text()), ("type", text()), ("expiresIn", typed(Type::Integer))])),
        (
            "Event",
            object(&[
                ("id", text()),
                ("code", text()),
                ("fullCode", text()),
                ("orderId", text()),
                ("merchantId", text()),
                ("createdAt", text()),
                ("salesChannel", text()),
                ("metadata?", anything()),
                ("sequence?", typed(Type::Integer)),
            ]),
        ),
        ("EventReference", texts(&["id"])),
        ("Order", anything()),
        ("Note", texts(&["reason?", "cancellationCode?"])),
        ("CancellationReason", texts(&["cancelCodeId", "description"])),
        ("OpenApi", anything()),
        (
            "ErrorBody",
            object(&[
                ("code", text()),
                ("message", text()),
                ("field?", text()),
                ("details?", RefOr::T(Schema::Array(ArrayBuilder::new().items(anything()).build()))),
                ("unauthorizedMerchants?", RefOr::T(Schema::Array(ArrayBuilder::new().items(text()).build()))),
            ]),
        ),
        (
            "Error",
            object(&[
                ("error", reference("ErrorBody")),
                ("code", text()),
                ("message", text()),
                ("unauthorizedMerchants?", RefOr::T(Schema::Array(ArrayBuilder::new().items(text()).build()))),
            ]),
        ),
    ]
}

/// A string that matches `pattern`.
fn shaped(pattern: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    RefOr::T(Schema::Object(object.build()))
}

fn one_of(values: &[&str]) -> RefOr<Schema> {
    let values = values.iter().map(|value| serde_json::Value::from(*value));
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build()))
}

fn up_to(items: usize, of: RefOr<Schema>) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(of).max_items(Some(items)).build()))
}

fn merchant_schemas() -> Vec<(&'static str, RefOr<Schema>)> {
    let operations = one_of(&status::OPERATIONS);
    let enabled = || typed(Type::Boolean);
    vec![
        ("MerchantSummary", texts(&["id", "name", "corporateName"])),
        (
            "Merchant",
            object(&[
                ("id", text()),
                ("name", text()),
                ("corporateName", text()),
                ("type", text()),
                ("status", text()),
                ("createdAt", text()),
                ("timeZone", text()),
                ("operations", array("MerchantOperation")),
            ]),
        ),
        ("MerchantOperation", object(&[("name", text()), ("salesChannels", array("SalesChannel"))])),
        ("SalesChannel", object(&[("name", text()), ("enabled", enabled())])),
        ("Message", {
            let priority = typed(Type::Integer);
            object(&[("title", text()), ("subtitle", text()), ("description", text()), ("priority", priority)])
        }),
        ("Validation", {
            object(&[("id", text()), ("code", text()), ("state", state()), ("message", reference("Message"))])
        }),
        (
            "MerchantStatus",
            object(&[
                ("operation", operations),
                ("salesChannel", text()),
                ("available", enabled()),
                ("state", state()),
                ("reopenable", typed(Type::Object)),
                ("validations", array("Validation")),
                ("message", reference("Message")),
            ]),
        ),
    ]
}

fn state() -> RefOr<Schema> {
    one_of(&["OK", "WARNING", "CLOSED", "ERROR"])
}

/// Patterns show what to send; what is taken beyond them (seconds left out, a fraction, capitals) is nothing to rely on.
fn schedule_schemas() -> Vec<(&'static str, RefOr<Schema>)> {
    let local = || shaped(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?$");
    let any_time = || shaped(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?$");
    let own_id = shaped(&format!("^[A-Za-z0-9_-]{{0,{}}}$", interruptions::ID_MAX_BYTES));
    let description = {
        let most = interruptions::DESCRIPTION_MAX_CHARS;
        RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).max_length(Some(most)).build()))
    };
    let duration = {
        let minutes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        RefOr::T(Schema::Object(minutes.maximum(Some(shift_list::DAY_MINUTES)).build()))
    };
    let start = shaped(r"^([01]\d|2[0-3]):[0-5]\d:00$");
    let shift = [("dayOfWeek", one_of(&shift_list::DAYS)), ("start", start), ("duration", duration)];
    let shifts = |of| up_to(shift_list::SHIFTS_MAX, reference(of));
    vec![
        (
            "Interruption",
            object(&[("id", text()), ("description", description.clone()), ("start", local()), ("end", local())]),
        ),
        (
            "NewInterruption",
            object(&[("id?", own_id), ("description?", description), ("start", any_time()), ("end", any_time())]),
        ),
        ("Shift", object(&[&[("id", text())][..], &shift].concat())),
        ("NewShift", object(&shift)),
        ("OpeningHours", object(&[("storeId?", text()), ("shifts", shifts("Shift"))])),
        ("NewOpeningHours", object(&[("storeId?", text()), ("shifts", shifts("NewShift"))])),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::to_value(document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                        assert!(document.pointer(&target[1..]).is_some(), "{target}");
                    }
                    open.extend(fields.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
}
