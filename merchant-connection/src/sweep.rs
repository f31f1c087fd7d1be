//! One sweep of one partition by its leader: beats are replicated, everyone is judged, transitions are replicated.
//!
//! Called by the term's loop. What is decided is a pure function of the board, the brake's verdict and the instant; this
//! file gathers those and has the decisions replicated. Nothing is decided outside the leader's lease.

use crate::led::{Led, tenths};
use crate::presence::command::{TRANSITIONS_MAX, delta};
use crate::presence::presence_clock::Tenths;
use crate::presence::state::OUTBOX_MAX;
use crate::presence::{Brake, BrakeVerdict, Decision, PresencePartition, SweepFigures, Transition, TransitionReason};
use crate::replicate::NotApplied;
use crate::service::Shared;
use crate::totals;

/// Who is to become what, by index.
type Decided = Vec<(u32, bool)>;

impl Shared {
    /// Sweeps once.
    ///
    /// # Errors
    /// When something was not replicated. Nothing is lost by it: the next sweep sees the same.
    pub(crate) async fn sweep(&self, led: &Led, brake: &mut Brake) -> Result<(), NotApplied> {
        let started = self.clock.monotonic();
        if !self.grid.is_serving(led.partition) {
            return Ok(());
        }
        let (hears, hearing) = led.tick(started, self.config.offline_after);
        #[cfg(feature = "planted-bugs")]
        let hearing = match crate::planted_bugs::PresenceBug::TimerOfWallClock.is_planted() {
            true => led.follow_wall_clock(self.clock.now(), started),
            false => hearing,
        };
        self.replicate_beats(led, hearing).await?;
        let decided = self.judge(led, brake, hearing);
        self.replicate_transitions(led, hearing, decided).await?;
        self.replicate_brake(led, hearing, brake).await?;
        totals::publish(self, led, brake.is_engaged(), hears);
        metrics::histogram!("comanda_merchant_connection_sweep_seconds")
            .record(self.clock.monotonic().saturating_sub(started));
        Ok(())
    }

    async fn replicate_beats(&self, led: &Led, hearing: Tenths) -> Result<(), NotApplied> {
        let (known, newcomers) = led.take_beaten();
        let age = |at: Tenths| hearing.saturating_sub(at);
        let aged: Vec<_> = known.iter().map(|&(index, at)| (index, age(at))).collect();
        let new: Vec<_> = newcomers.iter().map(|&(merchant, at)| (merchant, age(at))).collect();
        for decision in delta(&aged, &new) {
            if let Err(error) = self.replicate(led, hearing, decision).await {
                // What was taken of it is replicated once more, which changes nothing.
                led.put_back(&known, &newcomers);
                return Err(error);
            }
        }
        if !newcomers.is_empty() {
            let place = |state: &PresencePartition| state.extend_board(&mut led.board.write());
            let _ = self.grid.read_without_lease(led.partition, place);
        }
        Ok(())
    }

    fn judge(&self, led: &Led, brake: &mut Brake, hearing: Tenths) -> Decided {
        let limit = hearing.saturating_sub(tenths(self.config.offline_after));
        let (silence, online) = {
            let board = led.board.read();
            (board.sweep(limit), board.online_count())
        };
        let silent = if led.may_judge_silence(hearing) { silence.silent } else { Vec::new() };
        led.reports(online + silence.heard.len());
        let (beats_of_all, online_of_all) = self.reported();
        let figures = SweepFigures { online, silent: silent.len(), beats_of_all, online_of_all };
        let verdict = brake.judge(self.clock.monotonic(), figures);
        alarm(led.partition, verdict, figures);
        let silent = if verdict.allows_offline() { silent } else { Vec::new() };
        let heard = silence.heard.into_iter().map(|index| (index, true));
        heard.chain(silent.into_iter().map(|index| (index, false))).collect()
    }

    /// Beats and merchants online of all partitions led here, by their last sweeps.
    fn reported(&self) -> (u64, usize) {
        let reports = self.all_led().into_iter().map(|led| led.report());
        reports.fold((0, 0), |(beats, online), report| (beats + report.beats, online + report.online))
    }

    async fn replicate_transitions(&self, led: &Led, hearing: Tenths, decided: Decided) -> Result<(), NotApplied> {
        if decided.is_empty() {
            return Ok(());
        }
        let transitions = |state: &PresencePartition| self.transitions(led, state, hearing, &decided);
        // Who does not lead any more decides nothing.
        let Ok(transitions) = self.grid.read(led.partition, transitions) else { return Ok(()) };
        for part in transitions.chunks(TRANSITIONS_MAX) {
            self.replicate(led, hearing, Decision::Transitions(part.to_vec())).await?;
            led.decided.notify_one();
            for (to, online) in [("ONLINE", true), ("OFFLINE", false)] {
                let count = part.iter().filter(|transition| transition.online == online).count();
                metrics::counter!("comanda_merchant_connection_transitions_total", "to" => to).increment(count as u64);
            }
        }
        // The board follows what the state took, which may be less where the outbox is full.
        let _ = self.grid.read_without_lease(led.partition, |state| {
            let mut board = led.board.write();
            for (index, _) in &decided {
                board.set_online(*index, state.record(*index).is_online());
            }
        });
        Ok(())
    }

    /// The transitions that make of `state` what was decided, as far as there is room for them.
    fn transitions(
        &self,
        led: &Led,
        state: &PresencePartition,
        hearing: Tenths,
        decided: &[(u32, bool)],
    ) -> Vec<Transition> {
        let changed_at_ms = self.grid.time(led.partition).unix_ms;
        let board = led.board.read();
        let transition = |&(index, online): &(u32, bool)| {
            let record = state.record(index);
            (record.is_online() != online).then_some(Transition {
                merchant: state.merchant_at(index)?,
                online,
                reason: TransitionReason::of(online),
                changed_at_ms,
                last_heartbeat_at_ms: led.instant_of(board.last_beat(index), hearing, changed_at_ms),
                sequence: record.sequence() + 1,
            })
        };
        let room = OUTBOX_MAX.saturating_sub(state.unpublished());
        decided.iter().filter_map(transition).take(room).collect()
    }

    /// Whoever leads next must know that the brake is on, and what it waits for.
    async fn replicate_brake(&self, led: &Led, hearing: Tenths, brake: &Brake) -> Result<(), NotApplied> {
        let reference = brake.reference();
        let known = self.grid.read_without_lease(led.partition, PresencePartition::brake);
        if known == Ok(reference) {
            return Ok(());
        }
        self.replicate(led, hearing, Decision::Brake(reference)).await
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
