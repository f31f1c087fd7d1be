//! What can be made to happen to a simulated order: the events that others cause, by the names POS systems know. Pure.

use std::time::Duration;

use order_model::lifecycle::DisputeId;
use order_model::{EventCode, Timestamp};
use serde_json::json;

use super::choice::{choice, object};
use crate::errors::ApiError;

/// How long a dispute can be answered.
const DISPUTE_OPEN_FOR: Duration = Duration::from_secs(7 * 60);

/// The evidence of a simulated dispute: a PNG of 16 by 16 pixels, which the core takes out as it does a customer's photo.
const PHOTO: &str = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAABlBMVEXqHSz///9gkuSMAAAAEUlEQVR42mMIDWVYtYqBaBIAdscP8aNZ\
    +RMAAAAASUVORK5CYII=";

/// The steps there are; each is named after the event that follows.
pub(crate) const STEPS: [(&str, EventCode); 17] = {
    const fn step(code: EventCode) -> (&'static str, EventCode) {
        (code.full_code(), code)
    }
    [
        step(EventCode::ConsumerCancellationRequested),
        step(EventCode::CancellationRequestFailed),
        step(EventCode::Cancelled),
        step(EventCode::HandshakeDispute),
        step(EventCode::AssignDriver),
        step(EventCode::GoingToOrigin),
        step(EventCode::ArrivedAtOrigin),
        step(EventCode::DriverDeallocated),
        step(EventCode::PickupCodeRequested),
        step(EventCode::PickupCodeValidated),
        step(EventCode::Collected),
        step(EventCode::ArrivedAtDestination),
        step(EventCode::DropCodeRequested),
        step(EventCode::DropCodeValidated),
        step(EventCode::PickupAreaAssigned),
        step(EventCode::RecommendedPreparationStart),
        step(EventCode::Concluded),
    ]
};

/// What a dispute asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisputeAbout {
    Cancellation,
    Refund,
    AdditionalTime,
}

/// What disputes can ask for.
pub(crate) const DISPUTES: [(&str, DisputeAbout); 3] = [
    ("CANCELLATION", DisputeAbout::Cancellation),
    ("REFUND", DisputeAbout::Refund),
    ("ADDITIONAL_TIME", DisputeAbout::AdditionalTime),
];

/// The step that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedStep {
    pub(super) code: EventCode,
    /// Of a dispute.
    pub(super) about: DisputeAbout,
}

/// Reads a body.
///
/// # Errors
/// 400 at the field that is wrong.
pub(super) fn read(body: &[u8]) -> Result<WantedStep, ApiError> {
    let object = object(body, &["step", "dispute"])?;
    let code = choice(&object, "step", &STEPS)?;
    let code = code.ok_or_else(|| ApiError::bad_request("step is missing.").at_field("step"))?;
    let about = choice(&object, "dispute", &DISPUTES)?;
    if about.is_some() && code != EventCode::HandshakeDispute {
        return Err(ApiError::bad_request("dispute is of a HANDSHAKE_DISPUTE only.").at_field("dispute"));
    }
    Ok(WantedStep { code, about: about.unwrap_or(DisputeAbout::Cancellation) })
}

/// The metadata of a step's event; empty for what has none.
pub(super) fn metadata(step: WantedStep, dispute: &DisputeId, now: Timestamp) -> String {
    match step.code {
        EventCode::HandshakeDispute => dispute_metadata(step.about, dispute, now),
        EventCode::PickupAreaAssigned => {
            json!({ "PICKUP_AREA_CODE": "A1", "PICKUP_AREA_TYPE": "PARKING_SPOT" }).to_string()
        }
        _ => String::new(),
    }
}

fn dispute_metadata(about: DisputeAbout, dispute: &DisputeId, now: Timestamp) -> String {
    let (action, kind, message, alternatives) = match about {
        DisputeAbout::Cancellation => {
            ("CANCELLATION", "PREPARATION_TIME", "O cliente pediu o cancelamento (simulado).", json!([]))
        }
        DisputeAbout::Refund => {
            let offer = json!([{ "id": "refund-1", "type": "REFUND",
                "metadata": { "maxAmount": { "currency": "BRL", "value": "800" } } }]);
            ("PROPOSED_AMOUNT_REFUND", "AFTER_DELIVERY", "O cliente pediu um reembolso (simulado).", offer)
        }
        DisputeAbout::AdditionalTime => {
            let offer = json!([{ "id": "time-1", "type": "ADDITIONAL_TIME", "metadata": {
                "allowedsAdditionalTimeInMinutes": [10, 20],
                "allowedsAdditionalTimeReasons": ["HIGH_STORE_DEMAND", "ORDER_OUT_FOR_DELIVERY"] } }]);
            ("PROPOSED_ADDITIONAL_TIME", "DELAY", "O pedido está atrasado (simulado).", offer)
        }
    };
    json!({
        "disputeId": dispute.as_str(),
        "action": action,
        "handshakeType": kind,
        "handshakeGroup": "ORDER_HANDSHAKE",
        "message": message,
        "createdAt": now.to_string(),
        "expiresAt": now.plus(DISPUTE_OPEN_FOR).to_string(),
        "timeoutAction": "REJECT_CANCELLATION",
        "alternatives": alternatives,
        "metadata": { "items": [], "garnishItems": [],
            "evidences": [{ "contentType": "image/png", "content": PHOTO }],
            "acceptCancellationReasons": ["HIGH_STORE_DEMAND", "ITEM_UNAVAILABLE"] },
        "negotiationReasons": ["ORDER_OUT_FOR_DELIVERY", "ORDER_ALREADY_DELIVERED"],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_step_is_read_or_refused_at_its_field() {
        assert_eq!(read(br#"{"step":"COLLECTED"}"#).unwrap().code, EventCode::Collected);
        let dispute = read(br#"{"step":"HANDSHAKE_DISPUTE","dispute":"REFUND"}"#).unwrap();
        assert_eq!((dispute.code, dispute.about), (EventCode::HandshakeDispute, DisputeAbout::Refund));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"step":"CONFIRMED"}"#,
            r#"{"step":7}"#,
            r#"{"step":"CANCELLED","dispute":"REFUND"}"#,
            r#"{"step":"HANDSHAKE_DISPUTE","dispute":"x"}"#,
            r#"{"step":"CANCELLED","more":1}"#,
        ] {
            assert_eq!(read(wrong.as_bytes()).unwrap_err().status(), 400, "{wrong}");
        }
    }

    #[test]
    fn a_dispute_names_what_it_offers() {
        let now = Timestamp::from_unix_ms(1_790_000_000_000);
        for (_, about) in DISPUTES {
            let step = WantedStep { code: EventCode::HandshakeDispute, about };
            let text = metadata(step, &"d-1".parse().unwrap(), now);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["disputeId"], "d-1");
            assert_eq!(read["alternatives"].as_array().unwrap().is_empty(), about == DisputeAbout::Cancellation);
            let photo = read["metadata"]["evidences"][0]["content"].as_str().unwrap();
            assert!(STANDARD.decode(photo).unwrap().starts_with(b"\x89PNG\r\n\x1A\n"));
        }
    }
}
