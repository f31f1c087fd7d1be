//! Partition keys of the `orders` table and the shards of both indexes.

use order_model::lifecycle::DisputeId;
use order_model::{EvidenceId, OrderId};
use sha2::{Digest, Sha256};

/// Shards of the index `unpublished`: enough that no index partition limits commits (1,000 writes/s each).
pub(crate) const UNPUBLISHED_SHARDS: u8 = 64;
/// Shards of the index `due`. An order writes to it two or three times in its life.
pub(crate) const DUE_SHARDS: u8 = 16;

/// The key of the item with the serving gaps.
pub(super) const SERVING_KEY: &str = "system#serving";

/// What names one message of one producer: the idempotency key. Hashed, so that a key has one length whatever the
/// producer calls itself, and holds nothing a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MessageKey([u8; 32]);

impl MessageKey {
    /// The key of message `id` of `source`, in the key space `space` (messages and merchant actions never meet).
    pub(crate) fn new(space: KeySpace, source: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update([space as u8]);
        hash.update((source.len() as u64).to_be_bytes());
        hash.update(source);
        hash.update(id);
        Self(hash.finalize().into())
    }

    pub(super) fn partition_key(&self) -> String {
        let mut key = String::with_capacity(72);
        key.push_str("message#");
        for byte in self.0 {
            key.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            key.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        key
    }
}

/// Who chose a message id. The numbers are part of the stored format.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeySpace {
    /// An internal app, by (source, id).
    Message = 1,
    /// A partner application, by (application id, `Idempotency-Key`).
    Action = 2,
}

pub(super) fn order_key(order: OrderId) -> String {
    format!("order#{order}")
}

pub(super) fn body_key(order: OrderId) -> String {
    format!("body#{order}")
}

pub(super) fn dispute_key(dispute: &DisputeId) -> String {
    format!("dispute#{dispute}")
}

pub(super) fn evidence_key(order: OrderId, evidence: EvidenceId) -> String {
    format!("evidence#{order}#{evidence}")
}

/// The order that a key of [`order_key`] names.
pub(super) fn order_of_key(key: &str) -> Option<OrderId> {
    key.strip_prefix("order#")?.parse().ok()
}

pub(super) fn unpublished_shard(order: OrderId) -> String {
    unpublished_shard_name(spread(order) % UNPUBLISHED_SHARDS)
}

pub(super) fn unpublished_shard_name(shard: u8) -> String {
    format!("unpublished#{shard}")
}

/// The shard of events that the topic refuses: beside the others, so that it is read rarely and delays none of them.
pub(super) const SET_ASIDE_SHARD: &str = "unpublished#refused";

pub(super) fn due_shard(order: OrderId) -> String {
    due_shard_name(spread(order) % DUE_SHARDS)
}

pub(super) fn due_shard_name(shard: u8) -> String {
    format!("due#{shard}")
}

/// An even byte of an order id, whose own bytes need not be random: producers choose them.
pub(crate) fn spread(order: OrderId) -> u8 {
    Sha256::digest(order.as_bytes())[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_keys_do_not_run_into_each_other() {
        let key = |space, source, id| MessageKey::new(space, source, id).partition_key();
        assert_eq!(key(KeySpace::Message, "app", "1"), key(KeySpace::Message, "app", "1"));
        assert_ne!(key(KeySpace::Message, "app", "1"), key(KeySpace::Message, "ap", "p1"));
        assert_ne!(key(KeySpace::Message, "app", "1"), key(KeySpace::Action, "app", "1"));
        assert_eq!(key(KeySpace::Message, "app", "1").len(), "message#".len() + 64);
    }

    #[test]
    fn an_order_key_reads_back_and_shards_are_even() {
        let order = OrderId::from_bytes([7; 16]);
        assert_eq!(order_of_key(&order_key(order)), Some(order));
        assert_eq!(order_of_key(&body_key(order)), None);
        let mut per_shard = [0u32; UNPUBLISHED_SHARDS as usize];
        for number in 0..6_400u128 {
            per_shard[usize::from(spread(OrderId::from_bytes(number.to_be_bytes())) % UNPUBLISHED_SHARDS)] += 1;
        }
        assert!(per_shard.iter().all(|&orders| (50..=160).contains(&orders)), "{per_shard:?}");
    }
}
