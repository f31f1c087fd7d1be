//! A lifecycle as plain numbers and texts, in a versioned form that never changes meaning.
//!
//! gateway-core stores these fields in whatever its table likes; no serialisation framework is involved. A field whose
//! value this version does not know is an error, never a guess: it was written by a newer version or is damaged.

use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::dispute::{Dispute, DisputeAsk, TimeoutAction};
use crate::lifecycle::kind::{DeliveredBy, Goods, OrderKind, OrderType};
use crate::lifecycle::state::{Happened, Lifecycle, MerchantRequest};
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// The version that [`Lifecycle::to_stored`] writes.
pub const FORMAT_VERSION: u8 = 1;

/// The fields of a stored lifecycle. Zero and the empty text mean "none".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredLifecycle {
    /// [`FORMAT_VERSION`].
    pub format_version: u8,
    /// [`OrderType::number`].
    pub order_type: u8,
    /// [`DeliveredBy::number`].
    pub delivered_by: u8,
    /// [`Goods::number`].
    pub goods: u8,
    /// [`OrderStatus::number`].
    pub status: u8,
    /// [`Happened::bits`].
    pub happened: u64,
    /// Sequence of the open `CAR`; 0 when there is none.
    pub merchant_request: u32,
    /// [`CancellationCode::number`] of the open `CAR`; 0 when there is none or it named none.
    pub merchant_request_code: u16,
    /// Sequence of the open `CCR`; 0 when there is none.
    pub consumer_request: u32,
    /// Id of the open dispute; empty when there is none.
    pub dispute: String,
    /// When it expires, in ms since 1970; 0 when there is none.
    pub dispute_expires_at_ms: i64,
    /// [`TimeoutAction::number`]; 0 when there is none.
    pub dispute_timeout_action: u8,
    /// [`DisputeAsk::number`]; 0 when there is none, and in what was stored before this field existed.
    pub dispute_asks: u8,
    /// Id of the dispute settled last; empty when there is none.
    pub settled_dispute: String,
    /// Sequence of the next event, from 1.
    pub next_sequence: u32,
    /// `createdAt` of the last event, in ms since 1970.
    pub last_created_at_ms: i64,
}

/// A stored lifecycle cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored lifecycle has a {field} that this version does not know")]
pub struct UnknownStoredValue {
    /// Which field of [`StoredLifecycle`].
    pub field: &'static str,
}

impl Lifecycle {
    /// As fields to store.
    pub fn to_stored(&self) -> StoredLifecycle {
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let dispute = self.dispute.as_ref();
        StoredLifecycle {
            format_version: FORMAT_VERSION,
            order_type: self.kind.order_type.number(),
            delivered_by: self.kind.delivered_by.number(),
            goods: self.kind.goods.number(),
            status: self.status.number(),
            happened: self.happened.bits(),
            merchant_request: self.merchant_request.map_or(0, |request| request.sequence),
            merchant_request_code: self
                .merchant_request
                .and_then(|request| request.code)
                .map_or(0, CancellationCode::number),
            consumer_request: self.consumer_request.unwrap_or(0),
            dispute: text(dispute.map(|dispute| dispute.id.as_str())),
            dispute_expires_at_ms: dispute.map_or(0, |dispute| dispute.expires_at.unix_ms()),
            dispute_timeout_action: dispute.map_or(0, |dispute| dispute.timeout_action.number()),
            dispute_asks: dispute.map_or(0, |dispute| dispute.asks.number()),
            settled_dispute: text(self.settled_dispute.as_ref().map(|id| id.as_str())),
            next_sequence: self.next_sequence,
            last_created_at_ms: self.last_created_at.unix_ms(),
        }
    }

    /// Back from stored fields.
    ///
    /// # Errors
    /// When a field has a value that this version does not know.
    pub fn from_stored(stored: &StoredLifecycle) -> Result<Self, UnknownStoredValue> {
        if stored.format_version != FORMAT_VERSION {
            return Err(UnknownStoredValue { field: "format_version" });
        }
        let kind = OrderKind {
            order_type: known(OrderType::from_number(stored.order_type), "order_type")?,
            delivered_by: known(DeliveredBy::from_number(stored.delivered_by), "delivered_by")?,
            goods: known(Goods::from_number(stored.goods), "goods")?,
        };
        Ok(Self {
            kind,
            status: known(OrderStatus::from_number(stored.status), "status")?,
            happened: known(
                Some(Happened::from_bits(stored.happened)).filter(|known| known.bits() == stored.happened),
                "happened",
            )?,
            merchant_request: merchant_request(stored)?,
            consumer_request: (stored.consumer_request != 0).then_some(stored.consumer_request),
            dispute: dispute(stored)?,
            settled_dispute: match stored.settled_dispute.as_str() {
                "" => None,
                id => Some(known(id.parse().ok(), "settled_dispute")?),
            },
            next_sequence: known(Some(stored.next_sequence).filter(|&next| next != 0), "next_sequence")?,
            last_created_at: instant(stored.last_created_at_ms, "last_created_at_ms")?,
        })
    }
}

fn known<T>(value: Option<T>, field: &'static str) -> Result<T, UnknownStoredValue> {
    value.ok_or(UnknownStoredValue { field })
}

fn instant(unix_ms: i64, field: &'static str) -> Result<Timestamp, UnknownStoredValue> {
    known(Some(Timestamp::from_unix_ms(unix_ms)).filter(|instant| instant.unix_ms() == unix_ms), field)
}

fn merchant_request(stored: &StoredLifecycle) -> Result<Option<MerchantRequest>, UnknownStoredValue> {
    if stored.merchant_request == 0 {
        return Ok(None);
    }
    let code = match stored.merchant_request_code {
        0 => None,
        number => Some(known(CancellationCode::from_number(number), "merchant_request_code")?),
    };
    Ok(Some(MerchantRequest { sequence: stored.merchant_request, code }))
}

fn dispute(stored: &StoredLifecycle) -> Result<Option<Dispute>, UnknownStoredValue> {
    if stored.dispute.is_empty() {
        return Ok(None);
    }
    let timeout_action = known(TimeoutAction::from_number(stored.dispute_timeout_action), "dispute_timeout_action")?;
    Ok(Some(Dispute {
        id: known(stored.dispute.parse().ok(), "dispute")?,
        asks: match stored.dispute_asks {
            0 => DisputeAsk::of_dispute(None, timeout_action),
            number => known(DisputeAsk::from_number(number), "dispute_asks")?,
        },
        expires_at: instant(stored.dispute_expires_at_ms, "dispute_expires_at_ms")?,
        timeout_action,
    }))
}
