//! Open Delivery with us as the ordering application (PARTNER_API, 4). Paths are mounted below the configured prefix.

use super::{Answers, Document, Operation, Parameter, Row, Shape, Takes, Verb, get, header, per_minute, query};

/// An operation of this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenDeliveryOperation {
    Token,
    Versions,
    MerchantVersions,
    Poll,
    Acknowledge,
    GetOrder,
    Confirm,
    Preparing,
    ReadyForPickup,
    PickedUp,
    Dispatch,
    Delivered,
    RequestCancellation,
    AcceptCancellation,
    DenyCancellation,
    ValidateCode,
    Track,
    ChangeDetails,
    MerchantStatus,
    MerchantOnboarding,
    MerchantReading,
    MenuUpdated,
}

use OpenDeliveryOperation::{
    AcceptCancellation, Acknowledge, ChangeDetails, Confirm, Delivered, DenyCancellation, Dispatch, GetOrder,
    MenuUpdated, MerchantOnboarding, MerchantReading, MerchantStatus, MerchantVersions, PickedUp, Poll, Preparing,
    ReadyForPickup, RequestCancellation, Token, Track, ValidateCode, Versions,
};

impl OpenDeliveryOperation {
    /// The operation of the Merchant API that is the same act and whose published limit therefore holds for both.
    pub(super) const fn twin(self) -> Option<Operation> {
        Some(match self {
            Poll => Operation::Poll,
            Acknowledge => Operation::Acknowledge,
            GetOrder => Operation::GetOrder,
            Confirm => Operation::Confirm,
            Preparing => Operation::StartPreparation,
            ReadyForPickup => Operation::ReadyToPickup,
            Dispatch => Operation::Dispatch,
            RequestCancellation => Operation::RequestCancellation,
            AcceptCancellation => Operation::AcceptCancellation,
            DenyCancellation => Operation::DenyCancellation,
            ValidateCode => Operation::VerifyDeliveryCode,
            // Tokens are counted where they are given. What is about merchants is unlimited over there, too.
            Token | Versions | MerchantVersions | MerchantStatus | MerchantOnboarding | MerchantReading
            | MenuUpdated => return None,
            // Acts that only this dialect has, with limits of their own.
            PickedUp | Delivered | Track | ChangeDetails => return None,
        })
    }
}

const IDEMPOTENCY_KEY: &[Parameter] =
    &[header("idempotency-key", "Up to 255 characters; repeats of it do nothing more.")];

const POLL_PARAMETERS: &[Parameter] = &[
    header("x-polling-merchants", "Merchant ids, the POS's own or our UUIDs, comma-separated, at most 100."),
    query("eventType", "Event types, at most 15. Pending events it hides count as acknowledged."),
];

const MERCHANT_ID: &[Parameter] = &[query("merchantId", "The merchant: the POS's own id or our UUID.")
    .shaped(Shape::Pattern("^[!-~]{1,100}$"))
    .required()];

const fn row(operation: OpenDeliveryOperation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row { document: Document::OpenDelivery, ..get(Operation::OpenDelivery(operation), id, paths) }
}

const fn action(
    operation: OpenDeliveryOperation,
    id: &'static str,
    paths: &'static [&'static str],
    summary: &'static str,
) -> Row {
    Row {
        verb: Verb::Post,
        summary,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 413, 422],
        ..row(operation, id, paths)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        verb: Verb::Post,
        tag: "authentication",
        summary: "An access token for client credentials. Valid for 6 h; ask again then.",
        takes: Takes::Form("TokenRequest"),
        answers: Answers::One("TokenResponse"),
        errors: &[401, 408, 413, 415, 429],
        takes_token: false,
        ..row(Token, "od_token", &["/oauth/token"])
    },
    Row {
        tag: "versions",
        summary: "The versions we speak.",
        answers: Answers::One("VersionOrderingApp"),
        takes_token: false,
        ..row(Versions, "od_versions", &["/v1/versions/orderingApp"])
    },
    Row {
        tag: "versions",
        summary: "The versions in which we use what a POS serves: its merchant document, and its webhook.",
        answers: Answers::One("VersionMerchant"),
        takes_token: false,
        ..row(MerchantVersions, "od_merchant_versions", &["/v1/versions/merchant"])
    },
    Row {
        tag: "events",
        summary: "The events not acknowledged yet. Counts as a sign of life of its merchants.",
        answers: Answers::ManyOrNone("OrderEvent"),
        parameters: POLL_PARAMETERS,
        errors: &[400],
        ..row(Poll, "od_poll", &["/v1/events:polling"])
    },
    Row {
        verb: Verb::Post,
        tag: "events",
        summary: "Acknowledges events: after the 202 they never come back. At most 100.",
        takes: Takes::Many("AckEvents"),
        errors: &[400, 408, 413],
        ..row(Acknowledge, "od_acknowledge", &["/v1/events/acknowledgment"])
    },
    Row {
        summary: "The order as it was placed.",
        answers: Answers::One("OpenDeliveryOrder"),
        errors: &[404],
        ..row(GetOrder, "od_get_order", &["/v1/orders/{orderId}"])
    },
    Row {
        takes: Takes::Optional("OrderConfirmed"),
        ..action(Confirm, "od_confirm", &["/v1/orders/{orderId}/confirm"], "Takes the order.")
    },
    action(Preparing, "od_preparing", &["/v1/orders/{orderId}/preparing"], "The kitchen begins."),
    action(
        ReadyForPickup,
        "od_ready_for_pickup",
        &["/v1/orders/{orderId}/readyForPickup"],
        "Ready for the courier or the customer.",
    ),
    Row {
        per_minute: per_minute(3_000),
        ..action(
            PickedUp,
            "od_picked_up",
            &["/v1/orders/{orderId}/pickedUp"],
            "The customer has fetched a TAKEOUT order, which concludes it.",
        )
    },
    Row {
        takes: Takes::Optional("OrderDispatched"),
        ..action(Dispatch, "od_dispatch", &["/v1/orders/{orderId}/dispatch"], "Left with the merchant's own courier.")
    },
    Row {
        per_minute: per_minute(3_000),
        ..action(
            Delivered,
            "od_delivered",
            &["/v1/orders/{orderId}/delivered"],
            "The merchant's own courier has handed the order over, which concludes it.",
        )
    },
    Row {
        takes: Takes::One("RequestCancelled"),
        ..action(
            RequestCancellation,
            "od_request_cancellation",
            &["/v1/orders/{orderId}/requestCancellation"],
            "Asks for the order to be cancelled.",
        )
    },
    Row {
        answers: Answers::Done,
        ..action(
            AcceptCancellation,
            "od_accept_cancellation",
            &["/v1/orders/{orderId}/acceptCancellation"],
            "Accepts the consumer's request to cancel.",
        )
    },
    Row {
        takes: Takes::Optional("RequestDenied"),
        answers: Answers::Done,
        ..action(
            DenyCancellation,
            "od_deny_cancellation",
            &["/v1/orders/{orderId}/denyCancellation"],
            "Denies the consumer's request to cancel.",
        )
    },
    Row {
        verb: Verb::Post,
        summary: "Whether the customer's code is the order's; wrong ones are counted and bounded. Gives no event of this dialect.",
        answers: Answers::One("DeliveryConfirmationCode"),
        parameters: &[query("deliveryCode", "The code that the customer gave.")],
        errors: &[400],
        ..row(ValidateCode, "od_validate_code", &["/v1/orders/{orderId}/validateCode"])
    },
    Row {
        takes: Takes::One("OrderTracking"),
        per_minute: per_minute(5_000),
        ..action(
            Track,
            "od_tracking",
            &["/v1/orders/{orderId}/tracking"],
            "Says how far the merchant's own courier is. Moves no order: that is for dispatch and delivered.",
        )
    },
    Row {
        verb: Verb::Patch,
        summary: "Changes when the kitchen begins.",
        takes: Takes::One("OrderDetails"),
        per_minute: per_minute(3_000),
        answers: Answers::Changed,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 413],
        ..row(ChangeDetails, "od_change_details", &["/v1/orders/{orderId}/details"])
    },
    Row {
        tag: "merchant",
        summary: "Whether the store takes orders, and when it is open.",
        answers: Answers::One("MerchantAvailability"),
        errors: &[404],
        ..row(MerchantStatus, "od_merchant_status", &["/v1/merchant/{id}/status"])
    },
    Row {
        verb: Verb::Put,
        tag: "merchant",
        summary: "Says where the POS serves the merchant's document, and has it read.",
        takes: Takes::One("MerchantAPIInfo"),
        answers: Answers::CreatedOrDone("MerchantAPIInfo"),
        parameters: MERCHANT_ID,
        errors: &[400, 404, 408, 413],
        ..row(MerchantOnboarding, "od_merchant_onboarding", &["/v1/merchantOnboarding"])
    },
    Row {
        tag: "merchant",
        summary: "How reading the merchant's document went.",
        answers: Answers::One("MerchantStatus"),
        parameters: MERCHANT_ID,
        errors: &[400, 404],
        ..row(MerchantReading, "od_merchant_reading", &["/v1/merchantStatus"])
    },
    Row {
        verb: Verb::Post,
        tag: "merchant",
        summary: "Without a body: has the document read. With one: opens or closes the store, changes parts of the document, or both.",
        takes: Takes::Optional("MerchantUpdate"),
        answers: Answers::Done,
        parameters: &[query("merchantId", "The merchant, where the application has several.")],
        errors: &[400, 404, 408, 413],
        ..row(MenuUpdated, "od_menu_updated", &["/v1/menuUpdated", "/v1/merchantUpdate"])
    },
];
