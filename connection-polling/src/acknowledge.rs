//! Acknowledgments: grouped purely, written to the index, and without a leader also to the fence log.
//!
//! Called by `rpc`. An acknowledgment is true once [`Acknowledger::acknowledge`] has answered. How long it is remembered
//! follows the expiry of its event where that is indexed, and event-feed's bound for unknown ones where it is not.

use std::collections::{BTreeMap, HashMap};

use event_feed::acknowledgment::{remembered_until, tombstone_until};
use order_model::{ApplicationId, EventId, PartitionCount, PartitionId, RoutingHash, Timestamp};

use crate::store::{AcknowledgedIds, FenceLogEntry, Store, StoreError};

/// The most ids in one item: 16 KiB, so that a batch of 25 items stays small.
const IDS_PER_ITEM_MAX: usize = 1_000;

/// Writes acknowledgments.
#[derive(Clone)]
pub(crate) struct Acknowledger {
    store: Store,
    partition_count: PartitionCount,
}

impl Acknowledger {
    pub(crate) fn new(store: Store, partition_count: PartitionCount) -> Self {
        Self { store, partition_count }
    }

    /// Makes it true that `application` acknowledged these genuine ids, arrived or not.
    pub(crate) async fn acknowledge(
        &self,
        application: &ApplicationId,
        ids: Vec<EventId>,
        without_leader: bool,
    ) -> Result<(), StoreError> {
        let expiries = self.store.event_expiries(&ids).await?;
        let lasting = Lasting::of(ids, &expiries, self.store.now());
        let acknowledged = lasting.by_hash();
        let writing = self.store.put_acknowledgments(application, &acknowledged);
        if !without_leader {
            return writing.await;
        }
        let entries = lasting.fence_log(application, self.partition_count);
        futures::future::try_join(writing, self.store.put_fence_log(&entries)).await.map(|_| ())
    }
}

/// Ids worth remembering, sorted, each with the instant until when.
struct Lasting(Vec<(EventId, Timestamp)>);

impl Lasting {
    fn of(mut ids: Vec<EventId>, expiries: &HashMap<EventId, Timestamp>, now: Timestamp) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let until = |id: &EventId| expiries.get(id).map_or_else(|| tombstone_until(*id), |at| remembered_until(*at));
        Self(ids.iter().map(|id| (*id, until(id))).filter(|(_, until)| *until > now).collect())
    }

    fn by_hash(&self) -> Vec<AcknowledgedIds> {
        let groups = grouped(&self.0, EventId::routing_hash);
        let to_item =
            |(hash, ids, remembered_until): (RoutingHash, _, _)| AcknowledgedIds { hash, ids, remembered_until };
        groups.into_iter().map(to_item).collect()
    }

    fn fence_log(&self, application: &ApplicationId, count: PartitionCount) -> Vec<FenceLogEntry> {
        let groups = grouped(&self.0, |id| id.routing_hash().partition(count));
        let to_entry = |(partition, ids, remembered_until): (PartitionId, _, _)| FenceLogEntry {
            partition,
            application: application.clone(),
            ids,
            remembered_until,
        };
        groups.into_iter().map(to_entry).collect()
    }
}

/// Groups of at most [`IDS_PER_ITEM_MAX`] ids with the same key, and until when the longest-lived must be remembered.
fn grouped<K: Ord + Copy>(
    lasting: &[(EventId, Timestamp)],
    key: impl Fn(&EventId) -> K,
) -> Vec<(K, Vec<EventId>, Timestamp)> {
    let mut by_key: BTreeMap<K, Vec<(EventId, Timestamp)>> = BTreeMap::new();
    for entry in lasting {
        by_key.entry(key(&entry.0)).or_default().push(*entry);
    }
    let split = |(key, entries): (K, Vec<(EventId, Timestamp)>)| {
        let group = |chunk: &[(EventId, Timestamp)]| {
            let until = chunk.iter().map(|(_, until)| *until).max().unwrap_or_default();
            (key, chunk.iter().map(|(id, _)| *id).collect(), until)
        };
        entries.chunks(IDS_PER_ITEM_MAX).map(group).collect::<Vec<_>>()
    };
    by_key.into_iter().flat_map(split).collect()
}

#[cfg(test)]
mod tests {
    use order_model::{EventIdKey, MerchantId, OrderId};

    use super::*;

    fn id(merchant: u8, created_at_ms: i64) -> EventId {
        let created_at = Timestamp::from_unix_ms(created_at_ms);
        let (merchant, order) = (MerchantId::from_bytes([merchant; 16]), OrderId::from_bytes([2; 16]));
        EventId::derive(&EventIdKey::from_bytes([7; 16]), created_at, merchant, order, 1)
    }

    #[test]
    fn ids_are_grouped_once_each_and_split_when_many() {
        let mut ids: Vec<EventId> = (0..1_500).map(|number| id(1, 1_000_000 + number)).collect();
        ids.extend([id(2, 5), id(1, 1_000_000)]);
        let lasting = Lasting::of(ids, &HashMap::new(), Timestamp::default());
        let groups = lasting.by_hash();
        assert_eq!(groups.iter().map(|group| group.ids.len()).sum::<usize>(), 1_501);
        assert!(groups.iter().all(|group| group.ids.len() <= IDS_PER_ITEM_MAX));
        assert!(groups.iter().all(|group| group.ids.iter().all(|id| id.routing_hash() == group.hash)));
    }

    #[test]
    fn a_known_event_is_remembered_by_its_expiry_an_unknown_one_by_the_bound() {
        let (known, unknown, forgotten) = (id(1, 1_000), id(2, 1_000), id(3, 1_000));
        let far = Timestamp::from_unix_ms(1_000_000_000_000);
        let expiries = HashMap::from([(known, far), (forgotten, Timestamp::from_unix_ms(2_000))]);
        let now = Timestamp::from_unix_ms(2 * 60 * 60 * 1000);
        let lasting = Lasting::of(vec![known, unknown, forgotten], &expiries, now);
        let until: HashMap<EventId, Timestamp> = lasting.0.into_iter().collect();
        assert_eq!(until.get(&known), Some(&remembered_until(far)));
        assert_eq!(until.get(&unknown), Some(&tombstone_until(unknown)));
        assert_eq!(until.get(&forgotten), None, "nobody can be shown it any more");
    }
}
