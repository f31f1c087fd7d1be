//! Events as they come: one PLACED each, of 60,000 merchants, with a body of the usual size.

use std::time::Duration;

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_events::state::{Command, FeedPartition};
use order_model::{
    EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, PartitionCount, RoutingHash, Timestamp,
};

use crate::cluster::{PARTITIONS, RealClock};

/// Of one event.
pub const BODY_BYTES: usize = 400;
const MERCHANTS: u64 = 60_000;
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Makes them.
pub struct Events {
    key: EventIdKey,
    made: u64,
    now: Timestamp,
    by_partition: Vec<Vec<MerchantId>>,
}

fn partition_of(merchant: MerchantId) -> u16 {
    let partitions = PartitionCount(PARTITIONS.try_into().unwrap());
    RoutingHash::of(merchant).partition(partitions).0
}

impl Events {
    pub fn new() -> Self {
        let mut by_partition = vec![Vec::new(); usize::from(PARTITIONS)];
        for number in 0..MERCHANTS {
            let merchant = MerchantId::from_bytes((u128::from(number) << 64 | 1).to_be_bytes());
            by_partition[usize::from(partition_of(merchant))].push(merchant);
        }
        Self { key: EventIdKey::from_bytes([1; 16]), made: 0, now: RealClock::shared().now(), by_partition }
    }

    /// The next event and its partition.
    pub fn next(&mut self) -> (u16, FeedEvent) {
        let partition = u16::try_from(self.made % u64::from(PARTITIONS)).unwrap();
        (partition, self.of(partition))
    }

    /// A command of `count` events of `partition`.
    pub fn batch(&mut self, partition: u16, count: usize) -> Vec<u8> {
        Command::Append((0..count).map(|_| self.of(partition)).collect()).encode()
    }

    fn of(&mut self, partition: u16) -> FeedEvent {
        self.made += 1;
        let merchants = &self.by_partition[usize::from(partition)];
        let merchant = merchants[usize::try_from(self.made).unwrap() % merchants.len()];
        let order = OrderId::from_bytes(u128::from(self.made).to_be_bytes());
        FeedEvent {
            id: EventId::derive(&self.key, self.now, merchant, order, 1),
            order,
            merchant,
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence: 1,
            created_at: self.now,
            expires_at: self.now.plus(LIFETIME),
            trace: TraceId([7; 16]),
            body: Bytes::from(vec![b'x'; BODY_BYTES]),
        }
    }
}

/// Whether a poll for `merchant` would show something.
pub fn sees(state: &FeedPartition, merchant: MerchantId) -> bool {
    let application = "figures".parse().unwrap();
    state.pending(&application, merchant, Timestamp::from_unix_ms(0)).is_some()
}
