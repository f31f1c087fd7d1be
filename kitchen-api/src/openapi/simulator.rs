//! Schemas of the order simulator.

use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{RefOr, Schema};

use super::shapes::{Named, object, one_of, shaped, text, texts};
use crate::simulator::{CATEGORIES, COURIERS, DISPUTES, ORDER_TYPES, SCENARIOS, STEPS, TIMINGS};

pub(super) fn schemas() -> Vec<Named> {
    let merchant = shaped("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$");
    vec![
        (
            "SimulatedOrder",
            closed(object(&[
                ("merchantId", merchant),
                ("orderType?", one_of(&ORDER_TYPES.map(|(name, _)| name))),
                ("orderTiming?", one_of(&TIMINGS.map(|(name, _)| name))),
                ("deliveredBy?", one_of(&COURIERS.map(|(name, _)| name))),
                ("category?", one_of(&CATEGORIES.map(|(name, _)| name))),
                ("scenario?", one_of(&SCENARIOS.map(|(name, _)| name))),
            ])),
        ),
        ("SimulatedOrderPlaced", texts(&["orderId", "merchantId"])),
        (
            "SimulatedStep",
            closed(object(&[
                ("step", one_of(&STEPS.map(|(name, _)| name))),
                ("dispute?", one_of(&DISPUTES.map(|(name, _)| name))),
            ])),
        ),
        (
            "SimulatedStepTaken",
            object(&[("orderId", text()), ("step", text()), ("code", text()), ("disputeId?", text())]),
        ),
    ]
}

/// The same object, which takes no other fields.
fn closed(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}
