//! One number from which everything random in a run follows.
//!
//! Each subject draws from a stream of its own, named, so that a change in one does not shift the others.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The seed of a run, as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream called `name`.
    pub fn stream(self, name: &str) -> StdRng {
        StdRng::seed_from_u64(self.number(name))
    }

    /// One number under `name`, e.g. to seed something that takes a number.
    pub fn number(self, name: &str) -> u64 {
        // FNV-1a over the name, mixed with the seed: neighbouring seeds and similar names give unrelated streams.
        let named = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        mixed(named ^ mixed(self.0))
    }
}

fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_stream_repeats_and_differs_from_the_others() {
        let draw = |seed, name: &str| Seed(seed).stream(name).random::<u64>();
        assert_eq!(draw(1, "faults"), draw(1, "faults"));
        assert_ne!(draw(1, "faults"), draw(1, "workload"));
        assert_ne!(draw(1, "faults"), draw(2, "faults"));
    }
}
