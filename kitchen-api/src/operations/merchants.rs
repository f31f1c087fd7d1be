//! Merchants: profile, status, interruptions and opening hours (PARTNER_API, 1.5).

use super::{Answers, Operation, Parameter, Row, Shape, Takes, Verb, get, header, query};
use crate::merchants::PAGE_SIZE_MAX;

const LANGUAGE: &[Parameter] =
    &[header("accept-language", "pt (the default), en or es, of the messages; codes are the same in each.")];

const INTERRUPTIONS: &[&str] = &["/merchant/v1.0/merchants/{id}/interruptions"];
const OPENING_HOURS: &[&str] = &["/merchant/v1.0/merchants/{id}/opening-hours"];

pub(super) const ROWS: &[Row] = &[
    Row {
        tag: "merchant",
        summary: "The application's merchants.",
        answers: Answers::Many("MerchantSummary"),
        parameters: &[
            query("page", "From 1; beyond the last one there is nothing.").shaped(Shape::Number(1, None)),
            query("size", "1 to 100, by default 100.").shaped(Shape::Number(1, Some(PAGE_SIZE_MAX))),
        ],
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
        verb: Verb::Post,
        tag: "merchant",
        summary: "Sheets to print with the codes that couriers check in with, one page for each store; all of them, or none.",
        takes: Takes::One("CheckinStores"),
        answers: Answers::Pdf,
        parameters: LANGUAGE,
        errors: &[400, 408, 413],
        ..get(Operation::CheckinQrcode, "checkin_qrcode", &["/merchant/v1.0/merchants/checkin-qrcode"])
    },
];
