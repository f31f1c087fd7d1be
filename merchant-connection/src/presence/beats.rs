//! The beats of one partition: one number per merchant, swept by a linear scan.
//!
//! `last[index]` is the hearing time of the latest beat. A sweep compares it with a limit for 64 merchants at a time
//! and looks only at the words in which something differs from the online bitmap: 0.4 ns a merchant, where walking a
//! hash map took 28 times that (GRID.md, section 5).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use order_model::MerchantId;

use super::presence_clock::Tenths;

/// The most merchants of one partition; beyond it a beat is dropped and counted. 33 MiB at the most.
pub const MERCHANTS_MAX: usize = 8 * 1024 * 1024;

/// Whose silence or voice differs from what is recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Recorded OFFLINE, and heard.
    pub heard: Vec<u32>,
    /// Recorded ONLINE, and silent for too long.
    pub silent: Vec<u32>,
}

/// The beats and the online bitmap of one partition.
#[derive(Debug, Default)]
pub struct BeatBoard {
    index_of: HashMap<MerchantId, u32>,
    merchants: Vec<MerchantId>,
    last: Vec<AtomicU32>,
    beaten: Vec<AtomicU32>,
    online: Vec<u64>,
}

impl BeatBoard {
    /// Where `merchant` stands, if it was ever seen.
    pub fn index(&self, merchant: MerchantId) -> Option<u32> {
        self.index_of.get(&merchant).copied()
    }

    /// Gives `merchant` a place; `None` when the board is full.
    pub fn intern(&mut self, merchant: MerchantId) -> Option<u32> {
        if let Some(index) = self.index(merchant) {
            return Some(index);
        }
        let index = u32::try_from(self.merchants.len()).ok().filter(|index| (*index as usize) < MERCHANTS_MAX)?;
        self.index_of.insert(merchant, index);
        self.merchants.push(merchant);
        self.last.push(AtomicU32::new(0));
        if index.is_multiple_of(64) {
            self.online.push(0);
            self.beaten.push(AtomicU32::new(0));
            self.beaten.push(AtomicU32::new(0));
        }
        Some(index)
    }

    /// Records a beat; an older one than known changes nothing. Needs no exclusive access.
    pub fn beat(&self, index: u32, at: Tenths) {
        let place = index as usize;
        self.last[place].fetch_max(at, Ordering::Relaxed);
        // Whoever takes this bit must see that beat.
        self.beaten[place / 32].fetch_or(1 << (place % 32), Ordering::Release);
    }

    /// When `index` was last heard.
    pub fn last_beat(&self, index: u32) -> Tenths {
        self.last[index as usize].load(Ordering::Relaxed)
    }

    /// Who stands at `index`.
    pub fn merchant(&self, index: u32) -> MerchantId {
        self.merchants[index as usize]
    }

    /// Records whether `index` is online.
    pub fn set_online(&mut self, index: u32, online: bool) {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if online { self.online[word] |= bit } else { self.online[word] &= !bit }
    }

    /// How many are recorded online.
    pub fn online_count(&self) -> usize {
        self.online.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many have a place.
    pub fn len(&self) -> usize {
        self.merchants.len()
    }

    /// Whether nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.merchants.is_empty()
    }

    /// Who differs from the bitmap when everyone heard after `limit` is online.
    pub fn sweep(&self, limit: Tenths) -> Silence {
        let mut silence = Silence::default();
        for (word, chunk) in self.last.chunks(64).enumerate() {
            let mut bits = 0u64;
            for (bit, last) in chunk.iter().enumerate() {
                bits |= u64::from(last.load(Ordering::Relaxed) > limit) << bit;
            }
            let mut differing = self.online[word] ^ bits;
            while differing != 0 {
                let bit = differing.trailing_zeros();
                #[expect(clippy::cast_possible_truncation, reason = "an index is below MERCHANTS_MAX")]
                let index = (word * 64) as u32 + bit;
                let heard = bits >> bit & 1 == 1;
                if heard {
                    silence.heard.push(index)
                } else {
                    silence.silent.push(index)
                }
                differing &= differing - 1;
            }
        }
        silence
    }

    /// Takes who has beaten since the last call, with the hearing time of the beat: the delta that is replicated.
    pub fn take_beaten(&self) -> Vec<(MerchantId, Tenths)> {
        let mut taken = Vec::new();
        for (word, bits) in self.beaten.iter().enumerate() {
            let mut bits = bits.swap(0, Ordering::Acquire);
            while bits != 0 {
                let place = word * 32 + bits.trailing_zeros() as usize;
                taken.push((self.merchants[place], self.last[place].load(Ordering::Relaxed)));
                bits &= bits - 1;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn merchant(number: u32) -> MerchantId {
        MerchantId::from_bytes(u128::from(number).to_be_bytes())
    }

    proptest! {
        #[test]
        fn a_sweep_finds_exactly_who_differs(beats in prop::collection::vec((0u32..300, 1u32..1000), 0..600), online in prop::collection::btree_set(0u32..300, 0..200), limit in 0u32..1000) {
            let mut board = BeatBoard::default();
            for number in 0..300 {
                board.intern(merchant(number)).unwrap();
            }
            let mut latest = [0u32; 300];
            for (number, at) in beats {
                board.beat(number, at);
                latest[number as usize] = latest[number as usize].max(at);
            }
            for &number in &online {
                board.set_online(number, true);
            }
            let silence = board.sweep(limit);
            let heard: BTreeSet<u32> = silence.heard.into_iter().collect();
            let silent: BTreeSet<u32> = silence.silent.into_iter().collect();
            for number in 0..300u32 {
                let is_heard = latest[number as usize] > limit;
                prop_assert_eq!(heard.contains(&number), is_heard && !online.contains(&number));
                prop_assert_eq!(silent.contains(&number), !is_heard && online.contains(&number));
            }
            prop_assert_eq!(board.online_count(), online.len());
        }
    }

    #[test]
    fn the_delta_names_each_beater_once() {
        let mut board = BeatBoard::default();
        for number in 0..70 {
            board.intern(merchant(number)).unwrap();
        }
        board.beat(3, 10);
        board.beat(3, 12);
        board.beat(69, 11);
        assert_eq!(board.take_beaten(), [(merchant(3), 12), (merchant(69), 11)]);
        assert_eq!(board.take_beaten(), []);
    }
}
