//! Where each item of `polling-index` lives: pure key layout, called by everything in `store/`.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | event | `e#<routing hash>` | `<createdAt ms, 15 digits>#<event id>` |
//! | acknowledgments of one request | `a#<application>#<routing hash>` | `<newest createdAt>#<digest of the ids>` |
//! | head of a merchant | `h#<merchant>` | `-` |
//! | cursor of an application on a merchant | `c#<application>#<merchant>` | `-` |
//! | sequences seen of an order | `o#<order>` | `-` |
//! | fence | `f#<partition>` | `-` |
//! | fence log | `l#<partition>` | `<newest createdAt>#<digest>` |
//!
//! Events stand under the routing hash and not under the merchant, so that an event id alone names its item: an
//! acknowledgment looks up how long it must be remembered. Merchants that share a hash (about one pair in 65,536) are
//! told apart on reading. The fixed-width tail makes `a#` and `c#` unambiguous although an application id may hold `#`.
//! What the items hold is deliberately absent: see `store/`.

use order_model::{ApplicationId, EventId, MerchantId, OrderId, PartitionId, RoutingHash, Timestamp};
use sha2::{Digest, Sha256};

/// The sort key of items that are alone under their partition key.
pub(crate) const ALONE: &str = "-";

/// Bytes of a SHA-256 kept in a sort key: 128 bits make a collision of two sets of ids, which would lose one of them,
/// as unlikely as it need be.
const DIGEST_BYTES: usize = 16;

/// The full key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) partition: String,
    pub(crate) sort: String,
}

impl Key {
    fn alone(partition: String) -> Self {
        Self { partition, sort: ALONE.to_owned() }
    }
}

/// The partition key of every event of the merchants with this hash.
pub(crate) fn events(hash: RoutingHash) -> String {
    format!("e#{:04x}", hash.0)
}

/// The key of one event.
pub(crate) fn event(id: EventId) -> Key {
    Key {
        partition: events(id.routing_hash()),
        sort: format!("{}#{}", from_instant(id.created_at()), hex::encode(id.as_bytes())),
    }
}

/// The least sort key of whatever was created at or after `at`.
pub(crate) fn from_instant(at: Timestamp) -> String {
    format!("{:015}", at.unix_ms())
}

/// The partition key of an application's acknowledgments.
pub(crate) fn acknowledgments(application: &ApplicationId, hash: RoutingHash) -> String {
    format!("a#{application}#{:04x}", hash.0)
}

/// The sort key of a set of acknowledged ids: the same set has the same key, so that a repetition changes nothing.
/// Sorting by the newest id lets a reader who needs only what is newer than some instant skip the rest.
pub(crate) fn id_set(application: &ApplicationId, ids: &[EventId]) -> String {
    let newest = ids.iter().map(EventId::created_at).max().unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update(application.as_str().as_bytes());
    digest.update([0]);
    for id in ids {
        digest.update(id.as_bytes());
    }
    format!("{}#{}", from_instant(newest), hex::encode(&digest.finalize()[..DIGEST_BYTES]))
}

/// The key of a merchant's head.
pub(crate) fn head(merchant: MerchantId) -> Key {
    Key::alone(format!("h#{merchant}"))
}

/// The key of an application's cursor on a merchant.
pub(crate) fn cursor(application: &ApplicationId, merchant: MerchantId) -> Key {
    Key::alone(format!("c#{application}#{merchant}"))
}

/// The key of what is known of an order's sequences.
pub(crate) fn order(order: OrderId) -> Key {
    Key::alone(format!("o#{order}"))
}

/// The key of a partition's fence.
pub(crate) fn fence(partition: PartitionId) -> Key {
    Key::alone(format!("f#{}", partition.0))
}

/// The partition key of a partition's fence log.
pub(crate) fn fence_log(partition: PartitionId) -> String {
    format!("l#{}", partition.0)
}

/// What an item is, read off its partition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event of a merchant with this hash.
    Event(RoutingHash),
    /// Acknowledgments of an application.
    Acknowledgments(ApplicationId, RoutingHash),
    /// Anything an export does not carry.
    Other,
}

/// Reads a partition key back.
pub(crate) fn kind(partition_key: &str) -> Kind {
    let hash = |digits: &str| u16::from_str_radix(digits, 16).ok().map(RoutingHash);
    if let Some(digits) = partition_key.strip_prefix("e#") {
        return hash(digits).map_or(Kind::Other, Kind::Event);
    }
    let Some((application, digits)) = partition_key.strip_prefix("a#").and_then(|rest| rest.rsplit_once('#')) else {
        return Kind::Other;
    };
    match (application.parse(), hash(digits)) {
        (Ok(application), Some(hash)) => Kind::Acknowledgments(application, hash),
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use order_model::EventIdKey;

    use super::*;

    fn id(created_at_ms: i64) -> EventId {
        let created_at = Timestamp::from_unix_ms(created_at_ms);
        let (merchant, order) = (MerchantId::from_bytes([1; 16]), OrderId::from_bytes([2; 16]));
        EventId::derive(&EventIdKey::from_bytes([7; 16]), created_at, merchant, order, 1)
    }

    #[test]
    fn events_sort_by_creation_whatever_its_magnitude() {
        let (early, late) = (event(id(999_999_999_999)), event(id(10_000_000_000_000)));
        assert!(early.sort < late.sort && early.partition == late.partition);
        assert!(from_instant(id(999_999_999_999).created_at()) < early.sort, "the bound includes its own instant");
    }

    #[test]
    fn a_partition_key_is_read_back_even_with_a_hash_sign_in_the_application() {
        let application: ApplicationId = "shop#0001".parse().unwrap();
        let key = acknowledgments(&application, RoutingHash(0xabc));
        assert_eq!(kind(&key), Kind::Acknowledgments(application, RoutingHash(0xabc)));
        assert_eq!(kind(&events(RoutingHash(3))), Kind::Event(RoutingHash(3)));
        assert_eq!(kind("h#whatever"), Kind::Other);
    }

    #[test]
    fn a_set_of_ids_is_named_by_its_application_and_content() {
        let (one, other): (ApplicationId, ApplicationId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let (first, second) = (id(1_000), id(2_000));
        assert_eq!(id_set(&one, &[first, second]), id_set(&one, &[first, second]));
        assert_ne!(id_set(&one, &[first, second]), id_set(&other, &[first, second]));
        assert_ne!(id_set(&one, &[second]), id_set(&one, &[first, second]));
        assert!(id_set(&one, &[first, second]) > from_instant(second.created_at()));
    }
}
