//! Between the messages of `gateway_core.proto` and what `core` and `planning` work with, by hand.
//!
//! Two sorts of refusal: a field that no peer of ours may send so is INVALID_ARGUMENT; content that a producer wrote
//! wrong is a rejection with a reason, so that its message ends in the dead-letter queue and not in a retry.

use std::borrow::Cow;

use bytes::Bytes;
use order_model::lifecycle::{
    Command, DeliveredBy, Dispute, DisputeAsk, DisputeId, DisputeOpening, Goods, OrderKind, OrderType, TimeoutAction,
    Update,
};
use order_model::{EventCategory, EventCode, MerchantId, OrderId, Timestamp};
use proto::conversions;
use proto::gateway_core as wire;
use serde::Deserialize;
use serde_json::value::RawValue;
use tonic::Status;

use crate::disputes::DisputeOffer;
use crate::evidence::{self, Brought, EVIDENCES_PER_ORDER_MAX, Links};
use crate::merchant_field;
use crate::merchants::MerchantReference;
use crate::order_patch::OrderPatch;
use crate::personal_data;
use crate::planning::{Cause, MessageIdentity, Placement, Refusal};
use crate::position::Position;
use crate::store::{KeySpace, MessageKey};

/// The largest order body or metadata: what one message to the queue `orders` may hold.
pub(crate) const CONTENT_BYTES_MAX: usize = 192 * 1024;
/// A source, a message id or an idempotency key longer than this is no name of anything.
const NAME_BYTES_MAX: usize = 512;
/// Sales channels are words; longer ones are cut, because they travel with every event.
const SALES_CHANNEL_BYTES_MAX: usize = 64;
/// What an order without a sales channel came through.
const SALES_CHANNEL_DEFAULT: &str = "IFOOD";
/// The longest detail of a rejection.
const DETAIL_BYTES_MAX: usize = 1024;

/// What a submitted message asks for.
pub(crate) enum Content {
    /// To place an order.
    Place(MerchantReference, Placement),
    /// To record what happened.
    Update(OrderId, Command),
}

/// Content that can never be accepted; says which field, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) Cow<'static, str>);

impl Malformed {
    const fn field(field: &'static str) -> Self {
        Self(Cow::Borrowed(field))
    }
}

/// Reads a submitted message. Links to what it brings along begin with `public_url`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the request itself is malformed; `Ok(Err(_))` when its content is.
pub(crate) fn submitted(
    request: wire::SubmitRequest,
    public_url: &str,
) -> Result<Result<(Content, Cause), Malformed>, Status> {
    let digest = request.body_digest.as_ref().try_into().map_err(|_| malformed("body_digest"))?;
    let key =
        MessageKey::new(KeySpace::Message, name(&request.source, "source")?, name(&request.message_id, "message_id")?);
    let mut cause = Cause {
        message: Some(MessageIdentity { key, digest }),
        trace: conversions::trace_id(&request.trace_id),
        occurred_at: (request.occurred_at_ms > 0).then(|| Timestamp::from_unix_ms(request.occurred_at_ms)),
        ..Cause::default()
    };
    match request.content.ok_or_else(|| malformed("content"))? {
        wire::submit_request::Content::Place(place) => {
            let placed = placement(place)?;
            Ok(placed.map(|(merchant, placement)| (Content::Place(merchant, placement), cause)))
        }
        wire::submit_request::Content::Update(update) => {
            let order = conversions::order_id(&update.order_id)?;
            let code = u8::try_from(update.code).ok().and_then(EventCode::from_number);
            let code = code.ok_or_else(|| malformed("code"))?;
            let links = Links { public_url, order };
            let command = reported(code, &update.metadata, &links, &mut cause);
            Ok(command.map(|command| (Content::Update(order, command), cause)))
        }
    }
}

fn placement(place: wire::PlaceOrder) -> Result<Result<(MerchantReference, Placement), Malformed>, Status> {
    let id = conversions::order_id(&place.order_id)?;
    let reference = match place.merchant.ok_or_else(|| malformed("merchant"))? {
        wire::place_order::Merchant::MerchantId(id) => by_id(conversions::merchant_id(&id)?, &place.body),
        wire::place_order::Merchant::OpenDeliveryMerchantId(id) => {
            name(&id, "open_delivery_merchant_id")?;
            MerchantReference::OpenDelivery(id)
        }
    };
    let facts = place.facts.ok_or_else(|| malformed("facts"))?;
    let Some(order_type) = OrderType::parse(&facts.order_type) else { return Ok(Err(Malformed::field("orderType"))) };
    if let Err(malformed) = check_object(&place.body, "order") {
        return Ok(Err(malformed));
    }
    let category = match facts.category.as_str() {
        "" => EventCategory::Food,
        text => EventCategory::of_order(text),
    };
    let placement = Placement {
        id,
        // Filled in when the reference is resolved.
        merchant: MerchantId::from_bytes([0; 16]),
        kind: OrderKind {
            order_type,
            delivered_by: DeliveredBy::of_order(&facts.delivered_by),
            goods: Goods::from(category),
        },
        category,
        sales_channel: sales_channel(&facts.sales_channel),
        promised_at: (facts.promised_at_ms > 0).then(|| Timestamp::from_unix_ms(facts.promised_at_ms)),
        // A copy: a slice of the request would pin all of it.
        body: Bytes::copy_from_slice(&place.body),
    };
    Ok(Ok((reference, placement)))
}

/// The reference to a merchant by `id`, as `body` spells it.
fn by_id(id: MerchantId, body: &[u8]) -> MerchantReference {
    let spelling = merchant_field::spelling(body).filter(|text| text.parse() == Ok(id));
    MerchantReference::Id { id, spelling: spelling.unwrap_or_else(|| id.to_string()) }
}

fn sales_channel(text: &str) -> String {
    let text = if text.is_empty() { SALES_CHANNEL_DEFAULT } else { text };
    cut(text, SALES_CHANNEL_BYTES_MAX).to_owned()
}

/// The longest beginning of `text` that has at most `bytes_max` bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn check_object(json: &[u8], field: &'static str) -> Result<(), Malformed> {
    let fits = json.len() <= CONTENT_BYTES_MAX;
    let object = fits && serde_json::from_slice::<&RawValue>(json).is_ok_and(|raw| raw.get().starts_with('{'));
    if object { Ok(()) } else { Err(Malformed::field(field)) }
}

/// What a dispute's metadata says that decides.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DisputeFacts<'a> {
    dispute_id: String,
    #[serde(default)]
    parent_dispute_id: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    /// Of any type: an unknown action must not lose the dispute.
    #[serde(default, borrow)]
    timeout_action: Option<&'a RawValue>,
    #[serde(default, borrow)]
    action: Option<&'a RawValue>,
}

/// The command of an update; what else it says goes into `cause`.
fn reported(code: EventCode, metadata: &[u8], links: &Links<'_>, cause: &mut Cause) -> Result<Command, Malformed> {
    let rest;
    let metadata = match code {
        _ if metadata.is_empty() => metadata,
        EventCode::OrderPatched => {
            check_object(metadata, "metadata")?;
            (cause.patch, rest) = OrderPatch::take(metadata).map_err(Malformed::field)?;
            rest.as_bytes()
        }
        EventCode::HandshakeDispute => {
            check_object(metadata, "metadata")?;
            match evidence::take(metadata, links).map_err(Malformed)? {
                Some(taken) => {
                    let metadata_without = publishable(code, taken.without.as_bytes())?;
                    cause.evidence = Some(Brought { files: taken.files, metadata_without });
                    rest = taken.with_links;
                    rest.as_bytes()
                }
                None => metadata,
            }
        }
        _ => metadata,
    };
    let (command, clean) = update(code, metadata)?;
    cause.metadata = clean;
    cause.position = Position::of_update(code, metadata, cause.occurred_at);
    cause.opens = opened(&command, metadata);
    Ok(command)
}

/// Metadata as partners may see it.
fn publishable(code: EventCode, metadata: &[u8]) -> Result<String, Malformed> {
    check_object(metadata, "metadata")?;
    personal_data::publishable_metadata(code, metadata).map_err(|_| Malformed::field("metadata"))
}

/// The command of an update, and its metadata as partners may see it.
fn update(code: EventCode, metadata: &[u8]) -> Result<(Command, Option<String>), Malformed> {
    const METADATA: Malformed = Malformed::field("metadata");
    let clean = if metadata.is_empty() { None } else { Some(publishable(code, metadata)?) };
    let facts = || serde_json::from_slice::<DisputeFacts<'_>>(metadata).map_err(|_| METADATA);
    let update = match code {
        EventCode::HandshakeDispute => Update::dispute(opening(&facts()?)?),
        EventCode::HandshakeSettlement => Update::settlement(dispute_id(&facts()?.dispute_id)?),
        code => Update::new(code).map_err(|_| METADATA)?,
    };
    Ok((Command::Update(update), clean))
}

/// The dispute that `command` opens, and what its metadata offers.
fn opened(command: &Command, metadata: &[u8]) -> Option<(DisputeId, DisputeOffer)> {
    match command {
        Command::Update(update) => update.opens().map(|id| (id.clone(), DisputeOffer::of_metadata(metadata))),
        _ => None,
    }
}

fn dispute_id(text: &str) -> Result<DisputeId, Malformed> {
    text.parse().map_err(|_| Malformed::field("metadata.disputeId"))
}

fn opening(facts: &DisputeFacts<'_>) -> Result<DisputeOpening, Malformed> {
    const EXPIRES_AT: Malformed = Malformed::field("metadata.expiresAt");
    let expires_at = facts.expires_at.as_deref().ok_or(EXPIRES_AT)?.parse().map_err(|_| EXPIRES_AT)?;
    // What is no text is an action that we do not know, which is not the same as none.
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| "?".to_owned());
    let timeout_action = TimeoutAction::of_dispute(&facts.timeout_action.map(text).unwrap_or_default());
    let action = facts.action.filter(|raw| raw.get() != "null").map(text);
    Ok(DisputeOpening {
        dispute: Dispute {
            id: dispute_id(&facts.dispute_id)?,
            expires_at,
            asks: DisputeAsk::of_dispute(action.as_deref(), timeout_action),
            timeout_action,
        },
        parent: facts.parent_dispute_id.as_deref().map(dispute_id).transpose()?,
    })
}

/// Where a courier was last.
pub(crate) fn position(position: Position) -> wire::CourierPosition {
    wire::CourierPosition {
        latitude: position.latitude,
        longitude: position.longitude,
        delivery_time: position.delivery_time,
        eta: position.eta,
        eta_to_destination: position.eta_to_destination,
        eta_to_origin: position.eta_to_origin,
        date: position.date,
        track_date: position.track_date,
    }
}

/// A rejection of a message.
pub(crate) fn rejection(refusal: &Refusal) -> wire::Rejection {
    match refusal {
        Refusal::UnknownOrder => rejected("UNKNOWN_ORDER", "no order has this id", true),
        Refusal::IdReused => rejected("ID_REUSED", "this message id was committed with other content", false),
        Refusal::OrderExists => rejected("ORDER_EXISTS", "the order was placed before with another body", false),
        Refusal::Illegal(illegal) => rejected("ILLEGAL_TRANSITION", &illegal.to_string(), illegal.may_become_legal),
        Refusal::Unpatchable => rejected("MALFORMED", "metadata.patch makes the order too deep or too large", false),
        Refusal::TooMuchEvidence => rejected("MALFORMED", &too_much_evidence(), false),
        Refusal::DisputeExists => rejected("DISPUTE_EXISTS", "another order has a dispute of this id", false),
        Refusal::AlreadyDone { .. } | Refusal::Conflict { .. } | Refusal::AlreadyErased | Refusal::Objected(_) => {
            rejected("ILLEGAL_TRANSITION", "it has happened already", false)
        }
    }
}

fn too_much_evidence() -> String {
    format!("metadata.metadata.evidences gives the order more than {EVIDENCES_PER_ORDER_MAX} files")
}

/// A rejection with a stable code and our own words.
pub(crate) fn rejected(reason: &str, detail: &str, may_become_legal: bool) -> wire::Rejection {
    wire::Rejection { reason: reason.to_owned(), detail: cut(detail, DETAIL_BYTES_MAX).to_owned(), may_become_legal }
}

/// The conflict of an action; `None` where the answer is NOT_FOUND.
pub(crate) fn conflict(refusal: &Refusal) -> Option<wire::Conflict> {
    let names = |legal: &[&'static str]| legal.iter().map(|name| (*name).to_owned()).collect();
    match refusal {
        Refusal::UnknownOrder
        | Refusal::AlreadyErased
        | Refusal::OrderExists
        | Refusal::DisputeExists
        | Refusal::Unpatchable
        | Refusal::TooMuchEvidence
        | Refusal::Objected(_) => None,
        Refusal::Illegal(illegal) => Some(wire::Conflict {
            state: illegal.status.name().to_owned(),
            legal: names(&illegal.legal),
            message: illegal.to_string(),
        }),
        Refusal::Conflict { status, legal, why } => {
            Some(wire::Conflict { state: status.name().to_owned(), legal: names(legal), message: (*why).to_owned() })
        }
        Refusal::AlreadyDone { status, legal } => Some(wire::Conflict {
            state: status.name().to_owned(),
            legal: names(legal),
            message: format!("this has happened already; the order is {}", status.name()),
        }),
        Refusal::IdReused => Some(wire::Conflict {
            state: String::new(),
            legal: Vec::new(),
            message: "this Idempotency-Key was used for another request".to_owned(),
        }),
    }
}

pub(crate) fn name<'a>(text: &'a str, field: &'static str) -> Result<&'a str, Status> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX { Err(malformed(field)) } else { Ok(text) }
}

pub(crate) fn malformed(field: &'static str) -> Status {
    Status::invalid_argument(format!("{field} is malformed"))
}

#[cfg(test)]
#[path = "wire_hostile.rs"]
mod hostile;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispute_needs_its_facts_and_an_unknown_timeout_action_does_not_lose_it() {
        let good = br#"{"disputeId":"d-1","expiresAt":"2026-11-20T12:00:00Z","timeoutAction":7}"#;
        let (command, metadata) = update(EventCode::HandshakeDispute, good).unwrap();
        assert!(matches!(command, Command::Update(update) if update.code() == EventCode::HandshakeDispute));
        assert_eq!(metadata.unwrap().as_bytes(), good);
        let without_expiry = br#"{"disputeId":"d-1"}"#;
        assert_eq!(
            update(EventCode::HandshakeDispute, without_expiry).unwrap_err(),
            Malformed::field("metadata.expiresAt")
        );
        assert!(update(EventCode::HandshakeSettlement, without_expiry).is_ok());
        assert_eq!(update(EventCode::HandshakeSettlement, b"").unwrap_err(), Malformed::field("metadata"));
        assert_eq!(update(EventCode::Confirmed, b"[1]").unwrap_err(), Malformed::field("metadata"));
        assert!(update(EventCode::Confirmed, b"").is_ok());
    }

    #[test]
    fn what_a_dispute_brings_leaves_its_metadata() {
        let metadata = |customer: &str, entry: &str| {
            format!(
                r#"{{"disputeId":"d-1","expiresAt":"2026-11-20T12:00:00Z","customer":"{customer}","metadata":{{"x":1.50,"evidences":[{entry}]}}}}"#
            )
        };
        let links = Links { public_url: "", order: OrderId::from_bytes([4; 16]) };
        let sent = metadata("Ana", r#"{"content":"/9j/4A=="}"#);
        let mut cause = Cause::default();
        reported(EventCode::HandshakeDispute, sent.as_bytes(), &links, &mut cause).unwrap();
        let brought = cause.evidence.unwrap();
        let [file] = &brought.files[..] else { panic!("{:?}", brought.files) };
        assert_eq!(&file.content[..], b"\xFF\xD8\xFF\xE0");
        let url = format!("/order/v1.0/orders/{}/cancellationEvidences/{}", links.order, file.id);
        let link = format!(r#"{{"contentType":"image/jpeg","url":"{url}"}}"#);
        assert_eq!(cause.metadata.unwrap(), metadata("", &link));
        assert_eq!(brought.metadata_without, metadata("", ""));
        assert!(cause.opens.is_some());
        let wrong = metadata("Ana", r#"{"content":"?"}"#);
        let refused = reported(EventCode::HandshakeDispute, wrong.as_bytes(), &links, &mut Cause::default());
        let Err(Malformed(field)) = refused else { panic!("{refused:?}") };
        assert_eq!(field, "metadata.metadata.evidences[0].content (base64 expected)");
    }

    #[test]
    fn texts_are_cut_at_characters() {
        assert_eq!(cut("ação", 2), "a");
        assert_eq!(cut("ação", 3), "aç");
        assert_eq!(sales_channel(""), "IFOOD");
        assert_eq!(sales_channel(&"é".repeat(100)).len(), 64);
    }
}
