//! What the leader of a partition keeps beside the replicated state, for one term: the beats since the last sweep.
//!
//! Made at takeover out of the state, dropped with the term. A beat takes shared locks and one atomic store; only a merchant
//! never seen before waits in a map until the next sweep has it replicated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use order_model::MerchantId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::config::Config;
use crate::presence::presence_clock::{Tenths, is_hearing};
use crate::presence::roster::MERCHANTS_MAX;
use crate::presence::{BeatBoard, PresenceClock, PresencePartition};

/// Hearing time at the start of a cluster: more than any offline period, so that a limit never falls below zero.
const START: Tenths = 2 * 24 * 3600 * 10;

/// The most merchants never seen before that wait for the next sweep, some 10 MB; beats of further ones are dropped and
/// counted, and come again with the merchants' next polls.
const NEWCOMERS_MAX: usize = 1 << 18;

/// A merchant never seen before, and the hearing time of its beat.
pub(crate) type Newcomer = (MerchantId, Tenths);

/// What the last sweep saw; the brakes compare their sums over all partitions led here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SweepReport {
    pub(crate) online: usize,
    pub(crate) beats: u64,
}

/// See the module.
pub(crate) struct Led {
    pub(crate) partition: u16,
    pub(crate) term: u64,
    pub(crate) board: RwLock<BeatBoard>,
    /// Told when there may be something to publish.
    pub(crate) decided: Notify,
    newcomers: Mutex<BTreeMap<MerchantId, Tenths>>,
    clock: Mutex<PresenceClock>,
    /// When a kitchen-api last told all it knew, in ms of the monotonic clock; 0 for not yet.
    heard_at_ms: AtomicU64,
    beats: AtomicU64,
    report: Mutex<SweepReport>,
    /// Taking over counts as a beat for whoever was ONLINE: nobody is OFFLINE before this hearing time.
    graced_until: Tenths,
    /// The latest hearing time of the leaders before, and when that was, in ms: what they heard is told by it.
    heard_before: (Tenths, i64),
    is_judging: AtomicBool,
    is_ending: AtomicBool,
}

impl Led {
    /// Takes over `partition` with what `state` says, at `monotonic`.
    pub(crate) fn take_over(
        partition: u16,
        term: u64,
        state: &PresencePartition,
        config: &Config,
        monotonic: Duration,
    ) -> Self {
        let mut board = BeatBoard::with_capacity(state.known());
        state.extend_board(&mut board);
        let hearing = state.hearing().max(START);
        let behind = Duration::from_millis(u64::from(hearing) * 100);
        Self {
            partition,
            term,
            board: RwLock::new(board),
            decided: Notify::new(),
            newcomers: Mutex::default(),
            clock: Mutex::new(PresenceClock::new(config.sweep_interval, monotonic, behind)),
            heard_at_ms: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            report: Mutex::default(),
            graced_until: hearing.saturating_add(tenths(config.offline_after)),
            heard_before: (state.hearing(), state.hearing_at_ms()),
            is_judging: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        }
    }

    /// The hearing time at `monotonic`.
    pub(crate) fn hearing_time(&self, monotonic: Duration) -> Tenths {
        self.clock.lock().at(monotonic)
    }

    /// When a beat at hearing time `beat` was, in ms since 1970, where `hearing` is now and that is `now_ms`. A beat before a
    /// time of deafness looks later than it was, by as long as nobody could be heard.
    pub(crate) fn instant_of(&self, beat: Tenths, hearing: Tenths, now_ms: i64) -> i64 {
        let (before, before_ms) = self.heard_before;
        let (from, from_ms) = if beat <= before { (before, before_ms) } else { (hearing, now_ms) };
        from_ms.saturating_sub(i64::from(from.saturating_sub(beat)) * 100)
    }

    /// Lets hearing time pass, as far as anybody could be heard; whether that was so, and the hearing time then.
    pub(crate) fn tick(&self, monotonic: Duration, offline_after: Duration) -> (bool, Tenths) {
        let heard_at = Duration::from_millis(self.heard_at_ms.load(Ordering::Relaxed));
        let hears = heard_at > Duration::ZERO && is_hearing(monotonic.saturating_sub(heard_at), offline_after);
        let mut clock = self.clock.lock();
        clock.tick(monotonic, hears);
        (hears, clock.now())
    }

    /// Lets hearing time jump forward with the wall clock, and answers it.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn follow_wall_clock(&self, wall: order_model::Timestamp, monotonic: Duration) -> Tenths {
        let mut clock = self.clock.lock();
        clock.follow_wall_clock(wall.unix_ms() - i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX));
        clock.now()
    }

    /// Whether silence counts already at hearing time `hearing`.
    pub(crate) fn may_judge_silence(&self, hearing: Tenths) -> bool {
        hearing >= self.graced_until
    }

    /// Takes beats, each with its age in ms, while `state` is locked for reading; how many were dropped for want of room.
    pub(crate) fn take(&self, state: &PresencePartition, beats: &[(MerchantId, u32)], monotonic: Duration) -> u64 {
        let now = self.hearing_time(monotonic);
        let board = self.board.read();
        let mut dropped = 0;
        for &(merchant, age_ms) in beats {
            // 0 means never.
            let at = now.saturating_sub(age_ms / 100).max(1);
            if state.index(merchant).is_some_and(|index| board.beat(index, at)) {
                continue;
            }
            let mut newcomers = self.newcomers.lock();
            let has_room = newcomers.len() < NEWCOMERS_MAX && state.known() + newcomers.len() < MERCHANTS_MAX;
            if has_room || newcomers.contains_key(&merchant) {
                let known = newcomers.entry(merchant).or_default();
                *known = at.max(*known);
            } else {
                dropped += 1;
            }
        }
        self.beats.fetch_add(beats.len() as u64, Ordering::Relaxed);
        dropped
    }

    /// A kitchen-api has told every beat it knows of this partition.
    pub(crate) fn heard_all(&self, monotonic: Duration) {
        let now_ms = u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX);
        self.heard_at_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    /// Who has beaten since the last call, and who of them is new.
    pub(crate) fn take_beaten(&self) -> (Vec<(u32, Tenths)>, Vec<Newcomer>) {
        let newcomers = std::mem::take(&mut *self.newcomers.lock());
        (self.board.read().take_beaten(), newcomers.into_iter().collect())
    }

    /// Puts back what was taken and not replicated.
    pub(crate) fn put_back(&self, known: &[(u32, Tenths)], newcomers: &[Newcomer]) {
        self.board.read().put_back(known);
        let mut waiting = self.newcomers.lock();
        for &(merchant, at) in newcomers {
            let known = waiting.entry(merchant).or_default();
            *known = at.max(*known);
        }
    }

    /// A sweep saw `online` merchants; what it reports, with the beats since the last one.
    pub(crate) fn reports(&self, online: usize) {
        *self.report.lock() = SweepReport { online, beats: self.beats.swap(0, Ordering::Relaxed) };
    }

    /// What the last sweep reported.
    pub(crate) fn report(&self) -> SweepReport {
        *self.report.lock()
    }

    /// The state is whole: from here on it is swept and answers.
    pub(crate) fn begin_to_judge(&self) {
        self.is_judging.store(true, Ordering::Release);
    }

    /// Whether it is swept and answers.
    pub(crate) fn is_judging(&self) -> bool {
        self.is_judging.load(Ordering::Acquire)
    }

    /// No sweep comes any more: beats are left to whoever leads next.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    /// Whether no sweep comes any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }
}

/// A duration in tenths of a second.
pub(crate) fn tenths(duration: Duration) -> Tenths {
    u32::try_from(duration.as_millis() / 100).unwrap_or(u32::MAX)
}
