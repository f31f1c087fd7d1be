//! Schemas of the merchant module.

use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};

use super::shapes::{Named, array, object, one_of, reference, shaped, some_of, text, texts, typed, up_to, uuid};
use crate::merchants::{checkin_qrcode, interruptions, shift_list, status};

pub(super) fn schemas() -> Vec<Named> {
    merchant_schemas().into_iter().chain(schedule_schemas()).collect()
}

fn merchant_schemas() -> Vec<Named> {
    let operations = one_of(&status::OPERATIONS);
    let (enabled, number) = (|| typed(Type::Boolean), || typed(Type::Number));
    vec![
        ("MerchantSummary", texts(&["id", "name", "corporateName"])),
        (
            "Merchant",
            object(&[
                ("id", text()),
                ("name", text()),
                ("corporateName", text()),
                ("type", text()),
                ("status", text()),
                ("createdAt", text()),
                ("timeZone", text()),
                ("description", text()),
                ("averageTicket", number()),
                ("exclusive", enabled()),
                ("address", reference("MerchantAddress")),
                ("operations", array("MerchantOperation")),
            ]),
        ),
        ("MerchantAddress", {
            let parts = ["country", "state", "city", "district", "street", "number", "postalCode"];
            let parts = parts.map(|name| (name, text()));
            object(&[&parts[..], &[("latitude?", number()), ("longitude?", number())]].concat())
        }),
        ("MerchantOperation", object(&[("name", text()), ("salesChannels", array("SalesChannel"))])),
        ("SalesChannel", object(&[("name", text()), ("enabled", enabled())])),
        ("Message", {
            let priority = typed(Type::Integer);
            object(&[("title", text()), ("subtitle", text()), ("description", text()), ("priority", priority)])
        }),
        ("Validation", {
            object(&[("id", text()), ("code", text()), ("state", state()), ("message", reference("Message"))])
        }),
        ("Reopenable", reopenable()),
        (
            "MerchantStatus",
            object(&[
                ("operation", operations),
                ("salesChannel", text()),
                ("available", enabled()),
                ("state", state()),
                ("reopenable", reference("Reopenable")),
                ("validations", array("Validation")),
                ("message", reference("Message")),
            ]),
        ),
    ]
}

/// How a pause that closes the store is taken back: the interruption's id. Both are null where nothing a POS can do would open it.
fn reopenable() -> RefOr<Schema> {
    let or_null = |schema: RefOr<Schema>| {
        RefOr::T(Schema::OneOf(OneOfBuilder::new().item(schema).item(typed(Type::Null)).build()))
    };
    object(&[
        ("identifier", or_null(text())),
        ("type", or_null(one_of(&[status::REOPENED_BY]))),
        ("reopenable", typed(Type::Boolean)),
    ])
}

fn state() -> RefOr<Schema> {
    one_of(&["OK", "WARNING", "CLOSED", "ERROR"])
}

/// Patterns show what to send; what is taken beyond them (seconds left out, a fraction, capitals) is nothing to rely on.
fn schedule_schemas() -> Vec<Named> {
    let local = || shaped(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?$");
    let any_time = || shaped(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?$");
    let own_id = shaped(&format!("^[A-Za-z0-9_-]{{0,{}}}$", interruptions::ID_MAX_BYTES));
    let description = {
        let most = interruptions::DESCRIPTION_MAX_CHARS;
        RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).max_length(Some(most)).build()))
    };
    let duration = {
        let minutes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        RefOr::T(Schema::Object(minutes.maximum(Some(shift_list::DAY_MINUTES)).build()))
    };
    let start = shaped(r"^([01]\d|2[0-3]):[0-5]\d:00$");
    let shift = [("dayOfWeek", one_of(&shift_list::DAYS)), ("start", start), ("duration", duration)];
    let shifts = |of| up_to(shift_list::SHIFTS_MAX, reference(of));
    vec![
        (
            "Interruption",
            object(&[("id", text()), ("description", description.clone()), ("start", local()), ("end", local())]),
        ),
        (
            "NewInterruption",
            object(&[("id?", own_id), ("description?", description), ("start", any_time()), ("end", any_time())]),
        ),
        ("Shift", object(&[&[("id", text())][..], &shift].concat())),
        ("NewShift", object(&shift)),
        ("CheckinStores", object(&[("merchantIds", some_of(checkin_qrcode::STORES_MAX, uuid()))])),
        ("OpeningHours", object(&[("storeId?", text()), ("shifts", shifts("Shift"))])),
        ("NewOpeningHours", object(&[("storeId?", text()), ("shifts", shifts("NewShift"))])),
    ]
}
