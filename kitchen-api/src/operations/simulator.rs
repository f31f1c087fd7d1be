//! The order simulator for an application's own test merchants: ours alone.

use super::{Answers, Document, IDEMPOTENCY_KEY, Operation, Row, Takes, Verb, get, per_minute};

const fn simulator(operation: Operation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row {
        document: Document::Comanda,
        verb: Verb::Post,
        tag: "simulator",
        parameters: IDEMPOTENCY_KEY,
        ..get(operation, id, paths)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        summary: "Places an order at a merchant that is marked as a test merchant, as a consumer would.",
        takes: Takes::One("SimulatedOrder"),
        answers: Answers::Taken("SimulatedOrderPlaced"),
        errors: &[400, 408, 409, 413, 422],
        per_minute: per_minute(60),
        ..simulator(Operation::SimulateOrder, "simulate_order", &["/comanda/v1/simulator/orders"])
    },
    Row {
        summary: "Lets happen to a test merchant's order what its POS cannot cause: by its consumer, its courier, the platform.",
        takes: Takes::One("SimulatedStep"),
        answers: Answers::Taken("SimulatedStepTaken"),
        errors: &[400, 404, 408, 409, 413, 422],
        per_minute: per_minute(300),
        ..simulator(Operation::SimulateStep, "simulate_step", &["/comanda/v1/simulator/orders/{id}/steps"])
    },
];
