//! The envelope of errors, as the documents describe it.

use utoipa::openapi::{ArrayBuilder, RefOr, Schema, Type};

use super::shapes::{Named, object, reference, text, typed};
use crate::operations::Document;

/// On our own paths every error says what to do about it.
pub(super) fn schemas(document: Document) -> Vec<Named> {
    let hint = if document == Document::Comanda { "hint" } else { "hint?" };
    let many = |items: RefOr<Schema>| RefOr::T(Schema::Array(ArrayBuilder::new().items(items).build()));
    vec![
        (
            "ErrorBody",
            object(&[
                ("code", text()),
                ("message", text()),
                ("field?", text()),
                (hint, text()),
                ("details?", many(typed(Type::Object))),
                ("unauthorizedMerchants?", many(text())),
            ]),
        ),
        (
            "Error",
            object(&[
                ("error", reference("ErrorBody")),
                ("code", text()),
                ("message", text()),
                ("unauthorizedMerchants?", many(text())),
            ]),
        ),
    ]
}
