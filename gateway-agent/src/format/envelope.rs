//! The native envelope and the CloudEvents 1.0 one: who says what happened, around an order or an update.
//!
//! Called by [`super::parse`]. Orders themselves are read in [`super::order`].

use event_feed::TraceId;
use order_model::EventCode;

use super::invalid::{Invalid, Path, Reason};
use super::json;
use super::located::Located;
use super::order;
use super::{Content, Format, MESSAGE_ID_CHARS_MAX, SOURCE_CHARS_MAX, Submission, Update, digest};

/// What CloudEvents types begin with; then the fullCode in lower case.
const CLOUD_EVENTS_TYPE_PREFIX: &str = "comanda.order.";
/// And what they end with.
const CLOUD_EVENTS_TYPE_SUFFIX: &str = ".v1";

/// Reads a native message.
pub(crate) fn native(message: &Located<'_, '_>) -> Result<Submission, Invalid> {
    let code = EventCode::parse(&message.text("type")?)
        .ok_or_else(|| unknown_type(message.path, "expected a code or fullCode of an order event"))?;
    let (content, digest) = content(message, code)?;
    Ok(Submission {
        format: Format::Native,
        source: message.text_of_length("source", 1, SOURCE_CHARS_MAX)?.into_owned(),
        message_id: message.text_of_length("id", 1, MESSAGE_ID_CHARS_MAX)?.into_owned(),
        digest,
        occurred_at: Some(message.instant("occurredAt")?),
        trace: TraceId::default(),
        content,
    })
}

/// Reads a CloudEvents message. Attributes that mean nothing to us are ignored, as that standard wants.
pub(crate) fn cloud_event(message: &Located<'_, '_>) -> Result<Submission, Invalid> {
    if message.text("specversion")? != "1.0" {
        return Err(Invalid::at(message.path.field("specversion"), "expected 1.0"));
    }
    let code = message
        .text("type")?
        .strip_prefix(CLOUD_EVENTS_TYPE_PREFIX)
        .and_then(|rest| rest.strip_suffix(CLOUD_EVENTS_TYPE_SUFFIX))
        .and_then(EventCode::parse)
        .ok_or_else(|| unknown_type(message.path, "expected comanda.order.<fullCode in lower case>.v1"))?;
    let data = message.object("data")?;
    let (content, digest) = content(&data, code)?;
    let occurred_at = match message.object.get("time") {
        Some(_) => Some(message.instant("time")?),
        None => None,
    };
    Ok(Submission {
        format: Format::CloudEvents,
        source: message.text_of_length("source", 1, SOURCE_CHARS_MAX)?.into_owned(),
        message_id: message.text_of_length("id", 1, MESSAGE_ID_CHARS_MAX)?.into_owned(),
        digest,
        occurred_at,
        trace: message.text_if_any("traceparent").map(|text| TraceId::from_traceparent(&text)).unwrap_or_default(),
        content,
    })
}

fn unknown_type(message: Path<'_>, expected: &str) -> Invalid {
    Invalid::new(Reason::UnknownType, format!("{}: {expected}", message.field("type")))
}

/// What `code` says about the order or update in `holder`, and its digest.
fn content(holder: &Located<'_, '_>, code: EventCode) -> Result<(Content, [u8; 32]), Invalid> {
    if code == EventCode::Placed {
        let raw = holder.required("order")?;
        let order = holder.object("order")?;
        let placement = order::read(&order, raw.get().to_owned(), order::MerchantIds::OursOnly)?;
        return Ok((Content::Place(Box::new(placement)), digest::of_order(raw)));
    }
    let order = holder.id("orderId")?;
    let metadata = holder.object.get("metadata");
    if let Some(other) = metadata.filter(|metadata| json::kind(metadata) != "an object") {
        let problem = format!("expected an object, found {}", json::kind(other));
        return Err(Invalid::at(holder.path.field("metadata"), problem));
    }
    let bytes = metadata.map(|metadata| metadata.get().to_owned().into()).unwrap_or_default();
    Ok((Content::Update(Update { order, code, metadata: bytes }), digest::of_update(order, code, metadata)))
}
