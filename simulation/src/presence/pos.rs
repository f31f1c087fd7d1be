//! POS: each polls for its merchants about once a second, at the machines in turn, as behind a load balancer that spreads
//! requests; some stop for good, some for a while. At times some stay with one machine.
//!
//! What a poll does is what kitchen-api's handler does with it before anything else: [`BeatKeeper::beat`]. Driven from
//! outside of the hosts, between their steps.

use std::collections::BTreeMap;
use std::time::Duration;

use event_feed::{AuthorisedMerchants, GrantedMerchant};
use kitchen_api::presence::BeatKeeper;
use order_model::Timestamp;
use rand::Rng;
use rand::rngs::StdRng;

use super::fleet::fleet;
use crate::feed::{application, merchant};
use crate::history::Observation;
use crate::recorder::Recorder;

/// When the first poll is made.
const BEGINS: Duration = Duration::from_secs(2);

/// How long after a poll the next one is made, ms.
const POLLS_EVERY_MS: std::ops::RangeInclusive<u64> = 700..=1_300;

/// Merchants of one POS that never stops.
const OF_ONE: usize = 8;

/// In each partition so many of each kind are merchants that stop or come back; every one has a POS of its own.
const OF_EACH_KIND: usize = 2;

/// What a POS does in the course of a run.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// Polls all the time.
    Steady,
    /// Stops while things go wrong.
    Stops,
    /// Stops while things go wrong, and comes back before they are healed or about then.
    ComesBack,
    /// Stops while things go wrong, and comes back when all is quiet.
    ComesBackLate,
    /// Stops when all is quiet.
    StopsLate,
}

const COURSES: [Course; 4] = [Course::Stops, Course::ComesBack, Course::ComesBackLate, Course::StopsLate];

/// One POS in so many stays with a machine when told to: so few that the brake does not take it for an outage.
const STAYS_EVERY: usize = 4;

struct Pos {
    merchants: Vec<u32>,
    /// When it does not poll.
    away: Option<(Duration, Duration)>,
    next_at: Duration,
    /// Counts its polls: the machine at which it tries first.
    turn: u64,
}

/// The machines as POS reach them.
pub struct Reachable<'a> {
    /// How many there are, numbered from 1.
    pub machines: u64,
    /// The keepers of those that answer.
    pub keepers: &'a BTreeMap<u64, BeatKeeper>,
    /// The machine at which some POS try first, all the time; 0: each in turn.
    pub attracting: u64,
}

/// All POS.
pub struct Fleet {
    recorder: Recorder,
    random: StdRng,
    all: Vec<Pos>,
}

impl Fleet {
    /// Those of a run of `partitions` that is healed at `heals_at`.
    pub fn new(recorder: Recorder, mut random: StdRng, partitions: u16, heals_at: Duration) -> Self {
        let mut all = Vec::new();
        for merchants in fleet(partitions) {
            let (changing, steady) = merchants.split_at(COURSES.len() * OF_EACH_KIND);
            let steady = steady.chunks(OF_ONE).map(|chunk| (chunk.to_vec(), Course::Steady));
            let changing = changing.iter().zip(COURSES.iter().cycle()).map(|(one, course)| (vec![*one], *course));
            for (merchants, course) in steady.chain(changing) {
                let away = away(course, heals_at, &mut random);
                let next_at = BEGINS + Duration::from_millis(random.random_range(0..1_000));
                all.push(Pos { merchants, away, next_at, turn: random.random_range(0..16) });
            }
        }
        Self { recorder, random, all }
    }

    /// Makes the polls that are due at `now`.
    pub fn work(&mut self, now: Duration, reachable: &Reachable<'_>) {
        for (number, pos) in self.all.iter_mut().enumerate() {
            if now < pos.next_at {
                continue;
            }
            pos.next_at = now + Duration::from_millis(self.random.random_range(POLLS_EVERY_MS));
            if pos.away.is_none_or(|(from, until)| !(from..until).contains(&now)) {
                let first = if number % STAYS_EVERY == 0 { reachable.attracting } else { 0 };
                let at = pos.poll(first, reachable);
                self.recorder.see(Observation::Beat { merchants: pos.merchants.clone(), at });
            }
        }
    }
}

fn away(course: Course, heals_at: Duration, random: &mut StdRng) -> Option<(Duration, Duration)> {
    let mut between = |from: Duration, until: Duration| {
        let (from_ms, until_ms) = (from.as_millis() as u64, until.as_millis() as u64);
        Duration::from_millis(random.random_range(from_ms..until_ms.max(from_ms + 1)))
    };
    let second = Duration::from_secs(1);
    let from_the_start = crate::schedule::QUIET_BEFORE - 2 * second;
    match course {
        Course::Steady => None,
        Course::Stops => Some((between(from_the_start, heals_at), Duration::MAX)),
        Course::ComesBack => {
            let from = between(from_the_start, heals_at);
            Some((from, from + between(11 * second, 18 * second)))
        }
        Course::ComesBackLate => {
            let from = between(from_the_start, heals_at);
            Some((from, between(heals_at + 27 * second, heals_at + 34 * second)))
        }
        Course::StopsLate => Some((between(heals_at + 22 * second, heals_at + 26 * second), Duration::MAX)),
    }
}

impl Pos {
    /// Polls at the machine `first`, else at the one whose turn it is or the next one; at which it was answered.
    fn poll(&mut self, first: u64, reachable: &Reachable<'_>) -> Option<u64> {
        self.turn += 1;
        let in_turn = (0..reachable.machines).map(|step| (self.turn + step) % reachable.machines + 1);
        let tried = std::iter::once(first).chain(in_turn);
        let (machine, keeper) = tried.filter_map(|machine| reachable.keepers.get_key_value(&machine)).next()?;
        let granted =
            |number: &u32| GrantedMerchant { merchant: merchant(*number), visible_from: Timestamp::default() };
        let granted = self.merchants.iter().map(granted).collect();
        keeper.beat(&AuthorisedMerchants::vouched_for_by_peer(application(0), granted));
        Some(*machine)
    }
}
