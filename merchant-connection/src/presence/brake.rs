//! The brake: when too many merchants fall silent at once, it is us, and nobody is marked OFFLINE.
//!
//! A pure value, one per partition, asked once a sweep. It engages when a sweep would turn OFFLINE more than
//! max(50, 10 %) of the online merchants, when all beats fall below half of the last ten minutes' rate, or when none comes
//! at all. It lets go one full offline period after the beats have recovered; the sweep that lets go may turn OFFLINE as
//! many as are silent by then: they have had their time, and a large vendor really can go down.

use std::collections::VecDeque;
use std::time::Duration;

/// Below this many, silence of many merchants is not told from silence of a few.
const FLOOR: usize = 50;
/// The rate now is taken over a quarter of an offline period, within these bounds: every POS polls at least once in it,
/// kitchen-api sends beats twice a second, and an outage shows long before anybody has been silent for a period.
const RECENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The rate it is compared with is taken over this long.
const REFERENCE: Duration = Duration::from_secs(600);

/// What one sweep saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepFigures {
    /// Recorded ONLINE before the sweep, in this partition.
    pub online: usize,
    /// Of those, silent for a full offline period.
    pub silent: usize,
    /// Beats of all partitions led here, each since its last sweep.
    pub beats_of_all: u64,
    /// Heard or recorded ONLINE in all those partitions.
    pub online_of_all: usize,
}

/// What the brake says to a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrakeVerdict {
    /// Judge.
    Judge,
    /// No OFFLINE: it has just engaged. Raise the alarm.
    Engaged,
    /// No OFFLINE: it is still on.
    Held,
    /// Judge: it has just let go.
    Released,
}

impl BrakeVerdict {
    /// Whether OFFLINE may be issued.
    pub const fn allows_offline(self) -> bool {
        match self {
            Self::Judge | Self::Released => true,
            Self::Engaged | Self::Held => false,
        }
    }
}

/// The brake of one partition in one term.
///
/// It compares beats per merchant, not beats: so a node that gains or loses a partition, or a fleet that opens or closes
/// shop by shop, is no outage.
#[derive(Debug, Clone)]
pub struct Brake {
    offline_after: Duration,
    recent_sweeps: usize,
    reference_sweeps: usize,
    /// Beats per merchant and sweep, newest last; stands still while engaged, so that an outage does not become the
    /// reference.
    rates: VecDeque<f64>,
    recent: VecDeque<f64>,
    engaged: Option<Engaged>,
}

#[derive(Debug, Clone, Copy)]
struct Engaged {
    reference: f64,
    recovered_at: Option<Duration>,
}

impl Brake {
    /// A brake that is off.
    pub fn new(offline_after: Duration, sweep_interval: Duration) -> Self {
        let sweeps =
            |span: Duration| usize::try_from(span.as_millis() / sweep_interval.as_millis().max(1)).unwrap_or(1).max(1);
        Self {
            offline_after,
            recent_sweeps: sweeps((offline_after / 4).clamp(RECENT.0, RECENT.1)),
            reference_sweeps: sweeps(REFERENCE),
            rates: VecDeque::new(),
            recent: VecDeque::new(),
            engaged: None,
        }
    }

    /// The same as another leader left it: on, with that [`Brake::reference`].
    #[must_use]
    pub fn resumed(self, reference: Option<u32>) -> Self {
        let engaged =
            reference.map(|reference| Engaged { reference: f64::from(reference) / 1000.0, recovered_at: None });
        Self { engaged, ..self }
    }

    /// Whether it is on.
    pub fn is_engaged(&self) -> bool {
        self.engaged.is_some()
    }

    /// While it is on, the rate that it compares with, in thousandths of a beat per merchant and sweep.
    pub fn reference(&self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
        self.engaged.map(|engaged| (engaged.reference * 1000.0) as u32)
    }

    /// Judges one sweep, at `now` of any clock that never goes back.
    pub fn judge(&mut self, now: Duration, figures: SweepFigures) -> BrakeVerdict {
        push_bounded(&mut self.recent, rate(figures), self.recent_sweeps);
        match self.engaged {
            None => self.judge_released(now, figures),
            Some(engaged) => self.judge_engaged(now, engaged),
        }
    }

    fn judge_released(&mut self, now: Duration, figures: SweepFigures) -> BrakeVerdict {
        let (recent, reference) = (mean(&self.recent), mean(&self.rates));
        let many = figures.silent > FLOOR.max(figures.online / 10);
        // Too short a history compares nothing; too few merchants say nothing about us.
        let is_known = self.rates.len() >= self.recent_sweeps * 2;
        let is_mute = self.recent.len() >= self.recent_sweeps && recent == 0.0;
        let quiet = figures.online_of_all > FLOOR && (is_mute || (is_known && recent < reference / 2.0));
        if many || quiet {
            let recovered_at = (!quiet && recent > 0.0).then_some(now);
            self.engaged = Some(Engaged { reference, recovered_at });
            return BrakeVerdict::Engaged;
        }
        push_bounded(&mut self.rates, rate(figures), self.reference_sweeps);
        BrakeVerdict::Judge
    }

    fn judge_engaged(&mut self, now: Duration, engaged: Engaged) -> BrakeVerdict {
        // Without a single beat nothing has recovered, however low the reference: after a restart it is 0.
        let recent = mean(&self.recent);
        let recovered = recent > 0.0 && recent >= engaged.reference / 2.0;
        let recovered_at = recovered.then(|| engaged.recovered_at.unwrap_or(now));
        if recovered_at.is_some_and(|since| now.saturating_sub(since) >= self.offline_after) {
            self.engaged = None;
            return BrakeVerdict::Released;
        }
        self.engaged = Some(Engaged { recovered_at, ..engaged });
        BrakeVerdict::Held
    }
}

fn push_bounded(values: &mut VecDeque<f64>, value: f64, most: usize) {
    values.push_back(value);
    while values.len() > most {
        values.pop_front();
    }
}

#[expect(clippy::cast_precision_loss, reason = "beats and merchants are far below 2^52")]
fn rate(figures: SweepFigures) -> f64 {
    figures.beats_of_all as f64 / figures.online_of_all.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "some hundred values")]
fn mean(values: &VecDeque<f64>) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Duration = Duration::from_secs(5);
    const OFFLINE_AFTER: Duration = Duration::from_secs(120);

    fn figures(online: usize, silent: usize, beats_of_all: u64) -> SweepFigures {
        SweepFigures { online, silent, beats_of_all, online_of_all: online }
    }

    /// Runs sweeps from `start`; gives the verdicts.
    fn run(brake: &mut Brake, start: u32, sweeps: u32, figures: SweepFigures) -> Vec<BrakeVerdict> {
        (start..start + sweeps).map(|number| brake.judge(SWEEP * number, figures)).collect()
    }

    #[test]
    fn a_few_silent_merchants_are_judged() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        assert!(run(&mut brake, 0, 200, figures(1000, 100, 170)).iter().all(|verdict| *verdict == BrakeVerdict::Judge));
        let mut small = Brake::new(OFFLINE_AFTER, SWEEP);
        run(&mut small, 0, 100, figures(3, 0, 3));
        assert_eq!(
            run(&mut small, 100, 1, figures(3, 3, 0)),
            [BrakeVerdict::Judge],
            "a small fleet goes silent for real"
        );
    }

    #[test]
    fn an_outage_of_ours_closes_nobody() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        run(&mut brake, 0, 120, figures(1000, 0, 170));
        // Ten minutes without a beat.
        let outage = run(&mut brake, 120, 120, figures(1000, 900, 0));
        assert!(outage.iter().skip(1).all(|verdict| !verdict.allows_offline()), "{outage:?}");
        // The beats are back: nobody is judged for one offline period more, then everything is as before.
        let back = run(&mut brake, 240, 40, figures(1000, 0, 170));
        let released = back.iter().position(|verdict| *verdict == BrakeVerdict::Released).unwrap();
        assert!((24..=30).contains(&released), "released after {released} sweeps");
        assert_eq!(back.last(), Some(&BrakeVerdict::Judge));
    }

    #[test]
    fn after_a_restart_without_any_beat_nobody_is_judged_until_beats_came_back() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        run(&mut brake, 0, 24, figures(1000, 0, 0));
        let outage = run(&mut brake, 24, 120, figures(1000, 1000, 0));
        assert!(outage.iter().all(|verdict| !verdict.allows_offline()), "{outage:?}");
        let back = run(&mut brake, 144, 40, figures(1000, 0, 170));
        assert_eq!(back.iter().position(|verdict| *verdict == BrakeVerdict::Released), Some(24));
    }

    #[test]
    fn a_large_vendor_that_really_is_down_goes_offline_after_one_period() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        run(&mut brake, 0, 120, figures(1000, 0, 170));
        let verdicts = run(&mut brake, 120, 30, figures(1000, 200, 136));
        assert_eq!(verdicts[0], BrakeVerdict::Engaged);
        assert_eq!(verdicts.iter().position(|verdict| verdict.allows_offline()), Some(24));
    }

    #[test]
    fn an_outage_is_known_before_it_looks_like_silence_however_short_the_period() {
        for seconds in [2, 10, 30, 60, 120] {
            let period = Duration::from_secs(seconds);
            let sweep = period / 20;
            let mut brake = Brake::new(period, sweep);
            // Too early in a term for a rate to compare with; nobody is heard from the fifth sweep on.
            for number in 0..4 {
                brake.judge(sweep * number, figures(90, 0, 20));
            }
            for number in 4..19 {
                brake.judge(sweep * number, figures(90, 0, 0));
            }
            let verdict = brake.judge(sweep * 19, figures(90, 40, 0));
            assert!(!verdict.allows_offline(), "{verdict:?} after three quarters of {period:?}");
        }
    }

    #[test]
    fn a_node_that_loses_half_of_its_partitions_sees_no_outage() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        let of_two = SweepFigures { online_of_all: 2000, ..figures(1000, 0, 340) };
        run(&mut brake, 0, 120, of_two);
        assert!(run(&mut brake, 120, 30, figures(1000, 0, 170)).iter().all(|verdict| *verdict == BrakeVerdict::Judge));
    }

    #[test]
    fn a_new_leader_holds_the_brake_until_the_former_rate_is_back() {
        let mut brake = Brake::new(OFFLINE_AFTER, SWEEP);
        run(&mut brake, 0, 120, figures(1000, 0, 170));
        run(&mut brake, 120, 20, figures(1000, 0, 60));
        assert!(brake.reference().is_some_and(|reference| (160..=170).contains(&reference)), "{:?}", brake.reference());
        let mut next = Brake::new(OFFLINE_AFTER, SWEEP).resumed(brake.reference());
        let outage = run(&mut next, 0, 100, figures(1000, 600, 60));
        assert!(outage.iter().all(|verdict| *verdict == BrakeVerdict::Held), "two thirds are still away");
        let back = run(&mut next, 100, 60, figures(1000, 0, 170));
        let released = back.iter().position(|verdict| *verdict == BrakeVerdict::Released).unwrap();
        assert!((24..=30).contains(&released), "released after {released} sweeps");
        assert!(!Brake::new(OFFLINE_AFTER, SWEEP).resumed(None).is_engaged());
    }
}
