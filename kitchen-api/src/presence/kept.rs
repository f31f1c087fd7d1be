//! The beats that are kept: the latest of each merchant, in small shards of its partition.
//!
//! A poll locks one shard for one write. A delivery takes a few shards at a time ([`KeptBeats::take`]) and says later what has
//! arrived; what has not comes back by itself ([`Batch`]), however the delivery ends. So nothing ever locks, walks or copies
//! everything at once: with ten thousand beats that took 3 ms, twice a second, and every poll that was due then waited.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use order_model::{MerchantId, PartitionCount, PartitionId, RoutingHash};
use parking_lot::Mutex;

/// Shards of a partition: with a million beats in four partitions one holds 4,000, which take a tenth of a millisecond.
const SHARDS: usize = 64;

/// A batch ends with the shard that brings it to so many beats, some 24 KB.
pub(super) const BATCH_BEATS: usize = 1_000;

/// An empty shard keeps room for so many, and gives back what an outage had filled beyond that.
const SPARE_BEATS: usize = 512;

/// When a merchant was last heard of, in ms of the monotonic clock.
pub(super) type KeptBeat = (MerchantId, u64);

/// Kept beats, of a bounded number of merchants.
pub(super) struct KeptBeats {
    partitions: PartitionCount,
    shards: Box<[Mutex<HashMap<MerchantId, u64>>]>,
    /// How many there are with those under way, roughly: counting them would lock every shard. One that is under way and
    /// beats again counts twice.
    size: AtomicUsize,
    size_max: usize,
}

/// Where a delivery is: what of which partitions it has not taken yet.
pub(super) struct Walk {
    left: VecDeque<PartitionId>,
    /// The next shard of the first of them.
    shard: usize,
}

impl Walk {
    /// From the start through all of `partitions`.
    pub(super) fn over(partitions: &[PartitionId]) -> Self {
        Self { left: partitions.iter().copied().collect(), shard: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Leaves out the rest of `refused`.
    pub(super) fn leave_out(&mut self, refused: &BTreeSet<PartitionId>) {
        if self.left.front().is_some_and(|first| refused.contains(first)) {
            self.shard = 0;
        }
        self.left.retain(|left| !refused.contains(left));
    }
}

/// Beats under way. Dropping it puts back what was not said to be taken.
pub(super) struct Batch<'a> {
    kept: &'a KeptBeats,
    beats: Vec<KeptBeat>,
    /// Partitions whose last shard is in it: with it everything is told of them.
    pub(super) ends: Vec<PartitionId>,
}

impl Batch<'_> {
    /// The beats.
    pub(super) fn beats(&self) -> &[KeptBeat] {
        &self.beats
    }

    /// All of it has arrived but for what is of `refused`; how many that were.
    pub(super) fn taken_except(mut self, refused: &BTreeSet<PartitionId>) -> usize {
        let before = self.beats.len();
        let kept = self.kept;
        // Mostly nothing is refused, and no beat is looked at again.
        self.beats.retain(|(merchant, _)| !refused.is_empty() && refused.contains(&kept.partition_of(*merchant)));
        let taken = before - self.beats.len();
        kept.size.fetch_sub(taken, Ordering::Relaxed);
        taken
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for (merchant, at_ms) in self.beats.drain(..) {
            self.kept.put_back(merchant, at_ms);
        }
    }
}

impl KeptBeats {
    /// Room for the beats of `size_max` merchants.
    pub(super) fn new(partitions: PartitionCount, size_max: usize) -> Self {
        let shards = (0..usize::from(partitions.0.get()) * SHARDS).map(|_| Mutex::default()).collect();
        Self { partitions, shards, size: AtomicUsize::new(0), size_max }
    }

    /// Keeps a beat, unless a later one is kept already. `false`: there is no room, and it is dropped.
    pub(super) fn keep(&self, merchant: MerchantId, at_ms: u64) -> bool {
        match self.shard_of(merchant).lock().entry(merchant) {
            Entry::Occupied(mut kept) => {
                let latest = at_ms.max(*kept.get());
                kept.insert(latest);
            }
            Entry::Vacant(_) if self.len() >= self.size_max => return false,
            Entry::Vacant(free) => {
                self.size.fetch_add(1, Ordering::Relaxed);
                free.insert(at_ms);
            }
        }
        true
    }

    /// How many are kept, or under way.
    pub(super) fn len(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Takes the next beats of `walk`, whole shards: at least [`BATCH_BEATS`] unless it is over then.
    pub(super) fn take(&self, walk: &mut Walk) -> Batch<'_> {
        let mut batch = Batch { kept: self, beats: Vec::new(), ends: Vec::new() };
        while let Some(partition) = walk.left.front().copied().filter(|_| batch.beats.len() < BATCH_BEATS) {
            if let Some(shard) = self.shards.get(usize::from(partition.0) * SHARDS + walk.shard) {
                let mut shard = shard.lock();
                batch.beats.extend(shard.drain());
                shard.shrink_to(SPARE_BEATS);
            }
            walk.shard += 1;
            if walk.shard >= SHARDS {
                walk.shard = 0;
                batch.ends.extend(walk.left.pop_front());
            }
        }
        batch
    }

    /// Keeps what was under way and has not arrived, unless the merchant has beaten again since.
    fn put_back(&self, merchant: MerchantId, at_ms: u64) {
        match self.shard_of(merchant).lock().entry(merchant) {
            Entry::Occupied(mut kept) => {
                let latest = at_ms.max(*kept.get());
                kept.insert(latest);
                self.size.fetch_sub(1, Ordering::Relaxed);
            }
            Entry::Vacant(free) => {
                free.insert(at_ms);
            }
        }
    }

    fn partition_of(&self, merchant: MerchantId) -> PartitionId {
        RoutingHash::of(merchant).partition(self.partitions)
    }

    fn shard_of(&self, merchant: MerchantId) -> &Mutex<HashMap<MerchantId, u64>> {
        let hash = RoutingHash::of(merchant);
        let partition = usize::from(hash.partition(self.partitions).0);
        // What the partition has left of the hash.
        let shard = usize::from(hash.0) / usize::from(self.partitions.0.get()) % SHARDS;
        &self.shards[partition * SHARDS + shard]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU16;

    use proptest::prelude::*;

    use super::*;

    const PARTITIONS: PartitionCount = PartitionCount(NonZeroU16::new(4).unwrap());

    fn merchant(number: u32) -> MerchantId {
        MerchantId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn all() -> Vec<PartitionId> {
        PARTITIONS.iter().collect()
    }

    fn everything(kept: &KeptBeats) -> BTreeMap<MerchantId, u64> {
        let mut walk = Walk::over(&all());
        let mut found = BTreeMap::new();
        while !walk.is_over() {
            let batch = kept.take(&mut walk);
            found.extend(batch.beats().iter().copied());
            batch.taken_except(&BTreeSet::new());
        }
        found
    }

    #[derive(Debug, Clone)]
    enum Step {
        Keep(u32, u64),
        /// Takes a batch, in which these partitions are refused; or it does not arrive at all.
        Deliver(Option<BTreeSet<u16>>),
        /// Beats while a batch is under way that does not arrive.
        KeepMeanwhile(u32, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let beat = || (0u32..40, 0u64..1_000);
        prop_oneof![
            5 => beat().prop_map(|(merchant, at)| Step::Keep(merchant, at)),
            1 => prop::option::of(prop::collection::btree_set(0u16..4, 0..4)).prop_map(Step::Deliver),
            1 => beat().prop_map(|(merchant, at)| Step::KeepMeanwhile(merchant, at)),
        ]
    }

    proptest! {
        #[test]
        fn the_latest_beat_of_each_merchant_is_kept_until_it_is_taken(steps in prop::collection::vec(step(), 0..120)) {
            let kept = KeptBeats::new(PARTITIONS, 1_000);
            let mut expected: BTreeMap<MerchantId, u64> = BTreeMap::new();
            let beat = |kept: &KeptBeats, expected: &mut BTreeMap<MerchantId, u64>, number: u32, at: u64| {
                let latest = expected.entry(merchant(number)).or_default();
                *latest = at.max(*latest);
                kept.keep(merchant(number), at)
            };
            for step in steps {
                match step {
                    Step::Keep(number, at) => prop_assert!(beat(&kept, &mut expected, number, at)),
                    Step::Deliver(None) => drop(kept.take(&mut Walk::over(&all()))),
                    Step::Deliver(Some(refused)) => {
                        let refused: BTreeSet<PartitionId> = refused.into_iter().map(PartitionId).collect();
                        let batch = kept.take(&mut Walk::over(&all()));
                        prop_assert_eq!(&batch.ends, &all());
                        batch.taken_except(&refused);
                        expected.retain(|merchant, _| refused.contains(&kept.partition_of(*merchant)));
                    }
                    Step::KeepMeanwhile(number, at) => {
                        let batch = kept.take(&mut Walk::over(&all()));
                        prop_assert!(beat(&kept, &mut expected, number, at));
                        drop(batch);
                    }
                }
                prop_assert_eq!(kept.len(), expected.len());
            }
            prop_assert_eq!(everything(&kept), expected);
            prop_assert_eq!(kept.len(), 0);
        }
    }

    #[test]
    fn a_batch_is_bounded_and_says_what_it_ends() {
        let kept = KeptBeats::new(PARTITIONS, 100_000);
        (0..20_000).for_each(|number| assert!(kept.keep(merchant(number), 7)));
        let (mut walk, mut ended, mut batches) = (Walk::over(&all()), Vec::new(), 0);
        while !walk.is_over() {
            let batch = kept.take(&mut walk);
            assert!(batch.beats().len() < 2 * BATCH_BEATS, "{}", batch.beats().len());
            ended.extend(batch.ends.iter().copied());
            batch.taken_except(&BTreeSet::new());
            batches += 1;
        }
        assert_eq!((ended, kept.len()), (all(), 0));
        assert!((10..=20).contains(&batches), "{batches}");
    }

    #[test]
    fn the_rest_of_a_refused_partition_is_left_out() {
        let kept = KeptBeats::new(PARTITIONS, 100_000);
        (0..20_000).for_each(|number| assert!(kept.keep(merchant(number), 7)));
        let refused = BTreeSet::from([PartitionId(0), PartitionId(2)]);
        let mut walk = Walk::over(&all());
        kept.take(&mut walk).taken_except(&refused);
        walk.leave_out(&refused);
        let mut ended = Vec::new();
        while !walk.is_over() {
            let batch = kept.take(&mut walk);
            assert!(batch.beats().iter().all(|(merchant, _)| !refused.contains(&kept.partition_of(*merchant))));
            ended.extend(batch.ends.iter().copied());
            batch.taken_except(&refused);
        }
        assert_eq!(ended, [PartitionId(1), PartitionId(3)]);
        let of_refused = (0..20_000).filter(|number| refused.contains(&kept.partition_of(merchant(*number)))).count();
        assert_eq!(kept.len(), of_refused);
    }
}
