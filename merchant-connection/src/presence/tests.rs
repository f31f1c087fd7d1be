//! An ideal observer watches the sweep: an OFFLINE needs a silence that could have been heard.
//!
//! A small world in steps of 100 ms: merchants poll, a kitchen-api passes their beats on twice a second, our process
//! pauses, the link to it breaks, merchants fall silent for real, alone or together. The observer keeps a stopwatch for
//! each merchant that runs only while somebody could have been heard; it shares no arithmetic with what it watches.

use std::time::Duration;

use proptest::prelude::*;

use super::presence_clock::is_hearing;
use super::{BeatBoard, Brake, PresenceClock, SweepFigures};

const STEP_MS: u64 = 100;
const SWEEP_MS: u64 = 500;
const FLUSH_MS: u64 = 500;
const OFFLINE_AFTER_MS: u64 = 8_000;
/// A quarter of the offline period.
const HEARING_MS: u64 = 2_000;
const START: Duration = Duration::from_secs(3_600);

/// What happens next, in steps.
#[derive(Debug, Clone)]
enum Act {
    /// Nothing special.
    Pass(u64),
    /// Our process stands still; kitchen-api keeps what it hears.
    Pause(u64),
    /// No call of kitchen-api arrives, while we sweep on; it keeps what it hears.
    Deaf(u64),
    /// No POS reaches kitchen-api, which calls all the same.
    Unreachable(u64),
    /// This merchant stops polling, or starts again.
    Toggle(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u64..120).prop_map(Act::Pass),
        1 => (1u64..300).prop_map(Act::Pause),
        2 => (1u64..300).prop_map(Act::Deaf),
        1 => (1u64..200).prop_map(Act::Unreachable),
        4 => (0usize..200).prop_map(Act::Toggle),
    ]
}

/// The pure parts, put together as the sweeper does.
struct Judge {
    clock: PresenceClock,
    board: BeatBoard,
    brake: Brake,
    heard_at_ms: u64,
    beats: u64,
}

impl Judge {
    fn new(merchants: u32) -> Self {
        let mut board = BeatBoard::default();
        (0..merchants).for_each(|_| board.push(0, false));
        let (sweep, offline_after) = (Duration::from_millis(SWEEP_MS), Duration::from_millis(OFFLINE_AFTER_MS));
        let clock = PresenceClock::new(sweep, Duration::ZERO, START);
        Self { clock, board, brake: Brake::new(offline_after, sweep), heard_at_ms: 0, beats: 0 }
    }

    fn take(&mut self, now_ms: u64, beats: &[(u32, u64)]) {
        let now = self.clock.at(Duration::from_millis(now_ms));
        for (merchant, age_ms) in beats {
            self.board.beat(*merchant, now.saturating_sub(u32::try_from(age_ms / 100).unwrap()).max(1));
        }
        self.heard_at_ms = now_ms;
        self.beats += beats.len() as u64;
    }

    /// Who changes, and whether the brake let it.
    fn sweep(&mut self, now_ms: u64) -> (Vec<u32>, Vec<u32>, bool) {
        let now = Duration::from_millis(now_ms);
        let offline_after = Duration::from_millis(OFFLINE_AFTER_MS);
        self.clock.tick(now, is_hearing(now - Duration::from_millis(self.heard_at_ms), offline_after));
        let silence = self.board.sweep(self.clock.now() - u32::try_from(OFFLINE_AFTER_MS / 100).unwrap());
        let online = self.board.online_count();
        let beats_of_all = std::mem::take(&mut self.beats);
        let online_of_all = online + silence.heard.len();
        let figures = SweepFigures { online, silent: silence.silent.len(), beats_of_all, online_of_all };
        let allowed = self.brake.judge(now, figures).allows_offline();
        let silent = if allowed { silence.silent } else { Vec::new() };
        silence.heard.iter().for_each(|index| self.board.set_online(*index, true));
        silent.iter().for_each(|index| self.board.set_online(*index, false));
        (silence.heard, silent, allowed)
    }
}

/// The observer's view of one merchant.
#[derive(Clone)]
struct Watched {
    polls: bool,
    period_ms: u64,
    /// When its beat was made that kitchen-api holds.
    kept_at_ms: Option<u64>,
    /// The stopwatch; `None`: never heard.
    silent_ms: Option<u64>,
    online: bool,
    /// Times at which hearing ended or came back since its last beat; each may cost a sweep of precision.
    edges: u64,
}

struct World {
    now_ms: u64,
    last_call_ms: u64,
    last_sweep_ms: u64,
    judge: Judge,
    merchants: Vec<Watched>,
}

impl World {
    fn new(merchants: u32) -> Self {
        let watched = |number: u64| Watched {
            polls: true,
            period_ms: 500 + number % 20 * 100,
            kept_at_ms: None,
            silent_ms: None,
            online: false,
            edges: 0,
        };
        let merchants_watched = (0..u64::from(merchants)).map(watched).collect();
        Self {
            now_ms: 0,
            last_call_ms: 0,
            last_sweep_ms: 0,
            judge: Judge::new(merchants),
            merchants: merchants_watched,
        }
    }

    fn run(&mut self, act: &Act) -> Result<(), TestCaseError> {
        let (steps, runs, linked, reachable) = match *act {
            Act::Pass(steps) => (steps, true, true, true),
            Act::Pause(steps) => (steps, false, false, true),
            Act::Deaf(steps) => (steps, true, false, true),
            Act::Unreachable(steps) => (steps, true, true, false),
            Act::Toggle(place) => {
                let place = place % self.merchants.len();
                self.merchants[place].polls ^= true;
                return Ok(());
            }
        };
        self.merchants.iter_mut().for_each(|merchant| merchant.edges += 1);
        for _ in 0..steps {
            self.step(runs, linked, reachable)?;
        }
        Ok(())
    }

    fn step(&mut self, runs: bool, linked: bool, reachable: bool) -> Result<(), TestCaseError> {
        self.now_ms += STEP_MS;
        let now_ms = self.now_ms;
        // Somebody could be heard: we run, or have not stood still for two sweeps, and were called a short while ago.
        let hears = now_ms - self.last_sweep_ms <= 2 * SWEEP_MS && now_ms - self.last_call_ms <= HEARING_MS + SWEEP_MS;
        for merchant in &mut self.merchants {
            if merchant.polls && reachable && now_ms.is_multiple_of(merchant.period_ms) {
                merchant.kept_at_ms = Some(now_ms);
            }
            if hears {
                merchant.silent_ms = merchant.silent_ms.map(|silent_ms| silent_ms + STEP_MS);
            }
        }
        if runs && linked && now_ms.is_multiple_of(FLUSH_MS) {
            self.flush();
        }
        if runs && now_ms.is_multiple_of(SWEEP_MS) { self.sweep() } else { Ok(()) }
    }

    fn flush(&mut self) {
        let mut beats = Vec::new();
        for (number, merchant) in (0..).zip(&mut self.merchants) {
            if let Some(made_at_ms) = merchant.kept_at_ms.take() {
                let age_ms = self.now_ms - made_at_ms;
                beats.push((number, age_ms));
                let earlier = merchant.silent_ms.unwrap_or(u64::MAX);
                merchant.silent_ms = Some(earlier.min(age_ms));
                if age_ms < earlier {
                    merchant.edges = 0;
                }
            }
        }
        self.judge.take(self.now_ms, &beats);
        self.last_call_ms = self.now_ms;
    }

    fn sweep(&mut self) -> Result<(), TestCaseError> {
        self.last_sweep_ms = self.now_ms;
        let (heard, silent, allowed) = self.judge.sweep(self.now_ms);
        for number in heard {
            let merchant = &mut self.merchants[number as usize];
            prop_assert!(!std::mem::replace(&mut merchant.online, true), "ONLINE twice");
            let silent_ms = merchant.silent_ms;
            prop_assert!(silent_ms.is_some_and(|ms| ms <= OFFLINE_AFTER_MS + SWEEP_MS), "ONLINE after {silent_ms:?}");
        }
        for number in silent {
            let now_ms = self.now_ms;
            let merchant = &mut self.merchants[number as usize];
            prop_assert!(std::mem::replace(&mut merchant.online, false), "OFFLINE twice");
            let silent_ms = merchant.silent_ms.unwrap_or_default();
            let slack_ms = SWEEP_MS * (1 + merchant.edges);
            prop_assert!(
                silent_ms + slack_ms > OFFLINE_AFTER_MS,
                "{number} OFFLINE after {silent_ms} ms at {now_ms} ms"
            );
        }
        // And the other way round: whoever was silent for that long, heard by all, is not ONLINE.
        for (number, merchant) in self.merchants.iter().enumerate().filter(|(_, merchant)| allowed && merchant.online) {
            let silent_ms = merchant.silent_ms.unwrap_or_default();
            let slack_ms = 3 * SWEEP_MS * (1 + merchant.edges) + HEARING_MS * merchant.edges;
            prop_assert!(silent_ms <= OFFLINE_AFTER_MS + slack_ms, "{number} still ONLINE after {silent_ms} ms");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_ideal_observer_agrees_with_every_offline(merchants in 1u32..90, acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new(merchants);
        world.run(&Act::Pass(100))?;
        for act in &acts {
            world.run(act)?;
        }
    }

    /// Merchants that keep polling are never OFFLINE, whatever becomes of us.
    #[test]
    fn whoever_polls_stays_online(merchants in 1u32..90, acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new(merchants);
        world.run(&Act::Pass(100))?;
        for act in acts.iter().filter(|act| !matches!(act, Act::Toggle(_) | Act::Unreachable(_))) {
            world.run(act)?;
            prop_assert!(world.merchants.iter().all(|merchant| merchant.online), "after {act:?}");
        }
    }
}

/// An unreachable kitchen-api that still calls closes nobody of a large fleet, for as long as it takes.
#[test]
fn an_outage_of_ours_is_told_from_silence() {
    let mut world = World::new(80);
    world.run(&Act::Pass(300)).unwrap();
    world.run(&Act::Unreachable(6_000)).unwrap();
    assert!(world.merchants.iter().all(|merchant| merchant.online));
    world.run(&Act::Pass(300)).unwrap();
    assert!(world.merchants.iter().all(|merchant| merchant.online) && !world.judge.brake.is_engaged());
    world.run(&Act::Toggle(3)).unwrap();
    world.run(&Act::Pass(120)).unwrap();
    let offline: Vec<usize> = (0..80).filter(|place| !world.merchants[*place].online).collect();
    assert_eq!(offline, [3]);
}
