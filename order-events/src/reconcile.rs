//! Repeating the export after a rebuild, at growing intervals, on whoever leads the partition then.
//!
//! An event whose feed message a lost cluster had already deleted may still have been on its way into connection-polling's
//! index when the export passed that rebuilt the partition, and nobody else would bring it. The state knows when it was
//! rebuilt, so that a new leader goes on where the old one was. [`Schedule`] decides and is pure; [`run`] is the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use order_model::PartitionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::import::{Client, Wanted, import};
use crate::service::Shared;

/// When exports are repeated, each counted from the one before. The last interval repeats while an export still finds
/// events that were not here.
const RECONCILE_AFTER: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
];

/// Partitions that are due within this time of each other share an export: it costs the same for all as for one.
const TOGETHER: Duration = Duration::from_secs(2);

/// How often the schedule is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Which partitions led here are to be exported when, on the monotonic clock.
#[derive(Debug, Default)]
struct Schedule {
    led: BTreeMap<PartitionId, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    term: u64,
    /// Which pass comes next and when; `None` while the partition is not rebuilt, and when all have passed.
    next: Option<(usize, Duration)>,
    is_planned: bool,
}

impl Schedule {
    /// Takes in what is led at `now`: each with its term and for how long it has been rebuilt.
    fn lead(&mut self, led: &[(PartitionId, u64, Option<Duration>)], now: Duration) {
        let mut kept = BTreeMap::new();
        for &(partition, term, rebuilt_for) in led {
            let known = self.led.get(&partition).copied().filter(|known| known.term == term && known.is_planned);
            let next = rebuilt_for.and_then(|elapsed| first_pass(elapsed, now));
            let planned = Entry { term, next, is_planned: rebuilt_for.is_some() };
            kept.insert(partition, known.unwrap_or(planned));
        }
        self.led = kept;
    }

    /// What to export now: nothing, or whatever is due or soon will be.
    fn due(&self, now: Duration) -> Wanted {
        let due_at = |entry: &Entry| entry.next.map(|(_, at)| at);
        if !self.led.values().filter_map(due_at).any(|at| at <= now) {
            return Wanted::new();
        }
        let soon = |entry: &&Entry| due_at(entry).is_some_and(|at| at <= now + TOGETHER);
        self.led.iter().filter(|(_, entry)| soon(entry)).map(|(partition, entry)| (*partition, entry.term)).collect()
    }

    /// An export of `asked` ended at `now`; those that it was complete for, with how many of their events were new.
    fn exported(&mut self, asked: &Wanted, found: &BTreeMap<PartitionId, usize>, now: Duration) {
        for (partition, term) in asked {
            let Some(entry) = self.led.get_mut(partition).filter(|entry| entry.term == *term) else { continue };
            let Some((pass, _)) = entry.next else { continue };
            let is_last = pass + 1 == RECONCILE_AFTER.len();
            let pass = match found.get(partition) {
                None => pass,
                Some(0) => pass + 1,
                Some(_) if is_last => pass,
                Some(_) => pass + 1,
            };
            entry.next = RECONCILE_AFTER.get(pass).map(|after| (pass, now + *after));
        }
    }
}

/// The first pass of a leader that finds a partition rebuilt `elapsed` ago: whatever would have come next. Nobody knows
/// how a former leader's last pass ended, so a take-over between two passes makes one soon.
fn first_pass(elapsed: Duration, now: Duration) -> Option<(usize, Duration)> {
    let mut passes_at = Duration::ZERO;
    for (pass, after) in RECONCILE_AFTER.into_iter().enumerate() {
        passes_at += after;
        if elapsed < passes_at {
            return Some((pass, now + RECONCILE_AFTER[0]));
        }
    }
    None
}

/// Repeats exports of what is led here, until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, client: Client, shutdown: CancellationToken) {
    let mut schedule = Schedule::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep_until(Instant::now() + LOOK_EVERY) => {}
        }
        let led: Vec<_> = shared
            .led()
            .into_iter()
            .map(|(partition, term)| (partition, term, shared.rebuilt_for(partition)))
            .collect();
        let now = shared.clock.monotonic();
        schedule.lead(&led, now);
        let asked = schedule.due(now);
        if asked.is_empty() {
            continue;
        }
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = import(&shared, client.clone(), asked.clone(), |_| {}) => result,
        };
        let found = result.unwrap_or_else(|status| {
            tracing::debug!(code = ?status.code(), "reconciling export failed; it is tried again");
            BTreeMap::new()
        });
        let events: usize = found.values().sum();
        if events > 0 {
            shared.telemetry.events_reconciled.increment(u64::try_from(events).unwrap_or(u64::MAX));
            tracing::info!(events, "events came late through connection-polling's export");
        }
        schedule.exported(&asked, &found, shared.clock.monotonic());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PartitionId = PartitionId(1);
    const TWO: PartitionId = PartitionId(2);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn found(partition: PartitionId, events: usize) -> BTreeMap<PartitionId, usize> {
        BTreeMap::from([(partition, events)])
    }

    #[test]
    fn exports_are_repeated_at_growing_intervals_and_end() {
        let mut schedule = Schedule::default();
        schedule.lead(&[(ONE, 1, None)], at(0));
        assert!(schedule.due(at(100)).is_empty(), "not rebuilt");
        let mut now = at(100);
        let led = |now: Duration| [(ONE, 1, Some(now - at(100)))];
        let asked = Wanted::from([(ONE, 1)]);
        for after in RECONCILE_AFTER {
            schedule.lead(&led(now), now);
            assert!(schedule.due(now + after - at(1)).is_empty());
            now += after;
            assert_eq!(schedule.due(now), asked);
            schedule.exported(&asked, &found(ONE, 0), now);
        }
        schedule.lead(&led(now), now);
        assert!(schedule.due(now + at(1_000_000)).is_empty());
    }

    #[test]
    fn the_last_interval_repeats_while_something_is_found_and_a_failure_repeats_its_pass() {
        let mut schedule = Schedule::default();
        schedule.lead(&[(ONE, 1, Some(at(4_000)))], at(0));
        let asked = Wanted::from([(ONE, 1)]);
        assert_eq!(schedule.due(at(5)), asked, "an hour has not passed yet");
        schedule.exported(&asked, &found(ONE, 7), at(5));
        assert_eq!(schedule.due(at(5 + 3_600)), asked);
        schedule.exported(&asked, &BTreeMap::new(), at(3_605));
        assert_eq!(schedule.due(at(3_605 + 3_600)), asked);
        schedule.exported(&asked, &found(ONE, 0), at(7_205));
        assert!(schedule.due(at(1_000_000)).is_empty());
    }

    #[test]
    fn partitions_share_an_export_and_a_new_term_plans_anew() {
        let mut schedule = Schedule::default();
        schedule.lead(&[(ONE, 1, Some(at(0)))], at(0));
        schedule.lead(&[(ONE, 1, Some(at(1))), (TWO, 4, Some(at(9_000)))], at(1));
        assert_eq!(schedule.due(at(5)), Wanted::from([(ONE, 1)]), "the other's passes are over");
        schedule.lead(&[(ONE, 1, Some(at(2))), (TWO, 5, Some(at(0)))], at(2));
        assert_eq!(schedule.due(at(5)), Wanted::from([(ONE, 1), (TWO, 5)]));
        schedule.lead(&[(TWO, 5, Some(at(3)))], at(3));
        assert_eq!(schedule.due(at(7)), Wanted::from([(TWO, 5)]), "what is led no longer is not exported");
        schedule.exported(&Wanted::from([(TWO, 4)]), &found(TWO, 0), at(7));
        assert_eq!(schedule.due(at(7)), Wanted::from([(TWO, 5)]), "an export of another term says nothing");
    }
}
