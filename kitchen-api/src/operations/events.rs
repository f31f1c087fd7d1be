//! Polling and acknowledgment, under their published paths and the older ones (PARTNER_API, 1.3).

use super::{Answers, Operation, Parameter, Row, Shape, Takes, Verb, get, header, per_minute, query};

pub(super) const MERCHANTS_PATTERN: &str =
    "^[ ,]*([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12} *(,[ ,]*|$)){0,500}$";

pub(super) const MERCHANTS: Parameter =
    header("x-polling-merchants", "Merchant UUIDs, comma-separated, at most 500. Mandatory above 500 merchants.")
        .shaped(Shape::Pattern(MERCHANTS_PATTERN));
pub(super) const TYPES: Parameter =
    query("types", "Event codes, comma-separated. Pending events it hides count as acknowledged.");
pub(super) const GROUPS: Parameter =
    query("groups", "Event groups, comma-separated. Pending events it hides count as acknowledged.");
pub(super) const CATEGORIES: Parameter = query(
    "categories",
    "FOOD, GROCERY, FOOD_SELF_SERVICE, ANOTAI or ALL, comma-separated. Pending events it hides count as acknowledged; \
     without it FOOD and GROCERY show and the rest stays pending.",
);
pub(super) const ACKNOWLEDGE_HIDDEN: Parameter = query(
    "acknowledgeHidden",
    "false: pending events that the filters hide stay pending. true, the default: they count as acknowledged.",
)
.shaped(Shape::Flag);
pub(super) const PARTIAL: Parameter = query(
    "partial",
    "true: merchants of x-polling-merchants that the application may not see are listed in x-unauthorized-merchants, \
     and the others served. false, the default: a 403.",
)
.shaped(Shape::Flag);
pub(super) const EXCLUDE_HEARTBEAT: Parameter =
    query("excludeHeartbeat", "true: this poll does not say that its merchants are connected.");
const WAIT: Parameter = query(
    "wait",
    "Seconds, 0 to 30, by default 0: where nothing is pending, the answer comes with the first event or after so long.",
)
.shaped(Shape::Number(0, Some(30)));

const POLL_PARAMETERS: &[Parameter] =
    &[MERCHANTS, TYPES, GROUPS, CATEGORIES, EXCLUDE_HEARTBEAT, ACKNOWLEDGE_HIDDEN, WAIT, PARTIAL];

/// The poll; its paths are looked for before all others.
pub(crate) const POLL: Row = Row {
    tag: "events",
    summary: "The events not acknowledged yet. Counts as a sign of life of its merchants.",
    answers: Answers::Events,
    parameters: POLL_PARAMETERS,
    errors: &[400],
    per_minute: per_minute(6_000),
    ..get(Operation::Poll, "poll", &["/events/v1.0/events:polling", "/order/v1.0/events:polling"])
};

pub(super) const ROWS: &[Row] = &[
    POLL,
    Row {
        verb: Verb::Post,
        tag: "events",
        summary: "Acknowledges events: after the 202 they never come back. At most 10,000.",
        takes: Takes::EventIds,
        errors: &[400, 408, 413],
        per_minute: per_minute(6_000),
        ..get(
            Operation::Acknowledge,
            "acknowledge",
            &["/events/v1.0/events/acknowledgment", "/order/v1.0/events/acknowledgment"],
        )
    },
];
