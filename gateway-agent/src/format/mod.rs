//! What internal apps send to `orders` (CONTRACT), read into one value: native, CloudEvents 1.0 and Open Delivery.
//!
//! Pure: the shell calls [`parse`] with a message's body and gets a [`Submission`] for the core, or why not. Judging
//! transitions is deliberately absent: that is the core's. So are numbers as floats: amounts stay text.

mod digest;
mod envelope;
mod invalid;
mod json;
mod located;
mod open_delivery;
mod order;
mod sums;
mod writer;

use bytes::Bytes;
use event_feed::TraceId;
use order_model::{EventCode, MerchantId, OrderId, Timestamp};

use invalid::Path;
pub(crate) use invalid::shortened;
pub use invalid::{DETAIL_BYTES_MAX, Invalid, Reason};
pub use json::DEPTH_MAX;
use located::Located;
pub use sums::SumMismatch;

/// The longest message, bytes: leaves room for attributes below the brokers' 256 KiB, and for the converted order below
/// the store's 400 KB.
pub const MESSAGE_BYTES_MAX: usize = 192 * 1024;
/// The longest message id, characters.
pub const MESSAGE_ID_CHARS_MAX: usize = 128;
/// The longest source, characters: with the id it is a key in the core's store, which takes 2048 bytes.
pub const SOURCE_CHARS_MAX: usize = 256;

/// The format of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Ours.
    Native,
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
    /// An Open Delivery 1.7.0 order.
    OpenDelivery,
}

impl Format {
    /// The label of metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::CloudEvents => "cloudevents",
            Self::OpenDelivery => "open_delivery",
        }
    }
}

/// A valid message. With `source`, `message_id` is the idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The format it came in.
    pub format: Format,
    /// Who sent it, 1 to [`SOURCE_CHARS_MAX`] characters; recorded, not verified.
    pub source: String,
    /// Its id, 1 to [`MESSAGE_ID_CHARS_MAX`] characters.
    pub message_id: String,
    /// SHA-256 of what it says, however it was written.
    pub digest: [u8; 32],
    /// The producer's time; `None` where a CloudEvents producer left it out.
    pub occurred_at: Option<Timestamp>,
    /// The trace that a CloudEvents message carries inside (its distributed tracing extension); zero when none.
    pub trace: TraceId,
    /// What it asks for.
    pub content: Content,
}

/// What a message asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A new order.
    Place(Box<Placement>),
    /// Something happened to an order.
    Update(Update),
}

impl Content {
    /// The order it is about.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Place(placement) => placement.order,
            Self::Update(update) => update.order,
        }
    }
}

impl std::fmt::Debug for Content {
    /// Leaves bodies and metadata out: they hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Place(placement) => f.debug_tuple("Place").field(&placement.order).finish_non_exhaustive(),
            Self::Update(update) => {
                f.debug_tuple("Update").field(&update.order).field(&update.code).finish_non_exhaustive()
            }
        }
    }
}

/// A new order.
#[derive(Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its id.
    pub order: OrderId,
    /// Its merchant.
    pub merchant: MerchantReference,
    /// What the lifecycle needs to know of it.
    pub facts: Facts,
    /// The order as section 3 of the partner API shows it, JSON.
    pub body: Bytes,
    /// Its sums that do not add up.
    pub mismatches: Vec<SumMismatch>,
}

/// How a message names a merchant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MerchantReference {
    /// By our id.
    Id(MerchantId),
    /// By its Open Delivery id, 36 to 100 characters, which is no UUID.
    OpenDelivery(String),
}

/// What the lifecycle needs to know of an order. Texts are empty and times `None` where absent or unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// DELIVERY, TAKEOUT, DINE_IN or INDOOR.
    pub order_type: String,
    /// MERCHANT, IFOOD, MARKETPLACE or whatever was sent.
    pub delivered_by: String,
    /// As sent.
    pub category: String,
    /// As sent.
    pub sales_channel: String,
    /// IMMEDIATE, SCHEDULED or whatever was sent.
    pub order_timing: String,
    /// The latest promised delivery, pickup or serving time.
    pub promised_at: Option<Timestamp>,
    /// When preparing should begin.
    pub preparation_start: Option<Timestamp>,
    /// A test order.
    pub is_test: bool,
}

/// Something that happened to an order.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    /// The order.
    pub order: OrderId,
    /// What happened; never [`EventCode::Placed`].
    pub code: EventCode,
    /// A JSON object as it was sent; empty when absent.
    pub metadata: Bytes,
}

/// Reads one message.
///
/// # Errors
/// When no later state can make it valid. The error never holds a value of the message.
pub fn parse(body: &str) -> Result<Submission, Invalid> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Invalid::new(
            Reason::TooLarge,
            format!("{} bytes, at most {MESSAGE_BYTES_MAX} are accepted", body.len()),
        ));
    }
    let document = json::document(body)?;
    let message = Located::open(Path::ROOT, document)?;
    let format = recognise(&message);
    let submission = match format {
        Format::Native => envelope::native(&message),
        Format::CloudEvents => envelope::cloud_event(&message),
        Format::OpenDelivery => open_delivery::read(document, &message),
    };
    submission.map_err(|invalid| invalid.in_format(format))
}

/// CONTRACT: `specversion` makes it CloudEvents; a `type` that is an Open Delivery order type, with `items`, an Open
/// Delivery order; anything else is native.
fn recognise(message: &Located<'_, '_>) -> Format {
    let is_order_type = |text: &str| matches!(text, "DELIVERY" | "TAKEOUT" | "INDOOR");
    if message.object.get("specversion").is_some() {
        Format::CloudEvents
    } else if message.text_if_any("type").is_some_and(|text| is_order_type(&text))
        && message.object.get("items").is_some()
    {
        Format::OpenDelivery
    } else {
        Format::Native
    }
}

#[cfg(test)]
mod tests;
