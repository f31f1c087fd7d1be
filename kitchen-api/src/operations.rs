//! Every operation of the public API, once: where it is served, what it takes and what it answers.
//!
//! The router (`routes`) and the OpenAPI document (`openapi`) are both made from this table, so that neither can know an
//! operation that the other does not. Handlers are absent: `routes` matches them to [`Operation`].

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Token,
    Poll,
    Acknowledge,
    GetOrder,
    Confirm,
    StartPreparation,
    ReadyToPickup,
    Dispatch,
    CancellationReasons,
    RequestCancellation,
    AcceptCancellation,
    DenyCancellation,
    ListMerchants,
    GetMerchant,
    MerchantStatuses,
    MerchantStatus,
    Interruptions,
    AddInterruption,
    RemoveInterruption,
    OpeningHours,
    SetOpeningHours,
    OpenApi,
}

/// What an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    TokenForm,
    EventIds,
    /// An optional JSON object.
    Note,
    /// A JSON object of this schema.
    One(&'static str),
}

/// What an operation answers when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// 200 with this schema.
    One(&'static str),
    /// 200 with an array of this schema.
    Many(&'static str),
    /// 200 with an array of events, or 204.
    Events,
    /// 201 with this schema.
    Created(&'static str),
    /// 202 without a body.
    Accepted,
    /// 204 without a body.
    Gone,
}

/// A parameter that is no part of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) in_header: bool,
    pub(crate) description: &'static str,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) operation: Operation,
    /// Also the endpoint's name in metrics.
    pub(crate) id: &'static str,
    pub(crate) verb: Verb,
    /// The first is the published one, the others are aliases.
    pub(crate) paths: &'static [&'static str],
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) takes: Takes,
    pub(crate) answers: Answers,
    pub(crate) parameters: &'static [Parameter],
    /// Beyond 503 (every operation) and 401 and 403 (every one that takes a token).
    pub(crate) errors: &'static [u16],
    pub(crate) takes_token: bool,
}

/// The methods there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

const fn query(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, in_header: false, description }
}

const fn header(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, in_header: true, description }
}

const POLL_PARAMETERS: &[Parameter] = &[
    header("x-polling-merchants", "Merchant UUIDs, comma-separated, at most 500. Mandatory above 500 merchants."),
    query("types", "Event codes, comma-separated. Pending events it hides count as acknowledged."),
    query("groups", "Event groups, comma-separated. Pending events it hides count as acknowledged."),
    query(
        "categories",
        "FOOD, GROCERY, FOOD_SELF_SERVICE, ANOTAI or ALL, comma-separated. Pending events it hides count as acknowledged; \
         without it FOOD and GROCERY show and the rest stays pending.",
    ),
    query("excludeHeartbeat", "true: this poll does not say that its merchants are connected."),
];

const LANGUAGE: &[Parameter] =
    &[header("accept-language", "pt (the default), en or es, of the messages; codes are the same in each.")];

const IDEMPOTENCY_KEY: &[Parameter] =
    &[header("idempotency-key", "Up to 128 characters; repeats of it do nothing more.")];

const fn get(operation: Operation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row {
        operation,
        id,
        verb: Verb::Get,
        paths,
        tag: "order",
        summary: "",
        takes: Takes::Nothing,
        answers: Answers::Accepted,
        parameters: &[],
        errors: &[],
        takes_token: true,
    }
}

const fn action(operation: Operation, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row {
        verb: Verb::Post,
        summary,
        takes: Takes::Note,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 409, 413],
        ..get(operation, id, paths)
    }
}

/// The poll; its paths are looked for before all others.
pub(crate) const POLL: Row = Row {
    tag: "events",
    summary: "The events not acknowledged yet. Counts as a sign of life of its merchants.",
    answers: Answers::Events,
    parameters: POLL_PARAMETERS,
    errors: &[400],
    ..get(Operation::Poll, "poll", &["/events/v1.0/events:polling", "/order/v1.0/events:polling"])
};

const INTERRUPTIONS: &[&str] = &["/merchant/v1.0/merchants/{id}/interruptions"];
const OPENING_HOURS: &[&str] = &["/merchant/v1.0/merchants/{id}/opening-hours"];

/// The table.
pub(crate) const OPERATIONS: &[Row] = &[
    Row {
        verb: Verb::Post,
        tag: "authentication",
        summary: "An access token for client credentials. Valid for 6 h; ask again then.",
        takes: Takes::TokenForm,
        answers: Answers::One("Token"),
        errors: &[400, 401, 408, 413, 415, 429],
        takes_token: false,
        ..get(Operation::Token, "token", &["/authentication/v1.0/oauth/token"])
    },
    POLL,
    Row {
        verb: Verb::Post,
        tag: "events",
        summary: "Acknowledges events: after the 202 they never come back. At most 10,000.",
        takes: Takes::EventIds,
        errors: &[400, 408, 413],
        ..get(
            Operation::Acknowledge,
            "acknowledge",
            &["/events/v1.0/events/acknowledgment", "/order/v1.0/events/acknowledgment"],
        )
    },
    Row {
        summary: "The order as it was placed.",
        answers: Answers::One("Order"),
        errors: &[404],
        ..get(Operation::GetOrder, "get_order", &["/order/v1.0/orders/{id}"])
    },
    action(Operation::Confirm, "confirm", &["/order/v1.0/orders/{id}/confirm"], "Takes the order."),
    action(
        Operation::StartPreparation,
        "start_preparation",
        &["/order/v1.0/orders/{id}/startPreparation"],
        "The kitchen begins.",
    ),
    action(
        Operation::ReadyToPickup,
        "ready_to_pickup",
        &["/order/v1.0/orders/{id}/readyToPickup"],
        "Ready for the courier or the customer.",
    ),
    action(
        Operation::Dispatch,
        "dispatch",
        &["/order/v1.0/orders/{id}/dispatch"],
        "Left with the merchant's own courier.",
    ),
    Row {
        summary: "The reasons the order can be cancelled for; empty when it cannot.",
        answers: Answers::Many("CancellationReason"),
        errors: &[404],
        ..get(Operation::CancellationReasons, "cancellation_reasons", &["/order/v1.0/orders/{id}/cancellationReasons"])
    },
    action(
        Operation::RequestCancellation,
        "request_cancellation",
        &["/order/v1.0/orders/{id}/requestCancellation"],
        "Asks for the order to be cancelled.",
    ),
    action(
        Operation::AcceptCancellation,
        "accept_cancellation",
        &["/order/v1.0/orders/{id}/acceptCancellation"],
        "Accepts the consumer's request to cancel.",
    ),
    action(
        Operation::DenyCancellation,
        "deny_cancellation",
        &["/order/v1.0/orders/{id}/denyCancellation"],
        "Denies the consumer's request to cancel.",
    ),
    Row {
        tag: "merchant",
        summary: "The application's merchants.",
        answers: Answers::Many("MerchantSummary"),
        parameters: &[query("page", "From 1."), query("size", "1 to 100, by default 100.")],
        errors: &[400],
        ..get(Operation::ListMerchants, "list_merchants", &["/merchant/v1.0/merchants"])
    },
    Row {
        tag: "merchant",
        summary: "One merchant.",
        answers: Answers::One("Merchant"),
        ..get(Operation::GetMerchant, "get_merchant", &["/merchant/v1.0/merchants/{id}"])
    },
    Row {
        tag: "merchant",
        summary: "Whether the store is open, for each operation, and why not.",
        answers: Answers::Many("MerchantStatus"),
        parameters: LANGUAGE,
        ..get(Operation::MerchantStatuses, "merchant_statuses", &["/merchant/v1.0/merchants/{id}/status"])
    },
    Row {
        tag: "merchant",
        summary: "Whether the store is open for one operation: delivery, takeout or indoor.",
        answers: Answers::One("MerchantStatus"),
        parameters: LANGUAGE,
        errors: &[404],
        ..get(Operation::MerchantStatus, "merchant_status", &["/merchant/v1.0/merchants/{id}/status/{operation}"])
    },
    Row {
        tag: "merchant",
        summary: "The planned closings that are not over, in the store's time without an offset.",
        answers: Answers::Many("Interruption"),
        ..get(Operation::Interruptions, "interruptions", INTERRUPTIONS)
    },
    Row {
        verb: Verb::Post,
        tag: "merchant",
        summary: "Plans a closing of at most 7 days; none may overlap. Times without an offset are the store's.",
        takes: Takes::One("NewInterruption"),
        answers: Answers::Created("Interruption"),
        errors: &[400, 408, 409, 413],
        ..get(Operation::AddInterruption, "add_interruption", INTERRUPTIONS)
    },
    Row {
        verb: Verb::Delete,
        tag: "merchant",
        summary: "Takes a planned closing back, also while it lasts.",
        answers: Answers::Gone,
        errors: &[404],
        ..get(
            Operation::RemoveInterruption,
            "remove_interruption",
            &["/merchant/v1.0/merchants/{id}/interruptions/{interruptionId}"],
        )
    },
    Row {
        tag: "merchant",
        summary: "The weekly shifts, in the store's time.",
        answers: Answers::One("OpeningHours"),
        ..get(Operation::OpeningHours, "opening_hours", OPENING_HOURS)
    },
    Row {
        verb: Verb::Put,
        tag: "merchant",
        summary: "Replaces all weekly shifts. A shift may cross midnight; none may overlap.",
        takes: Takes::One("NewOpeningHours"),
        answers: Answers::Created("OpeningHours"),
        errors: &[400, 408, 413],
        ..get(Operation::SetOpeningHours, "set_opening_hours", OPENING_HOURS)
    },
    Row {
        tag: "documentation",
        summary: "This document.",
        answers: Answers::One("OpenApi"),
        takes_token: false,
        ..get(Operation::OpenApi, "openapi", &["/openapi.json"])
    },
];
