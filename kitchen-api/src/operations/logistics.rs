//! Logistics: the steps of a courier (PARTNER_API, 1.7).

use super::orders::action;
use super::{Answers, Operation, Row, Takes, get, per_minute};

const fn step(operation: Operation, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row { tag: "logistics", per_minute: per_minute(100), ..action(operation, id, paths, summary) }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        tag: "logistics",
        summary: "The order; without payments when nothing is pending.",
        answers: Answers::One("Order"),
        errors: &[404],
        ..get(Operation::LogisticsOrder, "logistics_order", &["/logistics/v1.0/orders/{id}"])
    },
    Row {
        takes: Takes::One("Worker"),
        ..step(
            Operation::AssignDriver,
            "assign_driver",
            &["/logistics/v1.0/orders/{id}/assignDriver"],
            "Says who brings the order.",
        )
    },
    step(
        Operation::GoToOrigin,
        "going_to_origin",
        &["/logistics/v1.0/orders/{id}/goingToOrigin"],
        "The courier is on the way to the merchant.",
    ),
    step(
        Operation::ArriveAtOrigin,
        "arrived_at_origin",
        &["/logistics/v1.0/orders/{id}/arrivedAtOrigin"],
        "The courier is at the merchant.",
    ),
    step(
        Operation::LogisticsDispatch,
        "logistics_dispatch",
        &["/logistics/v1.0/orders/{id}/dispatch"],
        "The courier leaves with the order.",
    ),
    step(
        Operation::ArriveAtDestination,
        "arrived_at_destination",
        &["/logistics/v1.0/orders/{id}/arrivedAtDestination"],
        "The courier is at the customer.",
    ),
    Row {
        takes: Takes::One("Code"),
        ..step(
            Operation::LogisticsVerifyCode,
            "logistics_verify_delivery_code",
            &["/logistics/v1.0/orders/{id}/verifyDeliveryCode"],
            "Confirms the delivery by the customer's code.",
        )
    },
];
