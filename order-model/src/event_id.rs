//! Event ids: UUIDv8 values that are a pure function of committed data and say themselves where they belong.
//!
//! Made by gateway-core only; checked by order-events, connection-polling and kitchen-api, which know nothing else of
//! an event when its acknowledgment arrives first. Layout of the 122 free bits, most significant first:
//!
//! ```text
//! created_at_ms : 48 | version 8 : 4 | discriminator high : 12 | variant : 2 | routing hash : 16
//! | discriminator low : 18 | check : 28
//! ```
//!
//! The discriminator (30 bits) is a keyed hash of the order id and the sequence under the instant and the routing
//! hash: the same event always gets the same id, and two events collide only within one millisecond, one routing hash
//! and one chance in 2^30. The check (28 bits) is a keyed hash of everything else in the id. It covers order and
//! sequence through the discriminator, so that it can be verified from the id alone: an acknowledgment names nothing
//! else. A forger without the key passes once in 2^28 tries, and gains one tombstone.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher24;
use uuid::Uuid;

use crate::identifiers::{MerchantId, OrderId, ParseIdError};
use crate::routing::RoutingHash;
use crate::timestamp::Timestamp;

const DISCRIMINATOR_BITS: u32 = 30;
const DISCRIMINATOR_LOW_BITS: u32 = 18;
const CHECK_BITS: u32 = 28;

/// The secret under which event ids are made and checked: 16 bytes, shared by core, order-events, connection-polling
/// and kitchen-api. Changing it makes every stored id unknown, so it is fixed for the life of a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventIdKey {
    low: u64,
    high: u64,
}

impl EventIdKey {
    /// From 16 secret bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
        Self { low: whole as u64, high: (whole >> 64) as u64 }
    }

    fn hash(&self, domain: u8, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.low, self.high);
        hasher.write(&[domain]);
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    }
}

impl fmt::Debug for EventIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventIdKey(redacted)")
    }
}

/// The id of an event, as partners see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// The id of the event that is `sequence` of `order`, committed at `created_at` for `merchant`.
    pub fn derive(
        key: &EventIdKey,
        created_at: Timestamp,
        merchant: MerchantId,
        order: OrderId,
        sequence: u32,
    ) -> Self {
        let routing = RoutingHash::of(merchant);
        let instant = created_at.unix_ms().to_be_bytes();
        let parts: [&[u8]; 4] = [&instant, &routing.0.to_be_bytes(), order.as_bytes(), &sequence.to_be_bytes()];
        let discriminator = key.hash(1, &parts) & mask(DISCRIMINATOR_BITS);
        let unchecked = Layout { created_at_ms: created_at.unix_ms().unsigned_abs(), routing, discriminator, check: 0 };
        Self(Layout { check: unchecked.expected_check(key), ..unchecked }.pack())
    }

    /// Whether this id was made under `key`. Costs one short hash; reads nothing else.
    pub fn is_genuine(&self, key: &EventIdKey) -> bool {
        self.0.get_version_num() == 8 && {
            let layout = Layout::unpack(self.0);
            layout.pack() == self.0 && layout.check == layout.expected_check(key)
        }
    }

    /// The merchant's routing hash. Meaningful only when [`EventId::is_genuine`].
    pub fn routing_hash(&self) -> RoutingHash {
        Layout::unpack(self.0).routing
    }

    /// The instant of the commit. Meaningful only when [`EventId::is_genuine`].
    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(i64::try_from(Layout::unpack(self.0).created_at_ms).unwrap_or(0))
    }

    /// Wraps 16 bytes in network order, genuine or not.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes in network order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads 16 bytes as they come off a wire or out of a store.
    ///
    /// # Errors
    /// When `bytes` is not 16 bytes long.
    pub fn try_from_slice(bytes: &[u8]) -> Result<Self, ParseIdError> {
        Uuid::from_slice(bytes).map(Self).map_err(|_| ParseIdError { kind: "event id" })
    }

    /// Reads the hyphenated form, 36 characters in either case.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn try_from_ascii(text: &[u8]) -> Result<Self, ParseIdError> {
        if text.len() != 36 {
            return Err(ParseIdError { kind: "event id" });
        }
        Uuid::try_parse_ascii(text).map(Self).map_err(|_| ParseIdError { kind: "event id" })
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from_ascii(text.as_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0.hyphenated())
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The fields of an id, unpacked.
#[derive(Clone, Copy)]
struct Layout {
    created_at_ms: u64,
    routing: RoutingHash,
    discriminator: u64,
    check: u64,
}

impl Layout {
    fn expected_check(&self, key: &EventIdKey) -> u64 {
        let parts: [&[u8]; 3] =
            [&self.created_at_ms.to_be_bytes(), &self.routing.0.to_be_bytes(), &self.discriminator.to_be_bytes()];
        key.hash(2, &parts) & mask(CHECK_BITS)
    }

    fn pack(&self) -> Uuid {
        let high = (self.created_at_ms << 16) | (8 << 12) | (self.discriminator >> DISCRIMINATOR_LOW_BITS);
        let low = (0b10 << 62)
            | (u64::from(self.routing.0) << 46)
            | ((self.discriminator & mask(DISCRIMINATOR_LOW_BITS)) << CHECK_BITS)
            | self.check;
        Uuid::from_u64_pair(high, low)
    }

    fn unpack(uuid: Uuid) -> Self {
        let (high, low) = uuid.as_u64_pair();
        #[expect(clippy::cast_possible_truncation, reason = "the 16 bits of the routing hash")]
        let routing = RoutingHash((low >> 46) as u16);
        let discriminator =
            ((high & mask(12)) << DISCRIMINATOR_LOW_BITS) | ((low >> CHECK_BITS) & mask(DISCRIMINATOR_LOW_BITS));
        Self { created_at_ms: high >> 16, routing, discriminator, check: low & mask(CHECK_BITS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> EventIdKey {
        EventIdKey::from_bytes([byte; 16])
    }

    fn sample(sequence: u32) -> EventId {
        EventId::derive(
            &key(7),
            Timestamp::from_unix_ms(1_795_000_000_123),
            MerchantId::from_bytes([3; 16]),
            OrderId::from_bytes([4; 16]),
            sequence,
        )
    }

    #[test]
    fn an_id_is_a_function_of_committed_data_and_carries_its_place() {
        let id = sample(1);
        assert_eq!(id, sample(1));
        assert_ne!(id, sample(2));
        assert_eq!(id.created_at(), Timestamp::from_unix_ms(1_795_000_000_123));
        assert_eq!(id.routing_hash(), RoutingHash::of(MerchantId::from_bytes([3; 16])));
        let uuid: Uuid = id.to_string().parse().unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122));
    }

    #[test]
    fn any_flipped_bit_and_any_other_key_is_noticed() {
        let id = sample(1);
        assert!(id.is_genuine(&key(7)));
        assert!(!id.is_genuine(&key(8)));
        for bit in 0..128 {
            let mut bytes = *id.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!EventId::from_bytes(bytes).is_genuine(&key(7)), "bit {bit}");
        }
    }
}
