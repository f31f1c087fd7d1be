//! The beats of one partition at its leader: one number per merchant, swept by a linear scan.
//!
//! Indexes are those of the replicated state. `last[index]` is the hearing time of the latest beat. A sweep compares it
//! with a limit for 64 merchants at a time and looks only at the words in which something differs from the online
//! bitmap: 0.4 ns a merchant, where walking a hash map took 28 times that (GRID.md, section 5).

use std::sync::atomic::{AtomicU32, Ordering};

use super::presence_clock::Tenths;

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
    last: Vec<AtomicU32>,
    beaten: Vec<AtomicU32>,
    online: Vec<u64>,
}

impl BeatBoard {
    /// A board with room for `merchants`.
    pub fn with_capacity(merchants: usize) -> Self {
        Self {
            last: Vec::with_capacity(merchants),
            beaten: Vec::with_capacity(merchants.div_ceil(32)),
            online: Vec::with_capacity(merchants.div_ceil(64)),
        }
    }

    /// Gives the next merchant a place, last heard at `last`.
    pub fn push(&mut self, last: Tenths, online: bool) {
        let index = self.last.len();
        self.last.push(AtomicU32::new(last));
        if index.is_multiple_of(32) {
            self.beaten.push(AtomicU32::new(0));
        }
        if index.is_multiple_of(64) {
            self.online.push(0);
        }
        self.online[index / 64] |= u64::from(online) << (index % 64);
    }

    /// Records a beat; an older one than known changes nothing. Needs no exclusive access. `false`: there is no such place.
    pub fn beat(&self, index: u32, at: Tenths) -> bool {
        let place = index as usize;
        let Some(last) = self.last.get(place) else { return false };
        last.fetch_max(at, Ordering::Relaxed);
        // Whoever takes this bit must see that beat.
        self.beaten[place / 32].fetch_or(1 << (place % 32), Ordering::Release);
        true
    }

    /// When `index` was last heard; 0 when never.
    pub fn last_beat(&self, index: u32) -> Tenths {
        self.last.get(index as usize).map_or(0, |last| last.load(Ordering::Relaxed))
    }

    /// Records whether `index` is online.
    pub fn set_online(&mut self, index: u32, online: bool) {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if let Some(word) = self.online.get_mut(word) {
            if online { *word |= bit } else { *word &= !bit }
        }
    }

    /// How many are recorded online.
    pub fn online_count(&self) -> usize {
        self.online.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many have a place.
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// The bytes it takes.
    pub fn bytes(&self) -> usize {
        (self.last.capacity() + self.beaten.capacity()) * size_of::<u32>() + self.online.capacity() * size_of::<u64>()
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
                #[expect(clippy::cast_possible_truncation, reason = "the state hands out indexes of 32 bits")]
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

    /// Takes who has beaten since the last call, in order, with the hearing time of the beat: the delta to replicate.
    pub fn take_beaten(&self) -> Vec<(u32, Tenths)> {
        let mut taken = Vec::new();
        for (word, bits) in self.beaten.iter().enumerate() {
            let mut bits = bits.swap(0, Ordering::Acquire);
            while bits != 0 {
                #[expect(clippy::cast_possible_truncation, reason = "the state hands out indexes of 32 bits")]
                let index = (word * 32) as u32 + bits.trailing_zeros();
                taken.push((index, self.last_beat(index)));
                bits &= bits - 1;
            }
        }
        taken
    }

    /// Puts back what was taken and not replicated.
    pub fn put_back(&self, taken: &[(u32, Tenths)]) {
        for &(index, at) in taken {
            self.beat(index, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn board(merchants: usize) -> BeatBoard {
        let mut board = BeatBoard::with_capacity(merchants);
        (0..merchants).for_each(|_| board.push(0, false));
        board
    }

    proptest! {
        #[test]
        fn a_sweep_finds_exactly_who_differs(beats in prop::collection::vec((0u32..300, 1u32..1000), 0..600), online in prop::collection::btree_set(0u32..300, 0..200), limit in 0u32..1000) {
            let mut board = board(300);
            let mut latest = [0u32; 300];
            for (number, at) in beats {
                prop_assert!(board.beat(number, at));
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
    fn the_delta_names_each_beater_once_and_again_when_it_was_put_back() {
        let board = board(70);
        board.beat(3, 10);
        board.beat(3, 12);
        board.beat(69, 11);
        assert!(!board.beat(70, 11), "nobody has that place");
        let taken = board.take_beaten();
        assert_eq!(taken, [(3, 12), (69, 11)]);
        assert_eq!(board.take_beaten(), []);
        board.beat(3, 14);
        board.put_back(&taken);
        assert_eq!(board.take_beaten(), [(3, 14), (69, 11)]);
    }

    #[test]
    fn a_merchant_costs_little_more_than_its_number() {
        let bytes = board(1 << 16).bytes();
        assert!(bytes <= (1 << 16) * 17 / 4, "{bytes}");
    }
}
