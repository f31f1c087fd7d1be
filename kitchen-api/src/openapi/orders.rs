//! Schemas of events and orders.

use order_model::lifecycle::CancellationCode;
use utoipa::openapi::Type;

use super::shapes::{Named, object, one_of, reference, shaped, text, texts, typed};

pub(super) fn schemas() -> Vec<Named> {
    let anything = || typed(Type::Object);
    vec![
        (
            "Event",
            object(&[
                ("id", text()),
                ("code", text()),
                ("fullCode", text()),
                ("orderId", text()),
                ("merchantId", text()),
                ("createdAt", text()),
                ("salesChannel", text()),
                ("metadata?", anything()),
                ("sequence?", typed(Type::Integer)),
            ]),
        ),
        ("EventReference", texts(&["id"])),
        ("Order", anything()),
        ("Note", texts(&["reason?", "cancellationCode?"])),
        ("CancellationRequest", {
            let codes: Vec<&str> = CancellationCode::ALL.iter().map(|code| code.code()).collect();
            object(&[("reason?", text()), ("cancellationCode?", one_of(&codes))])
        }),
        ("CancellationReason", texts(&["cancelCodeId", "description"])),
        ("Code", object(&[("code", shaped("^[!-~]{1,64}$"))])),
        ("CodeChecked", object(&[("success", typed(Type::Boolean))])),
        (
            "Tracking",
            object(&[
                ("orderId", text()),
                ("latitude", typed(Type::Number)),
                ("longitude", typed(Type::Number)),
                ("eta?", typed(Type::Number)),
                ("etaToDestination?", typed(Type::Number)),
                ("etaToOrigin?", typed(Type::Number)),
                ("deliveryTime?", text()),
                ("date?", text()),
                ("trackDate?", text()),
            ]),
        ),
        ("VirtualBag", anything()),
        (
            "Worker",
            object(&[
                ("workerName", shaped(r"^\S(.{0,118}\S)?$")),
                ("workerPhone?", shaped("^.{0,120}$")),
                ("workerVehicleType?", shaped("^.{0,120}$")),
            ]),
        ),
        ("DisputeReason", texts(&["reason?", "detailReason?"])),
        ("DisputeAlternative", object(&[("type?", text()), ("metadata", reference("DisputeTerms"))])),
        (
            "DisputeTerms",
            object(&[
                ("amount?", reference("DisputeAmount")),
                ("additionalTimeInMinutes?", typed(Type::Integer)),
                ("reason?", text()),
                ("additionalTimeReason?", text()),
            ]),
        ),
        ("DisputeAmount", texts(&["value", "currency?"])),
        ("DisputeAnswered", texts(&["status"])),
        ("OpenApi", anything()),
    ]
}
