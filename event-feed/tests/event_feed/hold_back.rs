//! The compact track knows exactly what a set of sequences knows.

use std::collections::BTreeSet;

use event_feed::SequenceTrack;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_track_equals_the_set_of_what_was_seen(seen in prop::collection::vec(1u32..20, 0..30), asked in 1u32..25) {
        let mut track = SequenceTrack::default();
        seen.iter().for_each(|sequence| track.record(*sequence));
        let set: BTreeSet<u32> = seen.into_iter().collect();
        let missing = (1..asked).any(|lower| !set.contains(&lower));
        prop_assert_eq!(track.lower_is_missing(asked), missing);
        let top = set.last().copied().unwrap_or(0);
        let expected: Vec<u32> = (1..top).filter(|sequence| !set.contains(sequence)).collect();
        let reported: Vec<u32> = track.gaps().into_iter().flatten().collect();
        prop_assert_eq!(reported, expected);
        let copy = SequenceTrack::from_parts(track.complete_through(), track.beyond().to_vec());
        prop_assert_eq!(copy, track);
    }
}
