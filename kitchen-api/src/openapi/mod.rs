//! The OpenAPI 3.1 documents, made from the table of operations with utoipa: one for each dialect, one for what is ours alone.
//!
//! Rendered once, when the service is built. Shapes are those of PARTNER_API; what clients must ignore (further fields) is
//! allowed everywhere.

mod authentication;
mod catalog;
mod errors;
mod event_stream;
mod merchants;
mod open_delivery;
mod open_delivery_order;
mod orders;
mod replay;
pub(crate) mod shapes;
mod shipping;
mod simulator;
mod webhooks;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Deprecated, HeaderBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Required, Response, ResponseBuilder,
};

use self::shapes::{array, reference, text};
use crate::catalog::limits::BATCH_ENTRIES_MAX;
use crate::modules::Module;
use crate::open_delivery::OpenDeliveryPrefix;
use crate::operations::{self, Answers, Document, Row, Takes, Verb};

const SECURITY: &str = "clientCredentials";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The JSON of one document. A schema that none of its operations leads to is left out.
pub(crate) fn render(document: Document, prefix: &OpenDeliveryPrefix) -> Bytes {
    let mut rendered = serde_json::to_value(build(document, prefix)).expect("a document of texts is JSON");
    let used = reachable_schemas(&rendered);
    if let Some(schemas) = rendered.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| used.contains(name));
    }
    Bytes::from(rendered.to_string())
}

/// The names of the schemas that the paths lead to, directly or through other schemas.
fn reachable_schemas(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Value> = document.get("paths").into_iter().collect();
    while let Some(value) = open.pop() {
        let target = value.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        if let Some((target, schema)) = target.and_then(|target| Some((target, document.pointer(target)?))) {
            let name = target.rsplit('/').next().unwrap_or_default();
            if found.insert(name.to_owned()) {
                open.push(schema);
            }
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// The title of a document and what it says of itself.
const fn about(document: Document) -> (&'static str, &'static str) {
    match document {
        Document::Merchant => (
            "Comanda: merchant API",
            "Orders and their events for POS systems: poll, acknowledge, act. Money is a JSON decimal.",
        ),
        Document::OpenDelivery => (
            "Comanda: Open Delivery",
            "What we serve of Open Delivery 1.7.0 as an ordering application. Events that it has no type for are left out.",
        ),
        Document::Comanda => ("Comanda: own endpoints", "What no other platform's API has."),
    }
}

fn build(document: Document, prefix: &OpenDeliveryPrefix) -> OpenApi {
    let (title, description) = about(document);
    let info = InfoBuilder::new()
        .title(title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let mut paths = PathsBuilder::new();
    for row in operations::all().filter(|row| row.document == document) {
        let mounted = row.paths.iter().flat_map(|path| prefix.mount(document, path));
        for (index, path) in mounted.enumerate() {
            paths = paths.path(path.as_ref(), path_item(row, &path, index));
        }
    }
    let tokens = authentication::security_scheme(&token_url(document, prefix), document);
    let mut components = ComponentsBuilder::new().security_scheme(SECURITY, tokens);
    for (name, schema) in schemas_of(document) {
        components = components.schema(name, schema);
    }
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components.build())).build()
}

/// The schemas of a document. Two dialects may call different things by one name.
fn schemas_of(document: Document) -> Vec<shapes::Named> {
    match document {
        Document::OpenDelivery => [open_delivery::schemas(), open_delivery_order::schemas()].concat(),
        Document::Merchant | Document::Comanda => [
            errors::schemas(document),
            authentication::schemas(),
            orders::schemas(),
            merchants::schemas(),
            catalog::schemas(),
            replay::schemas(),
            shipping::schemas(),
            simulator::schemas(),
            webhooks::schemas(),
            event_stream::schemas(),
        ]
        .concat(),
    }
}

fn token_url(document: Document, prefix: &OpenDeliveryPrefix) -> String {
    match document {
        Document::OpenDelivery => format!("{prefix}/oauth/token"),
        Document::Merchant | Document::Comanda => "/authentication/v1.0/oauth/token".to_owned(),
    }
}

fn path_item(row: &Row, path: &str, index: usize) -> utoipa::openapi::PathItem {
    let method = match row.verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Delete => HttpMethod::Delete,
        Verb::Patch => HttpMethod::Patch,
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
        let required = if parameter.is_required { Required::True } else { Required::False };
        let documented = documented.required(required).description(Some(parameter.description));
        operation = operation.parameter(documented.schema(Some(shapes::of_parameter(parameter.shape))).build());
    }
    let link = operations::deprecated::link_of(path);
    let said = |response| if link.is_some() { saying_deprecated(response) } else { response };
    operation = operation.deprecated(link.map(|_| Deprecated::True));
    for (status, response) in answers(row.answers) {
        operation = operation.response(status, said(response));
    }
    let with_token: &[u16] = if row.takes_token { &[401, 403] } else { &[] };
    let with_limit: &[u16] = if row.rate().is_some() { &[429] } else { &[] };
    for status in row.errors.iter().chain(with_token).chain(with_limit).chain(&[503]) {
        let is_page = row.answers == Answers::Page;
        let refusal = if is_page { page_error() } else { error(*status, row.document, row.module(path)) };
        operation = operation.response(status.to_string(), said(refusal));
    }
    if row.takes_token {
        operation = operation.security(SecurityRequirement::new(SECURITY, Vec::<String>::new()));
    }
    PathItemBuilder::new().operation(method, operation.build()).build()
}

/// The headers of every answer on a path that is served for clients of before.
fn saying_deprecated(mut response: Response) -> Response {
    let of = |description, schema| HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build();
    let since = of(
        "Since when this path is deprecated (RFC 9745). It answers as its successor does.",
        shapes::shaped("^@[0-9]+$"),
    );
    response.headers.insert("Deprecation".to_owned(), since.into());
    response
        .headers
        .insert("Link".to_owned(), of("The path to use instead: rel=\"successor-version\".", text()).into());
    response
}

fn body(takes: Takes) -> Option<utoipa::openapi::request_body::RequestBody> {
    let (content_type, schema, required) = match takes {
        Takes::Nothing => return None,
        Takes::Form(name) => (FORM, reference(name), Required::True),
        Takes::EventIds => (JSON, array("EventReference"), Required::True),
        Takes::Note => (JSON, reference("Note"), Required::False),
        Takes::One(name) => (JSON, reference(name), Required::True),
        Takes::Optional(name) => (JSON, reference(name), Required::False),
        Takes::Many(name) => (JSON, array(name), Required::True),
        Takes::OneOrMany(name) => (JSON, shapes::one_or_many(name, BATCH_ENTRIES_MAX), Required::True),
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
        Answers::OneOrBatch(name) => {
            vec![
                ("200", with("Done.", reference(name))),
                ("202", with("Kept, and done soon.", reference("BatchAccepted"))),
            ]
        }
        Answers::Many(name) => vec![("200", with("Found.", array(name)))],
        Answers::Events => {
            vec![("200", with("Pending events, unordered.", array("Event"))), ("204", without("Nothing is pending."))]
        }
        Answers::EventStream => {
            let content = ContentBuilder::new().schema(Some(text())).build();
            let described = ResponseBuilder::new().description("Server-sent events: `id` and, in `data`, an event.");
            vec![("200", described.content("text/event-stream", content).build())]
        }
        Answers::ManyOrNone(name) => {
            vec![("200", with("What is pending, unordered.", array(name))), ("204", without("Nothing is pending."))]
        }
        Answers::Created(name) => vec![("201", with("Done, and kept.", reference(name)))],
        Answers::CreatedOrDone(name) => {
            vec![("201", with("Done, and kept.", reference(name))), ("204", without("Changed, and kept."))]
        }
        Answers::Page => vec![("200", page("A page.").build())],
        Answers::Changed => vec![("200", without("Done, and kept."))],
        Answers::File => vec![("200", file())],
        Answers::Picture => vec![("200", picture()), ("304", without("It is the one that `If-None-Match` names."))],
        Answers::Pdf => vec![("200", pdf())],
        Answers::Evidence => vec![("200", evidence())],
        Answers::Accepted => vec![("202", without("Done, and kept."))],
        Answers::Taken(name) => vec![("202", with("Done, and kept.", reference(name)))],
        Answers::Gone => vec![("204", without("Gone."))],
        Answers::Done => vec![("204", without("Done, and kept."))],
    }
}

fn page(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(text())).build();
    ResponseBuilder::new().description(description).content("text/html; charset=utf-8", content)
}

fn picture() -> Response {
    let picture = ResponseBuilder::new().description("A picture.");
    let with =
        |picture: ResponseBuilder, media| picture.content(media, ContentBuilder::new().schema(Some(text())).build());
    ["image/png", "image/jpeg", "image/webp"].into_iter().fold(picture, with).build()
}

fn pdf() -> Response {
    let content = ContentBuilder::new().schema(Some(text())).build();
    ResponseBuilder::new().description("A PDF.").content("application/pdf", content).build()
}

fn evidence() -> Response {
    let content = || ContentBuilder::new().schema(Some(text())).build();
    let described = ResponseBuilder::new().description("A picture or a PDF of at most 128 KiB, as it was sent.");
    let types = ["image/jpeg", "image/png", "image/webp", "application/pdf"];
    types.into_iter().fold(described, |response, name| response.content(name, content())).build()
}

fn file() -> Response {
    let content = || ContentBuilder::new().schema(Some(text())).build();
    let file = ResponseBuilder::new().description("A script or a style.").content("text/javascript", content());
    file.content("text/css", content()).build()
}

/// What the page itself refuses is a page; what the server does before it is not.
fn page_error() -> Response {
    let content = ContentBuilder::new().schema(Some(reference("Error"))).build();
    page("The form again with what is wrong, or an error.").content(JSON, content).build()
}

fn error(status: u16, document: Document, module: Option<Module>) -> Response {
    let description = match status {
        400 => "The request cannot be read.",
        401 => "The token or the credentials do not count.",
        403 if document == Document::OpenDelivery => "No permission for a merchant.",
        403 => "No permission for a merchant; `unauthorizedMerchants` lists them.",
        404 => "Unknown, or not the application's.",
        408 => "The body did not arrive in time.",
        409 => "Not possible as things stand; for an order, `details` says in which state it is and what would be.",
        412 => "It is not the version that `If-Match` names.",
        413 => "The body is too large.",
        422 => "Not possible as things stand, or done before.",
        415 => "Another content type is expected.",
        429 => "Too many requests, or too many of something; see `Retry-After` and `X-RateLimit-Limit`.",
        _ => "Not possible for the moment; repeat after `Retry-After`.",
    };
    let (content_type, schema) = match document {
        Document::OpenDelivery => (PROBLEM, "Problem"),
        Document::Merchant | Document::Comanda => (JSON, "Error"),
    };
    let content = ContentBuilder::new().schema(Some(reference(schema))).build();
    let description = match module.filter(|_| status == 403) {
        Some(module) => format!("{description} Or the application has not the module `{}`.", module.name()),
        None => description.to_owned(),
    };
    ResponseBuilder::new().description(description).content(content_type, content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_for_two_schemas_of_a_document() {
        for kind in Document::ALL {
            let mut names: Vec<&str> = schemas_of(kind).into_iter().map(|(name, _)| name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_no_schema_is_left_over() {
        for kind in Document::ALL {
            let document: Value = serde_json::from_slice(&render(kind, &OpenDeliveryPrefix::default())).unwrap();
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
            let names = document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(reachable_schemas(&document), names, "{kind:?}");
        }
    }
}
