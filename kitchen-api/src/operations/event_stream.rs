//! Events beyond polling, ours alone: the same events as a stream, and how many are pending.

use super::events::{
    ACKNOWLEDGE_HIDDEN, CATEGORIES, EXCLUDE_HEARTBEAT, GROUPS, MERCHANTS, MERCHANTS_PATTERN, PARTIAL, TYPES,
};
use super::{Answers, Document, Operation, Parameter, Row, Shape, get, header, per_minute, query};

/// As of a poll, but for the wait: a stream has no end.
const STREAM_PARAMETERS: &[Parameter] = &[
    MERCHANTS,
    TYPES,
    GROUPS,
    CATEGORIES,
    EXCLUDE_HEARTBEAT,
    ACKNOWLEDGE_HIDDEN,
    PARTIAL,
    header("last-event-id", "Taken and ignored: what was not acknowledged comes again, whatever was read."),
];

const PENDING_PARAMETERS: &[Parameter] = &[
    header("x-polling-merchants", "Merchant UUIDs, comma-separated, at most 500; without it all of the application's.")
        .shaped(Shape::Pattern(MERCHANTS_PATTERN)),
    query("page", "From 1.").shaped(Shape::Number(1, None)),
    query("size", "1 to 20, by default 20.").shaped(Shape::Number(1, Some(20))),
    query(
        "dialect",
        "IFOOD, the default, or OPEN_DELIVERY: whose words the application polls in. Events that there is no word for are not \
         counted.",
    )
    .shaped(Shape::Pattern("^(IFOOD|OPEN_DELIVERY)$")),
];

pub(super) const ROWS: &[Row] = &[
    Row {
        document: Document::Comanda,
        tag: "events",
        summary: "Pending events as server-sent events, as they come. Acknowledge them as polled ones.",
        answers: Answers::EventStream,
        parameters: STREAM_PARAMETERS,
        errors: &[400],
        per_minute: per_minute(600),
        ..get(Operation::EventStream, "event_stream", &["/comanda/v1/events/stream"])
    },
    Row {
        document: Document::Comanda,
        tag: "events",
        summary: "How many events each merchant has pending, how old the oldest is, how many more one answer holds, and how \
                  many were delivered 50 times.",
        answers: Answers::One("UnacknowledgedPage"),
        parameters: PENDING_PARAMETERS,
        errors: &[400],
        per_minute: per_minute(60),
        ..get(Operation::UnacknowledgedEvents, "unacknowledged_events", &["/comanda/v1/events/unacknowledged"])
    },
];
