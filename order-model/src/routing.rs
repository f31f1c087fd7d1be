//! Where a merchant lives: a 16-bit routing hash of its id, and the partition that hash falls into.
//!
//! The hash is stored inside every event id, so it may never change: its key is a constant of the format and a test
//! pins its values. Used by the core (ids), order-events, connection-polling and kitchen-api (routing).

use std::hash::Hasher;
use std::num::NonZeroU16;

use siphasher::sip::SipHasher24;

use crate::identifiers::MerchantId;

/// 16 bits that say where a merchant's events live. Different merchants may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingHash(pub u16);

impl RoutingHash {
    /// The routing hash of `merchant`: the low 16 bits of SipHash-2-4 under a fixed key.
    pub fn of(merchant: MerchantId) -> Self {
        let mut hasher = SipHasher24::new_with_keys(0x636f_6d61_6e64_6131, 0x726f_7574_696e_6731);
        hasher.write(merchant.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the hash")]
        Self(hasher.finish() as u16)
    }

    /// The partition among `count`.
    pub fn partition(self, count: PartitionCount) -> PartitionId {
        PartitionId(self.0 % count.0.get())
    }
}

/// A partition, `0..count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

/// How many partitions a grid has; fixed when a cluster is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionCount(pub NonZeroU16);

impl PartitionCount {
    /// 16, the default of order-events.
    pub const DEFAULT: Self = Self(NonZeroU16::new(16).expect("16 is not zero"));

    /// Every partition, in order.
    pub fn iter(self) -> impl Iterator<Item = PartitionId> {
        (0..self.0.get()).map(PartitionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_part_of_the_format() {
        let first: MerchantId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let second: MerchantId = "00000000-0000-4000-8000-000000000002".parse().unwrap();
        assert_eq!(
            (RoutingHash::of(first).0, RoutingHash::of(second).0),
            (38_456, 47_848),
            "the hash may never change"
        );
    }

    #[test]
    fn merchants_spread_evenly() {
        let mut per_partition = [0u32; 16];
        for number in 0..60_000u128 {
            let merchant = MerchantId::from_bytes(number.to_be_bytes());
            per_partition[usize::from(RoutingHash::of(merchant).partition(PartitionCount::DEFAULT).0)] += 1;
        }
        assert!(per_partition.iter().all(|&merchants| (3_500..=4_000).contains(&merchants)), "{per_partition:?}");
    }
}
