//! Every operation of the public API, once: where it is served, what it takes and what it answers.
//!
//! The router (`routes`) and the OpenAPI documents (`openapi`) are both made from these tables, one file for each group of
//! operations, so that neither can know an operation that the other does not. Handlers are absent: `routes` matches
//! them to [`Operation`].

mod authentication;
mod catalog;
pub(crate) mod deprecated;
mod documentation;
mod event_stream;
mod events;
mod logistics;
mod merchants;
mod modules;
mod open_delivery;
mod orders;
mod presence_history;
mod replay;
mod shipping;
mod simulator;
mod webhooks;

use std::num::NonZeroU32;

use crate::idempotency;

pub(crate) use catalog::CatalogOperation;
pub(crate) use events::POLL;
pub(crate) use open_delivery::OpenDeliveryOperation;

/// Every operation.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    let merchant = [authentication::ROWS, events::ROWS, orders::ROWS, merchants::ROWS, catalog::ROWS];
    let couriers = [logistics::ROWS, shipping::ROWS];
    let own = [
        replay::ROWS,
        presence_history::ROWS,
        simulator::ROWS,
        webhooks::ROWS,
        event_stream::ROWS,
        documentation::ROWS,
    ];
    merchant.into_iter().chain(couriers).chain([open_delivery::ROWS]).chain(own).flatten()
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Token,
    UserCode,
    ActivationPage,
    Activate,
    Poll,
    Acknowledge,
    EventStream,
    UnacknowledgedEvents,
    GetOrder,
    Confirm,
    StartPreparation,
    ReadyToPickup,
    Dispatch,
    CancellationReasons,
    RequestCancellation,
    AcceptCancellation,
    DenyCancellation,
    AcceptDispute,
    RejectDispute,
    ProposeAlternative,
    CancellationEvidence,
    ValidatePickupCode,
    VerifyDeliveryCode,
    Tracking,
    VirtualBag,
    RequestDriver,
    ShippingRequestDriver,
    CancelDriverRequest,
    ShippingCancel,
    QuoteForPlace,
    QuoteForOrder,
    PlaceOutsideOrder,
    RequestAddressChange,
    LogisticsOrder,
    AssignDriver,
    GoToOrigin,
    ArriveAtOrigin,
    LogisticsDispatch,
    ArriveAtDestination,
    LogisticsVerifyCode,
    ConfirmAddressChange,
    AcceptAddressChange,
    DenyAddressChange,
    ListMerchants,
    GetMerchant,
    MerchantStatuses,
    MerchantStatus,
    Interruptions,
    AddInterruption,
    RemoveInterruption,
    OpeningHours,
    SetOpeningHours,
    PresenceHistory,
    ReplayEvents,
    SimulateOrder,
    SimulateStep,
    CheckinQrcode,
    OpenDelivery(OpenDeliveryOperation),
    Catalog(CatalogOperation),
    CatalogImage,
    Webhook,
    SetWebhook,
    RemoveWebhook,
    ResumeWebhook,
    WebhookDeliveries,
    WebhookDeadLetters,
    RedeliverWebhook,
    RedeliverWebhooks,
    PosMenu,
    OpenApi(Document),
    DocumentationPage,
    DocumentationFile,
}

/// The document that describes an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// The iFood-style Merchant API.
    Merchant,
    /// Open Delivery 1.7.0.
    OpenDelivery,
    /// What is ours alone.
    Comanda,
}

impl Document {
    /// Every document.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::Merchant, Self::OpenDelivery, Self::Comanda];
}

/// What an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// A form of this schema.
    Form(&'static str),
    EventIds,
    /// An optional JSON object.
    Note,
    /// A JSON object of this schema.
    One(&'static str),
    /// An optional JSON object of this schema.
    Optional(&'static str),
    /// A JSON array of this schema.
    Many(&'static str),
    /// A JSON object of this schema, or an array of such.
    OneOrMany(&'static str),
}

/// What an operation answers when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// 200 with this schema.
    One(&'static str),
    /// 200 with an array of this schema.
    Many(&'static str),
    /// 200 with this schema, or 202 with the id of a batch.
    OneOrBatch(&'static str),
    /// 200 with an array of events, or 204.
    Events,
    /// 200 with server-sent events.
    EventStream,
    /// 200 with an array of this schema, or 204.
    ManyOrNone(&'static str),
    /// 201 with this schema.
    Created(&'static str),
    /// 201 with this schema for what is new, 204 without a body for what was changed.
    CreatedOrDone(&'static str),
    /// 200 with HTML, and so are refusals.
    Page,
    /// 200 without a body.
    Changed,
    /// 200 with a script or a style.
    File,
    /// 200 with a PNG, a JPEG or a WebP, or 304 where the client has it.
    Picture,
    /// 200 with a PDF.
    Pdf,
    /// 200 with a picture or a PDF.
    Evidence,
    /// 202 without a body.
    Accepted,
    /// 202 with this schema.
    Taken(&'static str),
    /// 204 without a body.
    Gone,
    /// 204 without a body, for what is done and not gone.
    Done,
}

/// A parameter that is no part of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) in_header: bool,
    pub(crate) description: &'static str,
    pub(crate) shape: Shape,
    /// Without it there is a 400.
    pub(crate) is_required: bool,
}

/// What a parameter has to look like: anything else is a 400.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Any text; what is not known is ignored.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first of these to the second, if there is one.
    Number(u32, Option<u32>),
    /// A text of this pattern.
    Pattern(&'static str),
}

impl Parameter {
    const fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) operation: Operation,
    pub(crate) document: Document,
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
    /// How often an application may call it, where that is published. An operation that is counted as another one has that
    /// one's: see [`Row::rate`].
    pub(crate) per_minute: Option<NonZeroU32>,
    /// The same, where it is published for a second.
    pub(crate) per_second: Option<NonZeroU32>,
}

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) requests: NonZeroU32,
    pub(crate) per: Per,
}

/// What a rate is published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    Second,
    Minute,
}

impl Operation {
    /// The operation whose limit its requests count against: itself, or the same act in the other dialect, so that speaking
    /// both gives nobody twice as much.
    pub(crate) const fn counted_as(self) -> Self {
        match self {
            Self::OpenDelivery(operation) => match operation.twin() {
                Some(twin) => twin,
                None => self,
            },
            _ => self,
        }
    }
}

impl Row {
    /// How often an application may call it, together with whatever else is counted as the same.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let counted = self.operation.counted_as();
        let row = if counted == self.operation { self } else { all().find(|row| row.operation == counted)? };
        let rate = |requests: Option<NonZeroU32>, per| requests.map(|requests| Rate { requests, per });
        rate(row.per_second, Per::Second).or(rate(row.per_minute, Per::Minute))
    }

    /// Whether an `Idempotency-Key` is honoured by keeping the answer: where a row documents the header. Open Delivery has
    /// none, and there the core alone remembers a key.
    pub(crate) fn keeps_answers(&self) -> bool {
        let is_documented = self.parameters.iter().any(|parameter| parameter.name == idempotency::HEADER);
        is_documented && self.document != Document::OpenDelivery
    }
}

/// The methods there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
    Patch,
}

const fn per_minute(requests: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(requests)
}

const fn per_second(requests: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(requests)
}

const fn query(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, in_header: false, description, shape: Shape::Text, is_required: false }
}

const fn header(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, in_header: true, description, shape: Shape::Text, is_required: false }
}

/// The parameter of operations that keep their answers.
const IDEMPOTENCY_KEY: &[Parameter] = &[header(
    idempotency::HEADER,
    "1 to 255 printable ASCII characters. The same request with the same key within 24 hours has no further effect and gets \
     the same answer, with `Idempotency-Replayed: true`; another request with it is 422, one at the same time 409.",
)];

/// A row to start from: an operation that takes a token and answers without a body.
const fn get(operation: Operation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row {
        operation,
        document: Document::Merchant,
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
        per_minute: None,
        per_second: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_as_another_operation_has_its_limit_and_none_of_its_own() {
        let rows: Vec<&Row> = all().collect();
        for row in &rows {
            assert!(row.per_minute.is_none() || row.per_second.is_none(), "{}: published once", row.id);
            let counted = row.operation.counted_as();
            let counting = rows.iter().find(|other| other.operation == counted).unwrap();
            assert_eq!((counting.operation.counted_as(), row.rate()), (counted, counting.rate()), "{}", row.id);
            if counted != row.operation {
                assert_eq!((row.per_minute, row.per_second), (None, None), "{}: nobody would read it", row.id);
                assert!(row.rate().is_some(), "{}", row.id);
            }
        }
    }
}
