//! Bytes that were cut, flipped, repeated, or that claim lengths and numbers at the ends of their range.

use proptest::prelude::*;
use proptest::sample::Index;

/// The longest run of arbitrary bytes.
const ANY_BYTES_MAX: usize = 256;
/// The most that is wrong with one message.
const DAMAGES_MAX: usize = 3;
/// The longest stretch that is repeated or left out.
const STRETCH_BYTES_MAX: usize = 64;

/// Numbers as somebody else might write them into a field of 1, 2, 4 or 8 bytes, in either order of bytes.
const EXTREMES: [&[u8]; 9] = [
    &[0; 8],
    &[0xff; 8],
    &[0xff; 4],
    &[0xff],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x80, 0, 0, 0],
    &[0, 0, 0, 1],
];

/// One thing that is wrong.
#[derive(Debug, Clone)]
enum Damage {
    /// Nothing stands from here on.
    Cut(Index),
    /// One bit is another.
    Flip(Index, u8),
    /// A number at an end of its range stands here.
    Extreme(Index, Index),
    /// A stretch is left out.
    Without(Index, usize),
    /// A stretch comes twice.
    Twice(Index, usize),
    /// Something else stands in between.
    Inserted(Index, Vec<u8>),
    /// Something follows.
    Longer(Vec<u8>),
}

/// Any bytes at all.
pub fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..ANY_BYTES_MAX)
}

/// `valid` with up to three things wrong.
pub fn bytes_of(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(damage(), 0..=DAMAGES_MAX).prop_map(move |damages| damaged(valid.clone(), &damages))
}

/// Any bytes, or one of `valid` with up to three things wrong.
pub fn bytes_near(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let of_one = (any::<Index>(), prop::collection::vec(damage(), 0..=DAMAGES_MAX))
        .prop_map(move |(which, damages)| damaged(which.get(&valid).clone(), &damages));
    prop_oneof![1 => any_bytes(), 7 => of_one]
}

fn damage() -> impl Strategy<Value = Damage> {
    let some = || prop::collection::vec(any::<u8>(), 1..20);
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, which)| Damage::Extreme(at, which)),
        (any::<Index>(), 1..STRETCH_BYTES_MAX).prop_map(|(at, bytes)| Damage::Without(at, bytes)),
        (any::<Index>(), 1..STRETCH_BYTES_MAX).prop_map(|(at, bytes)| Damage::Twice(at, bytes)),
        (any::<Index>(), some()).prop_map(|(at, bytes)| Damage::Inserted(at, bytes)),
        some().prop_map(Damage::Longer),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        // A place may be the end.
        let place = |at: &Index| at.index(bytes.len() + 1);
        match damage {
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Damage::Extreme(at, which) => {
                let at = place(at);
                bytes.iter_mut().skip(at).zip(*which.get(&EXTREMES)).for_each(|(byte, extreme)| *byte = *extreme);
            }
            Damage::Without(at, length) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Damage::Twice(at, length) => {
                let at = place(at);
                let stretch = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, stretch);
            }
            Damage::Inserted(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Longer(more) => bytes.extend(more),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn some_are_as_they_were_and_others_longer_shorter_and_different() {
        let valid: Vec<u8> = (0..100).collect();
        let mut runner = TestRunner::deterministic();
        let strategy = bytes_of(valid.clone());
        let seen: Vec<Vec<u8>> = (0..500).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        assert!(seen.contains(&valid));
        for is in [usize::lt, usize::gt] {
            assert!(seen.iter().any(|bytes| is(&bytes.len(), &valid.len())));
        }
        assert!(seen.iter().any(|bytes| bytes.len() == valid.len() && *bytes != valid));
        assert!(damaged(Vec::new(), &[Damage::Twice(index(), 5), Damage::Flip(index(), 1)]).is_empty());
    }

    fn index() -> Index {
        any::<Index>().new_tree(&mut TestRunner::deterministic()).unwrap().current()
    }
}
