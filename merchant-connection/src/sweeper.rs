//! The sweep: maps every partition's beats to transitions, and reduces to totals.
//!
//! Called by the service's loop. What a partition's sweep decides is a pure function of its board, the brake's verdict
//! and the instant; this file gathers those and hands the decisions to the grid and the outbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use order_model::{MerchantId, SharedClock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::grid::PresenceGrid;
use crate::presence::presence_clock::{Tenths, is_hearing};
use crate::presence::{Brake, BrakeVerdict, PresenceClock, SweepFigures, Transition, TransitionReason};

/// Hearing time at the start: more than any offline period, so that a limit never falls below zero.
const START: Duration = Duration::from_secs(2 * 24 * 3600);

/// Totals of one partition after a sweep.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartitionTotals {
    pub(crate) online: usize,
    pub(crate) known: usize,
    pub(crate) brake_on: bool,
}

/// Judges all partitions, again and again.
pub(crate) struct Sweeper {
    clock: SharedClock,
    offline_after: Duration,
    presence_clock: Mutex<PresenceClock>,
    brakes: Mutex<Vec<Brake>>,
    beats_since_sweep: AtomicU64,
    heard_at_ms: AtomicU64,
    totals: Mutex<Vec<PartitionTotals>>,
}

impl Sweeper {
    pub(crate) fn new(config: &Config, clock: SharedClock) -> Self {
        let partitions = usize::from(config.partitions.get());
        let presence_clock = PresenceClock::new(config.sweep_interval, clock.monotonic(), START);
        Self {
            clock,
            offline_after: config.offline_after,
            presence_clock: Mutex::new(presence_clock),
            brakes: Mutex::new(vec![Brake::new(config.offline_after, config.sweep_interval); partitions]),
            beats_since_sweep: AtomicU64::new(0),
            heard_at_ms: AtomicU64::new(0),
            totals: Mutex::new(vec![PartitionTotals::default(); partitions]),
        }
    }

    /// A kitchen-api called with `beats` beats.
    pub(crate) fn heard(&self, beats: usize) {
        let now_ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.heard_at_ms.store(now_ms.max(1), Ordering::Relaxed);
        self.beats_since_sweep.fetch_add(beats as u64, Ordering::Relaxed);
    }

    /// The hearing time now.
    pub(crate) fn hearing_time(&self) -> Tenths {
        self.presence_clock.lock().at(self.clock.monotonic())
    }

    /// The wall-clock instant of a beat at hearing time `beat`, as seen now.
    pub(crate) fn instant_of(&self, beat: Tenths) -> Timestamp {
        let ago = self.hearing_time().saturating_sub(beat);
        self.clock.now().minus(Duration::from_millis(u64::from(ago) * 100))
    }

    /// The totals of the last sweep, by partition.
    pub(crate) fn totals(&self) -> Vec<PartitionTotals> {
        self.totals.lock().clone()
    }

    /// Judges every partition once; decisions go to the grid and then to `outbox`.
    pub(crate) async fn sweep(&self, grid: &PresenceGrid, outbox: &mpsc::Sender<Transition>) {
        let now = self.clock.monotonic();
        let heard_at = Duration::from_millis(self.heard_at_ms.load(Ordering::Relaxed));
        let hearing = heard_at > Duration::ZERO && is_hearing(now.saturating_sub(heard_at), self.offline_after);
        let limit = {
            let mut presence_clock = self.presence_clock.lock();
            presence_clock.tick(now, hearing);
            let offline_after = u32::try_from(self.offline_after.as_millis() / 100).unwrap_or(u32::MAX);
            presence_clock.now().saturating_sub(offline_after)
        };
        let beats_of_all = self.beats_since_sweep.swap(0, Ordering::Relaxed);
        let online_of_all = (0..grid.partitions()).map(|partition| grid.board(partition).read().online_count()).sum();
        for partition in 0..grid.partitions() {
            let decided = self.judge(grid, partition, limit, beats_of_all, online_of_all);
            self.carry_out(grid, partition, decided, outbox).await;
        }
        self.publish_totals(grid);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        metrics::gauge!("comanda_merchant_connection_transitions_waiting")
            .set((outbox.max_capacity() - outbox.capacity()) as f64);
        metrics::gauge!("comanda_merchant_connection_hearing").set(if hearing { 1.0 } else { 0.0 });
        metrics::histogram!("comanda_merchant_connection_sweep_seconds")
            .record(self.clock.monotonic().saturating_sub(now));
    }

    fn judge(
        &self,
        grid: &PresenceGrid,
        partition: u16,
        limit: Tenths,
        beats_of_all: u64,
        online_of_all: usize,
    ) -> Vec<(MerchantId, bool, Tenths)> {
        let board = grid.board(partition).read();
        let silence = board.sweep(limit);
        let figures =
            SweepFigures { online: board.online_count(), silent: silence.silent.len(), beats_of_all, online_of_all };
        let verdict = self.brakes.lock()[usize::from(partition)].judge(self.clock.monotonic(), figures);
        alarm(partition, verdict, figures);
        let silent = if verdict.allows_offline() { silence.silent } else { Vec::new() };
        let decide = |index: &u32, online| (board.merchant(*index), online, board.last_beat(*index));
        let heard = silence.heard.iter().map(|index| decide(index, true));
        heard.chain(silent.iter().map(|index| decide(index, false))).collect()
    }

    async fn carry_out(
        &self,
        grid: &PresenceGrid,
        partition: u16,
        decided: Vec<(MerchantId, bool, Tenths)>,
        outbox: &mpsc::Sender<Transition>,
    ) {
        // What finds no place in the outbox is left undecided: the next sweep sees the same and decides then.
        let room = outbox.capacity();
        let changed_at_ms = self.clock.now().unix_ms();
        let transition = |(merchant, online, beat): (MerchantId, bool, Tenths)| Transition {
            merchant: *merchant.as_bytes(),
            online,
            reason: if online { TransitionReason::Heartbeat } else { TransitionReason::Silence },
            changed_at_ms,
            last_heartbeat_at_ms: self.instant_of(beat).unix_ms(),
            sequence: grid.state(merchant).next_sequence(),
        };
        let transitions: Vec<Transition> = decided.into_iter().take(room).map(transition).collect();
        if let Err(error) = grid.replicate_beats(partition).await {
            tracing::warn!(partition, %error, "beats were not replicated");
        }
        if transitions.is_empty() {
            return;
        }
        match grid.replicate_transitions(partition, transitions.clone()).await {
            Ok(()) => {
                for transition in transitions {
                    let to = if transition.online { "ONLINE" } else { "OFFLINE" };
                    metrics::counter!("comanda_merchant_connection_transitions_total", "to" => to).increment(1);
                    // This task alone sends, and it counted the room first.
                    let _ = outbox.try_send(transition);
                }
            }
            Err(error) => {
                tracing::warn!(partition, %error, "transitions were not replicated; the next sweep decides again")
            }
        }
    }

    fn publish_totals(&self, grid: &PresenceGrid) {
        let brakes = self.brakes.lock();
        let totals: Vec<PartitionTotals> = (0..grid.partitions())
            .map(|partition| {
                let board = grid.board(partition).read();
                let brake_on = brakes[usize::from(partition)].is_engaged();
                PartitionTotals { online: board.online_count(), known: board.len(), brake_on }
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "merchants are far below 2^52")]
        let sum = |pick: fn(&PartitionTotals) -> usize| totals.iter().map(pick).sum::<usize>() as f64;
        metrics::gauge!("comanda_merchant_connection_online").set(sum(|totals| totals.online));
        metrics::gauge!("comanda_merchant_connection_known").set(sum(|totals| totals.known));
        metrics::gauge!("comanda_merchant_connection_brakes_engaged").set(sum(|totals| usize::from(totals.brake_on)));
        *self.totals.lock() = totals;
    }
}

fn alarm(partition: u16, verdict: BrakeVerdict, figures: SweepFigures) {
    match verdict {
        BrakeVerdict::Judge | BrakeVerdict::Held => {}
        BrakeVerdict::Engaged => {
            tracing::error!(
                partition,
                silent = figures.silent,
                online = figures.online,
                "presence brake engaged: nobody is marked OFFLINE"
            );
        }
        BrakeVerdict::Released => tracing::warn!(partition, "presence brake released: judging as usual"),
    }
}
