//! The fence protocol by properties: a leader, a store and several acknowledgments in a small world of random schedules.
//!
//! The claim: from the moment an acknowledgment was granted without the leader, no leader serves that has not applied it.
//! The leader here follows the other half of the protocol as order-events must; messages take any time to arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use order_model::PartitionId;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::feed::fence::{
    FENCE, FenceChange, FenceState, FenceStep, FencedWrite, STORE_CLOCK_MARGIN, Sighting, next_step,
};

const PARTITION: PartitionId = PartitionId(0);
const LEADER_SERVES_FOR_MS: u64 = 3_000;
const ACKNOWLEDGMENTS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Move {
    Pass { ms: u64 },
    Leader,
    Acknowledgment { index: usize, clock_overstates_ms: u64 },
}

fn moves(clock_overstates_max_ms: u64) -> impl Strategy<Value = Vec<Move>> {
    let some_move = prop_oneof![
        2 => (0u64..1_200).prop_map(|ms| Move::Pass { ms }),
        3 => Just(Move::Leader),
        4 => (0..ACKNOWLEDGMENTS, 0..=clock_overstates_max_ms).prop_map(|(index, clock_overstates_ms)| Move::Acknowledgment { index, clock_overstates_ms }),
    ];
    proptest::collection::vec(some_move, 1..250)
}

#[derive(Debug, Clone, Copy, Default)]
struct StoredFence {
    epoch: u64,
    raised_at_ms: Option<u64>,
}

/// What the leader does next.
#[derive(Debug, Clone, Copy)]
enum Leader {
    Idle,
    Reading { started_ms: u64 },
    Read { started_ms: u64, seen: StoredFence },
    Lowering { epoch: u64 },
    ReadingLog { lowered_ms: u64 },
    Applying { lowered_ms: u64 },
}

/// How far one acknowledgment has come.
#[derive(Debug, Clone)]
enum Progress {
    Start,
    /// Its entry is in the log; the reading that follows the write is to be taken.
    Written {
        started_ms: u64,
    },
    /// The reading was taken and is on its way.
    WriteAnswered {
        started_ms: u64,
        seen: StoredFence,
    },
    Deciding {
        write: FencedWrite,
    },
    Raised {
        write: FencedWrite,
        started_ms: u64,
        seen: StoredFence,
    },
    Reading {
        write: FencedWrite,
        started_ms: u64,
    },
    ReadAnswered {
        write: FencedWrite,
        started_ms: u64,
        seen: StoredFence,
    },
    Granted,
    GivenUp,
}

/// A leader that breaks its half of the protocol, to prove that the property notices.
#[derive(Debug, Clone, Copy)]
struct LeaderRules {
    serves_for_ms: u64,
    reads_the_log: bool,
}

const RULES: LeaderRules = LeaderRules { serves_for_ms: LEADER_SERVES_FOR_MS, reads_the_log: true };

struct World {
    rules: LeaderRules,
    now_ms: u64,
    fence: StoredFence,
    log: BTreeSet<usize>,
    leader: Leader,
    log_read: BTreeSet<usize>,
    applied: BTreeSet<usize>,
    /// Until when the leader serves.
    serves_until_ms: u64,
    board: FenceState,
    acknowledgments: Vec<Progress>,
    granted: BTreeSet<usize>,
    served_after_a_grant: bool,
}

impl World {
    fn new(rules: LeaderRules) -> Self {
        Self {
            rules,
            now_ms: 10_000,
            fence: StoredFence::default(),
            log: BTreeSet::new(),
            leader: Leader::Idle,
            log_read: BTreeSet::new(),
            applied: BTreeSet::new(),
            serves_until_ms: 12_000,
            board: FenceState::Unknown,
            acknowledgments: vec![Progress::Start; ACKNOWLEDGMENTS],
            granted: BTreeSet::new(),
            served_after_a_grant: false,
        }
    }

    fn step(&mut self, next: Move) {
        match next {
            Move::Pass { ms } => self.now_ms += ms,
            Move::Leader => self.step_leader(),
            Move::Acknowledgment { index, clock_overstates_ms } => self.step_acknowledgment(index, clock_overstates_ms),
        }
    }

    fn step_leader(&mut self) {
        self.leader = match self.leader {
            Leader::Idle => Leader::Reading { started_ms: self.now_ms },
            Leader::Reading { started_ms } => Leader::Read { started_ms, seen: self.fence },
            Leader::Read { started_ms, seen } if seen.raised_at_ms.is_none() => {
                self.serves_until_ms = self.serves_until_ms.max(started_ms + self.rules.serves_for_ms);
                Leader::Idle
            }
            Leader::Read { seen, .. } => {
                self.serves_until_ms = 0;
                Leader::Lowering { epoch: seen.epoch }
            }
            Leader::Lowering { epoch } => {
                if self.fence.epoch == epoch {
                    self.fence.raised_at_ms = None;
                }
                Leader::ReadingLog { lowered_ms: self.now_ms }
            }
            Leader::ReadingLog { lowered_ms } => {
                if self.rules.reads_the_log {
                    self.log_read = self.log.clone();
                }
                Leader::Applying { lowered_ms }
            }
            Leader::Applying { lowered_ms } => {
                self.applied.extend(&self.log_read);
                self.serves_until_ms = lowered_ms + self.rules.serves_for_ms;
                Leader::Idle
            }
        };
    }

    fn step_acknowledgment(&mut self, index: usize, clock_overstates_ms: u64) {
        let progress = std::mem::replace(&mut self.acknowledgments[index], Progress::Start);
        self.acknowledgments[index] = match progress {
            Progress::Start => {
                self.log.insert(index);
                Progress::Written { started_ms: self.now_ms }
            }
            Progress::Written { started_ms } => Progress::WriteAnswered { started_ms, seen: self.fence },
            Progress::WriteAnswered { started_ms, seen } => {
                let sighting = self.sighting(started_ms, seen, clock_overstates_ms);
                Progress::Deciding { write: FencedWrite::after_write(&sighting) }
            }
            Progress::Deciding { mut write } => self.decide(index, &mut write),
            Progress::Raised { write, started_ms, seen } | Progress::ReadAnswered { write, started_ms, seen } => {
                self.sighting(started_ms, seen, clock_overstates_ms);
                Progress::Deciding { write }
            }
            Progress::Reading { write, started_ms } => Progress::ReadAnswered { write, started_ms, seen: self.fence },
            Progress::Granted => Progress::Granted,
            Progress::GivenUp => Progress::GivenUp,
        };
    }

    fn decide(&mut self, index: usize, write: &mut FencedWrite) -> Progress {
        write.learn(&self.board);
        let now = Duration::from_millis(self.now_ms);
        match next_step(std::slice::from_mut(write), now) {
            FenceStep::Raise(fences) => {
                assert_eq!(fences[0].0, PARTITION);
                if self.fence.raised_at_ms.is_none() {
                    self.fence = StoredFence { epoch: self.fence.epoch + 1, raised_at_ms: Some(self.now_ms) };
                }
                Progress::Raised { write: *write, started_ms: self.now_ms, seen: self.fence }
            }
            FenceStep::WaitUntil(instant) => {
                assert!(instant > now);
                Progress::Deciding { write: *write }
            }
            FenceStep::Read { not_before } => {
                assert!(not_before <= now);
                Progress::Reading { write: *write, started_ms: self.now_ms }
            }
            FenceStep::Granted => {
                self.granted.insert(index);
                Progress::Granted
            }
            FenceStep::GiveUp => Progress::GivenUp,
        }
    }

    /// A reading as it arrives now: the store's clock may overstate how long the fence has been raised.
    fn sighting(&mut self, started_ms: u64, seen: StoredFence, clock_overstates_ms: u64) -> Sighting {
        // The store computed it when the reading was taken, which is not recorded: its start understates, fairly.
        let raised_for_ms =
            seen.raised_at_ms.map_or(0, |raised_at_ms| started_ms.saturating_sub(raised_at_ms) + clock_overstates_ms);
        let sighting = Sighting {
            partition: PARTITION,
            epoch: seen.epoch,
            raised: seen.raised_at_ms.is_some(),
            raised_for: Duration::from_millis(raised_for_ms),
            started_at: Duration::from_millis(started_ms),
            received_at: Duration::from_millis(self.now_ms),
        };
        self.board = self.board.learn(&sighting).0;
        sighting
    }

    fn is_serving(&self) -> bool {
        self.now_ms < self.serves_until_ms
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        if self.is_serving() {
            let forgotten: Vec<&usize> = self.granted.difference(&self.applied).collect();
            prop_assert!(forgotten.is_empty(), "the leader serves without {:?}", forgotten);
            self.served_after_a_grant |= !self.granted.is_empty();
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_granted_is_applied_by_whoever_serves(moves in moves(2_000)) {
        let mut world = World::new(RULES);
        for next in moves {
            world.step(next);
            world.check()?;
        }
    }

    /// With a leader that stays away every acknowledgment is granted, and soon: nothing waits for ever.
    #[test]
    fn every_acknowledgment_is_granted_while_the_store_answers(moves in moves(2_000)) {
        let mut world = World::new(RULES);
        for next in moves.into_iter().filter(|next| !matches!(next, Move::Leader)) {
            world.step(next);
        }
        for _ in 0..10 {
            world.step(Move::Pass { ms: 1_000 });
            for index in 0..ACKNOWLEDGMENTS {
                (0..4).for_each(|_| world.step(Move::Acknowledgment { index, clock_overstates_ms: 0 }));
            }
        }
        prop_assert_eq!(world.granted.len(), ACKNOWLEDGMENTS);
    }
}

/// Whether random schedules show a leader of these `rules` serving without a granted acknowledgment.
fn is_noticed(rules: LeaderRules, clock_overstates_max_ms: u64) -> bool {
    let config = ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let holds = runner.run(&moves(clock_overstates_max_ms), |moves| {
        let mut world = World::new(rules);
        for next in moves {
            world.step(next);
            world.check()?;
        }
        Ok(())
    });
    holds.is_err()
}

#[test]
fn the_property_notices_whatever_breaks_the_protocol() {
    assert!(!is_noticed(RULES, 2_000));
    assert!(is_noticed(LeaderRules { serves_for_ms: 4_500, ..RULES }, 2_000), "a wait that is too short");
    assert!(is_noticed(LeaderRules { reads_the_log: false, ..RULES }, 2_000), "a log that is not read");
    assert!(is_noticed(RULES, 6_000), "a store's clock that is trusted too far");
}

/// The properties above say something: in a plain course of events there are grants, and a leader that serves after them.
#[test]
fn the_world_is_not_vacuous() {
    let mut world = World::new(RULES);
    for round in 0..40 {
        world.step(Move::Pass { ms: 400 });
        for index in 0..ACKNOWLEDGMENTS {
            world.step(Move::Acknowledgment { index, clock_overstates_ms: 0 });
        }
        if round > 12 {
            (0..3).for_each(|_| world.step(Move::Leader));
        }
        world.check().unwrap();
    }
    assert_eq!(world.granted.len(), ACKNOWLEDGMENTS);
    assert!(world.served_after_a_grant);
}

fn sighting(epoch: u64, raised: bool, raised_for_ms: u64, at_ms: u64) -> Sighting {
    Sighting {
        partition: PARTITION,
        epoch,
        raised,
        raised_for: Duration::from_millis(raised_for_ms),
        started_at: Duration::from_millis(at_ms),
        received_at: Duration::from_millis(at_ms),
    }
}

#[test]
fn what_is_known_of_a_fence_survives_replies_that_overtake_one_another() {
    let (state, change) = FenceState::Unknown.learn(&sighting(1, true, 0, 1_000));
    assert_eq!(change, FenceChange::Raised);
    let (state, change) = state.learn(&sighting(1, false, 0, 3_000));
    assert_eq!(change, FenceChange::Lowered);
    assert_eq!(
        state.learn(&sighting(1, true, 0, 2_000)),
        (state, FenceChange::None),
        "an older reply of the same epoch"
    );
    assert_eq!(state.learn(&sighting(0, false, 0, 4_000)), (state, FenceChange::None), "an older epoch");
    let (state, change) = state.learn(&sighting(2, true, 9_000, 20_000));
    assert_eq!(change, FenceChange::Raised);
    let raised_by = Duration::from_millis(20_000 - 9_000) + STORE_CLOCK_MARGIN;
    assert!(matches!(state, FenceState::Known { epoch: 2, raised: true, raised_by: known, .. } if known == raised_by));
}

#[test]
fn a_fence_that_has_long_been_raised_is_not_waited_for() {
    let long = FENCE + STORE_CLOCK_MARGIN;
    let mut writes = [FencedWrite::after_write(&sighting(5, true, long.as_millis() as u64, 50_000))];
    assert_eq!(next_step(&mut writes, Duration::from_millis(50_000)), FenceStep::Granted);
}

#[test]
fn a_store_that_does_not_keep_what_it_was_told_is_given_up() {
    let mut writes = [FencedWrite::after_write(&sighting(5, false, 0, 50_000))];
    let now = Duration::from_millis(50_000);
    let raises = (0..10).take_while(|_| matches!(next_step(&mut writes, now), FenceStep::Raise(_))).count();
    assert_eq!(raises, 5);
    assert_eq!(next_step(&mut writes, now), FenceStep::GiveUp);
}
