//! Bytes of commands, replies and snapshots: big-endian numbers, lengths before contents, nothing optional.
//!
//! Written by hand because a log outlives libraries, and because equal states must give equal bytes. Reading never
//! panics and never allocates more than what it was given. The versions stand in [`super::command`] and [`super::snapshot`].

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_model::{ApplicationId, EventCategory, EventCode, EventId, MerchantId, OrderId, Timestamp};

/// Bytes were not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read")]
pub struct Malformed {
    /// What was being read, e.g. `event code`.
    pub what: &'static str,
}

/// Appends values to bytes.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer that begins with `header`, e.g. a version and a tag.
    pub fn with_header(header: &[u8]) -> Self {
        Self { bytes: header.to_vec() }
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// One byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A number of 32 bits.
    pub fn number(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A count or a length.
    pub fn length(&mut self, value: usize) {
        self.number(u32::try_from(value).unwrap_or(u32::MAX));
    }

    /// An instant.
    pub fn timestamp(&mut self, value: Timestamp) {
        self.bytes.extend_from_slice(&value.unix_ms().to_be_bytes());
    }

    /// The 16 bytes of an id.
    pub fn id(&mut self, value: &[u8; 16]) {
        self.bytes.extend_from_slice(value);
    }

    /// Bytes with their length before them.
    pub fn blob(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// An application id.
    pub fn application(&mut self, value: &ApplicationId) {
        self.blob(value.as_str().as_bytes());
    }

    /// An event, its body included.
    pub fn event(&mut self, event: &FeedEvent) {
        self.id(event.id.as_bytes());
        self.id(event.order.as_bytes());
        self.id(event.merchant.as_bytes());
        self.byte(event.code.number());
        self.byte(event.category.number());
        self.number(event.sequence);
        self.timestamp(event.created_at);
        self.timestamp(event.expires_at);
        self.id(&event.trace.0);
        self.blob(&event.body);
    }
}

/// Takes values from bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Demands that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Malformed { what: "what follows the end" }) }
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Malformed { what })?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.take::<1>(what)?[0])
    }

    /// A number of 32 bits.
    pub fn number(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.take(what)?))
    }

    /// How many entries of at least `entry_bytes` bytes follow: a count that cannot be true is refused here, before
    /// anything is allocated for it.
    pub fn count(&mut self, entry_bytes: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number(what)?).map_err(|_| Malformed { what })?;
        if count.saturating_mul(entry_bytes.max(1)) > self.bytes.len() { Err(Malformed { what }) } else { Ok(count) }
    }

    /// An instant.
    pub fn timestamp(&mut self, what: &'static str) -> Result<Timestamp, Malformed> {
        Ok(Timestamp::from_unix_ms(i64::from_be_bytes(self.take(what)?)))
    }

    /// The 16 bytes of an id.
    pub fn id(&mut self, what: &'static str) -> Result<[u8; 16], Malformed> {
        self.take(what)
    }

    /// An event id.
    pub fn event_id(&mut self) -> Result<EventId, Malformed> {
        Ok(EventId::from_bytes(self.id("event id")?))
    }

    /// Bytes with their length before them.
    pub fn blob(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.count(1, what)?;
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed { what })?;
        self.bytes = rest;
        Ok(taken)
    }

    /// An application id.
    pub fn application(&mut self) -> Result<ApplicationId, Malformed> {
        let malformed = Malformed { what: "application id" };
        let text = std::str::from_utf8(self.blob(malformed.what)?).map_err(|_| malformed)?;
        text.parse().map_err(|_| malformed)
    }

    /// An event. Its body is copied: a slice would pin the whole batch until its last event is gone.
    pub fn event(&mut self) -> Result<FeedEvent, Malformed> {
        Ok(FeedEvent {
            id: self.event_id()?,
            order: OrderId::from_bytes(self.id("order id")?),
            merchant: MerchantId::from_bytes(self.id("merchant id")?),
            code: EventCode::from_number(self.byte("event code")?).ok_or(Malformed { what: "event code" })?,
            category: EventCategory::from_number(self.byte("category")?).ok_or(Malformed { what: "category" })?,
            sequence: self.number("sequence")?,
            created_at: self.timestamp("createdAt")?,
            expires_at: self.timestamp("expiresAt")?,
            trace: TraceId(self.id("trace id")?),
            body: Bytes::copy_from_slice(self.blob("body")?),
        })
    }
}
