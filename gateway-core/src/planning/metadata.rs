//! The metadata of events as partners see it (PARTNER_API 2.1 and 2.5), rendered from what the lifecycle decided.
//!
//! Texts are ours or codes; a merchant's free text is deliberately absent, it may hold personal data. What an internal
//! app sent along with an update has been cleaned before it gets here.

use order_model::lifecycle::{CancelOrigin, Cancellation, EventMetadata};
use order_model::{EventId, Timestamp};
use serde::Serialize;

use crate::denial::Denial;
use crate::disputes::Chosen;

/// What an event's metadata may refer to.
pub(super) struct Sources<'a> {
    /// The update's own metadata, cleaned.
    pub(super) of_update: Option<&'a str>,
    /// The application that acted.
    pub(super) application: Option<&'a str>,
    /// What the merchant's answer to a dispute says.
    pub(super) chosen: Option<&'a Chosen>,
    /// Why the merchant does not let the consumer cancel.
    pub(super) denial: Option<Denial>,
    /// When the event is committed.
    pub(super) created_at: Timestamp,
    /// The id of the event with a sequence, where it is a request that was open.
    pub(super) id_of: &'a dyn Fn(u32) -> Option<EventId>,
}

#[derive(Serialize)]
struct OfApplication<'a> {
    #[serde(rename = "CLIENT_ID")]
    client_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct OfCancellation<'a> {
    cancel_stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_code: Option<&'static str>,
    cancel_reason: &'static str,
    cancel_origin: &'static str,
    /// The application that cancelled; whoever else did is not known by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_requested_event_id: Option<String>,
    timeout_event: bool,
    /// Of a `CCD`, where the merchant said why; not iFood's, which has no word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfSettlement<'a> {
    dispute_id: &'a str,
    created_at: String,
    status: &'static str,
    #[serde(flatten)]
    chosen: Option<&'a Chosen>,
}

/// The JSON object for `metadata`; `None` when there is none.
pub(super) fn render(metadata: &EventMetadata, sources: &Sources<'_>) -> Option<String> {
    match metadata {
        EventMetadata::None => None,
        EventMetadata::OfUpdate => sources.of_update.map(str::to_owned),
        EventMetadata::OfUpdateOr(cancellation) => {
            Some(sources.of_update.map_or_else(|| json(&of_cancellation(cancellation, sources)), str::to_owned))
        }
        EventMetadata::OfUpdateOrApplication if sources.of_update.is_some() => sources.of_update.map(str::to_owned),
        EventMetadata::OfApplication | EventMetadata::OfUpdateOrApplication => {
            sources.application.map(|client_id| json(&OfApplication { client_id }))
        }
        EventMetadata::Cancellation(cancellation) => Some(json(&of_cancellation(cancellation, sources))),
        EventMetadata::Settlement { dispute, status } => Some(json(&OfSettlement {
            dispute_id: dispute.as_str(),
            created_at: sources.created_at.to_string(),
            status: status.name(),
            chosen: sources.chosen,
        })),
    }
}

fn of_cancellation<'a>(cancellation: &Cancellation, sources: &Sources<'a>) -> OfCancellation<'a> {
    OfCancellation {
        cancel_stage: cancellation.stage.name(),
        cancel_code: cancellation.code.map(|code| code.code()),
        cancel_reason: cancellation.reason(),
        cancel_origin: cancellation.origin.name(),
        cancel_user: sources.application.filter(|_| cancellation.origin == CancelOrigin::Restaurant),
        cancellation_requested_event_id: cancellation.requested_by.and_then(sources.id_of).map(|id| id.to_string()),
        timeout_event: cancellation.timeout,
        denial_code: sources.denial.map(Denial::code),
        denial_reason: sources.denial.map(Denial::description),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and flags always serialise")
}

#[cfg(test)]
mod tests {
    use order_model::lifecycle::{CancellationCode, OrderStatus};

    use super::*;

    #[test]
    fn a_cancellation_says_who_why_and_which_request() {
        let id = EventId::from_bytes([1; 16]);
        let sources = Sources {
            of_update: None,
            application: Some("dev-pos"),
            chosen: None,
            denial: None,
            created_at: Timestamp::default(),
            id_of: &|sequence| (sequence == 3).then_some(id),
        };
        let cancellation = Cancellation {
            stage: OrderStatus::Confirmed,
            origin: CancelOrigin::Restaurant,
            code: Some(CancellationCode::ItemUnavailable),
            requested_by: Some(3),
            timeout: false,
        };
        let text = render(&EventMetadata::Cancellation(cancellation), &sources).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["CANCEL_CODE"], "503");
        assert_eq!(value["CANCEL_STAGE"], "CONFIRMED");
        assert_eq!(value["CANCELLATION_REQUESTED_EVENT_ID"], id.to_string());
        assert_eq!(value["TIMEOUT_EVENT"], false);
        assert_eq!(value["CANCEL_USER"], "dev-pos");
        assert!(value.get("DENIAL_CODE").is_none());
        assert_eq!(render(&EventMetadata::OfApplication, &sources).unwrap(), r#"{"CLIENT_ID":"dev-pos"}"#);
        assert_eq!(render(&EventMetadata::OfUpdate, &sources), None);
    }

    #[test]
    fn a_consumers_cancellation_has_no_user_of_the_merchants_and_a_no_to_it_says_why() {
        let sources = Sources {
            of_update: None,
            application: Some("dev-pos"),
            chosen: None,
            denial: Some(Denial::OutForDelivery),
            created_at: Timestamp::default(),
            id_of: &|_| None,
        };
        let asked = Cancellation {
            stage: OrderStatus::Dispatched,
            origin: CancelOrigin::Consumer,
            code: None,
            requested_by: Some(3),
            timeout: false,
        };
        let text = render(&EventMetadata::Cancellation(asked), &sources).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["CANCEL_ORIGIN"], value.get("CANCEL_USER")), (&"CONSUMER".into(), None));
        assert_eq!(value["DENIAL_CODE"], "OUT_FOR_DELIVERY");
        assert_eq!(value["DENIAL_REASON"], "O pedido já saiu para entrega");
    }
}
