//! Bytes of commands and snapshots: big-endian numbers, and small numbers as varints of seven bits a byte.
//!
//! Written by hand because a log outlives libraries, and because equal states must give equal bytes. Reading never
//! panics and never allocates more than what it was given.

use order_model::MerchantId;

use super::transition::{Transition, TransitionReason};

/// A transition: merchant, ONLINE or OFFLINE, when, last heard, sequence.
pub(super) const TRANSITION_BYTES: usize = 16 + 1 + 8 + 8 + 8;

/// Bytes were not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read")]
pub struct Malformed {
    /// What was being read, e.g. `format version`.
    pub what: &'static str,
}

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn number(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn large(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn instant(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A count of rows that follow.
    pub(super) fn count(&mut self, value: usize) {
        self.number(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "seven bits and the mark that more follow")]
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
        self.bytes.push(value as u8);
    }

    pub(super) fn merchant(&mut self, value: MerchantId) {
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// The reason follows from the direction.
    pub(super) fn transition(&mut self, value: &Transition) {
        self.merchant(value.merchant);
        self.byte(u8::from(value.online));
        self.instant(value.changed_at_ms);
        self.instant(value.last_heartbeat_at_ms);
        self.large(value.sequence);
    }
}

/// Takes values from bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed { what: "what follows the end" }) }
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Malformed { what })?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.take::<1>(what)?[0])
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.take(what)?))
    }

    pub(super) fn large(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.take(what)?))
    }

    pub(super) fn instant(&mut self, what: &'static str) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.take(what)?))
    }

    /// How many rows of at least `row_bytes` bytes follow: a count that cannot be true is refused before anything is
    /// allocated for it.
    pub(super) fn count(&mut self, row_bytes: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = self.number(what)? as usize;
        if count.saturating_mul(row_bytes) > self.bytes.len() { Err(Malformed { what }) } else { Ok(count) }
    }

    pub(super) fn varint(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed { what })
    }

    pub(super) fn merchant(&mut self) -> Result<MerchantId, Malformed> {
        Ok(MerchantId::from_bytes(self.take("merchant id")?))
    }

    pub(super) fn transition(&mut self) -> Result<Transition, Malformed> {
        let merchant = self.merchant()?;
        let online = self.byte("status")? != 0;
        Ok(Transition {
            merchant,
            online,
            reason: TransitionReason::of(online),
            changed_at_ms: self.instant("changedAt")?,
            last_heartbeat_at_ms: self.instant("lastHeartbeatAt")?,
            sequence: self.large("sequence")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_varint_survives_and_is_short(value in prop_oneof![any::<u32>(), 0u32..300]) {
            let mut writer = Writer::default();
            writer.varint(value);
            let bytes = writer.into_bytes();
            prop_assert!(bytes.len() <= 5 && (value >= 0x80 || bytes.len() == 1));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint("it"), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = Reader::new(&bytes).varint("it");
            let _ = Reader::new(&bytes).count(3, "rows");
        }
    }

    #[test]
    fn a_varint_beyond_32_bits_is_refused() {
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint("it").is_err());
        assert!(Reader::new(&[0x80, 0x80]).varint("it").is_err());
    }
}
