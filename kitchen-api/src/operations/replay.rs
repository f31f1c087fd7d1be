//! Events again, also after their acknowledgment: ours alone.

use super::{Answers, Document, Operation, Parameter, Row, Shape, get, per_minute, query};

const MERCHANT: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

const PARAMETERS: &[Parameter] = &[
    query("merchantId", "Whose events; one merchant.").shaped(Shape::Pattern(MERCHANT)).required(),
    query("after", "The cursor of the page before; without it the oldest event that is kept comes first."),
    query("limit", "1 to 500 events, by default 100.").shaped(Shape::Number(1, Some(500))),
];

pub(super) const ROWS: &[Row] = &[Row {
    document: Document::Comanda,
    tag: "events",
    summary: "A merchant's events again, acknowledged or not, by cursor. Acknowledgments stay as they are; each use is logged.",
    answers: Answers::One("ReplayedEvents"),
    parameters: PARAMETERS,
    errors: &[400],
    per_minute: per_minute(60),
    ..get(Operation::ReplayEvents, "replay_events", &["/comanda/v1/events"])
}];
