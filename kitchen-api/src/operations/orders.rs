//! Orders: their details and what a merchant may do to them (PARTNER_API, 1.4).

use super::{Answers, IDEMPOTENCY_KEY, Operation, Row, Takes, Verb, get, per_minute, per_second};

pub(super) const fn action(
    operation: Operation,
    id: &'static str,
    paths: &'static [&'static str],
    summary: &'static str,
) -> Row {
    Row {
        verb: Verb::Post,
        summary,
        takes: Takes::Note,
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 404, 408, 409, 413, 422],
        per_minute: per_minute(3_000),
        ..get(operation, id, paths)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        summary: "The order.",
        answers: Answers::One("Order"),
        errors: &[404],
        per_minute: per_minute(3_000),
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
    Row {
        takes: Takes::Optional("CancellationRequest"),
        per_minute: per_minute(300),
        ..action(
            Operation::RequestCancellation,
            "request_cancellation",
            &["/order/v1.0/orders/{id}/requestCancellation"],
            "Asks for the order to be cancelled. Without a code, or with one that is not listed, the code is 509.",
        )
    },
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
        takes: Takes::One("Code"),
        answers: Answers::One("CodeChecked"),
        ..action(
            Operation::ValidatePickupCode,
            "validate_pickup_code",
            &["/order/v1.0/orders/{id}/validatePickupCode"],
            "Whether the courier's code is the order's; wrong ones are counted and bounded.",
        )
    },
    Row {
        takes: Takes::One("Code"),
        answers: Answers::One("CodeChecked"),
        ..action(
            Operation::VerifyDeliveryCode,
            "verify_delivery_code",
            &["/order/v1.0/orders/{id}/verifyDeliveryCode"],
            "Confirms the delivery by the customer's code; a wrong one is 400, and wrong ones are counted and bounded.",
        )
    },
    Row {
        summary: "Where the courier was last; 404 before there is a position and after the order is over.",
        answers: Answers::One("Tracking"),
        errors: &[404],
        per_minute: per_minute(5_000),
        ..get(Operation::Tracking, "tracking", &["/order/v1.0/orders/{id}/tracking"])
    },
    Row {
        summary: "What is to be picked of a grocery order; any other order has none.",
        answers: Answers::One("VirtualBag"),
        errors: &[404],
        per_second: per_second(1_000),
        ..get(Operation::VirtualBag, "virtual_bag", &["/order/v1.0/orders/{id}/virtual-bag"])
    },
    Row {
        per_minute: per_minute(120),
        ..action(
            Operation::RequestDriver,
            "request_driver",
            &["/order/v1.0/orders/{id}/requestDriver"],
            "Asks the marketplace for a courier.",
        )
    },
    Row {
        takes: Takes::Optional("DisputeReason"),
        answers: Answers::Created("DisputeAnswered"),
        per_minute: per_minute(1_000),
        ..action(
            Operation::AcceptDispute,
            "accept_dispute",
            &["/order/v1.0/disputes/{disputeId}/accept"],
            "Accepts what a dispute asks for; a cancellation follows where it asks for one.",
        )
    },
    Row {
        takes: Takes::Optional("DisputeReason"),
        answers: Answers::Created("DisputeAnswered"),
        per_minute: per_minute(1_000),
        ..action(
            Operation::RejectDispute,
            "reject_dispute",
            &["/order/v1.0/disputes/{disputeId}/reject"],
            "Rejects what a dispute asks for.",
        )
    },
    Row {
        takes: Takes::Optional("DisputeAlternative"),
        answers: Answers::Created("DisputeAnswered"),
        per_minute: per_minute(1_000),
        ..action(
            Operation::ProposeAlternative,
            "propose_alternative",
            &["/order/v1.0/disputes/{disputeId}/alternatives/{alternativeId}"],
            "Answers a dispute with one of the alternatives that it offers.",
        )
    },
    Row {
        summary: "A file that came with a dispute, as its event links to it.",
        answers: Answers::Evidence,
        errors: &[404],
        per_minute: per_minute(3_000),
        ..get(
            Operation::CancellationEvidence,
            "cancellation_evidence",
            &["/order/v1.0/orders/{id}/cancellationEvidences/{evidenceId}"],
        )
    },
];
