//! What describes the API itself.

use super::{Answers, Document, Operation, Row, get};

const fn document(which: Document, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row {
        document: Document::Comanda,
        tag: "documentation",
        summary,
        answers: Answers::One("OpenApi"),
        takes_token: false,
        ..get(Operation::OpenApi(which), id, paths)
    }
}

const fn page(operation: Operation, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row { document: Document::Comanda, tag: "documentation", summary, takes_token: false, ..get(operation, id, paths) }
}

pub(super) const ROWS: &[Row] = &[
    document(
        Document::Merchant,
        "openapi",
        &["/openapi/merchant.json", "/openapi.json"],
        "The OpenAPI document of the merchant API.",
    ),
    document(
        Document::OpenDelivery,
        "openapi_open_delivery",
        &["/openapi/open-delivery.json"],
        "The OpenAPI document of what Open Delivery we serve.",
    ),
    document(Document::Comanda, "openapi_comanda", &["/openapi/comanda.json"], "This document."),
    Row {
        answers: Answers::Page,
        ..page(Operation::DocumentationPage, "documentation_page", &["/docs"], "The documents as a page, for people.")
    },
    Row {
        answers: Answers::File,
        errors: &[404],
        ..page(Operation::DocumentationFile, "documentation_file", &["/docs/{file}"], "What that page is made of.")
    },
];
