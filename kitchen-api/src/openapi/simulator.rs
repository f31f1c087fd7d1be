//! Schemas of the order simulator.

use super::shapes::{Named, object, one_of, shaped, text, texts};
use crate::simulator::{CATEGORIES, COURIERS, DISPUTES, ORDER_TYPES, SCENARIOS, STEPS, TIMINGS};

pub(super) fn schemas() -> Vec<Named> {
    let merchant = shaped("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$");
    vec![
        (
            "SimulatedOrder",
            object(&[
                ("merchantId", merchant),
                ("orderType?", one_of(&ORDER_TYPES.map(|(name, _)| name))),
                ("orderTiming?", one_of(&TIMINGS.map(|(name, _)| name))),
                ("deliveredBy?", one_of(&COURIERS.map(|(name, _)| name))),
                ("category?", one_of(&CATEGORIES.map(|(name, _)| name))),
                ("scenario?", one_of(&SCENARIOS.map(|(name, _)| name))),
            ]),
        ),
        ("SimulatedOrderPlaced", texts(&["orderId", "merchantId"])),
        (
            "SimulatedStep",
            object(&[
                ("step", one_of(&STEPS.map(|(name, _)| name))),
                ("dispute?", one_of(&DISPUTES.map(|(name, _)| name))),
            ]),
        ),
        (
            "SimulatedStepTaken",
            object(&[("orderId", text()), ("step", text()), ("code", text()), ("disputeId?", text())]),
        ),
    ]
}
