//! When a merchant was connected, and why not: ours alone.

use super::{Answers, Document, Operation, Parameter, Row, Shape, get, per_minute, query};

const PARAMETERS: &[Parameter] = &[
    query(
        "from",
        "RFC 3339 with an offset: transitions at that instant and later. By default everything that is kept, 30 days.",
    ),
    query(
        "to",
        "RFC 3339 with an offset: transitions before. By default up to now; `nextTo` of a page is the next page's.",
    ),
    query("limit", "1 to 100 transitions, by default 50.").shaped(Shape::Number(1, Some(100))),
];

pub(super) const ROWS: &[Row] = &[Row {
    document: Document::Comanda,
    tag: "merchant",
    summary: "When the merchant went ONLINE and OFFLINE, and why; newest first.",
    answers: Answers::One("PresenceHistory"),
    parameters: PARAMETERS,
    errors: &[400],
    per_minute: per_minute(60),
    ..get(Operation::PresenceHistory, "presence_history", &["/comanda/v1/merchants/{id}/presence"])
}];
