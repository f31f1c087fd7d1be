//! A history of presence in the terms of its invariant: what each merchant did, and what was published of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{Answer, Call, History, Observation, Operation, Outcome, Seen};
use crate::presence::OFFLINE_AFTER;
use crate::presence::fleet::fleet;

/// How much shorter a silence may be than it must: hearing time is in tenths of a second, and clocks drift.
const EARLY_MAX: Duration = Duration::from_millis(300);

/// How much longer what happened may take to be published while everything works: half a second until kitchen-api sends
/// beats, as much until the next sweep, and some calls.
const LATE_MAX: Duration = Duration::from_millis(2_000);

/// What a kitchen-api took in so shortly before its machine lost power may be lost with it: half a second until it sends
/// beats, and the time that a call may take.
const KEPT_FOR: Duration = Duration::from_millis(1_500);

pub(super) fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A transition as it was published, and when.
#[derive(Clone, Copy)]
pub(super) struct Published<'a> {
    pub(super) at_us: u64,
    pub(super) merchant: u32,
    pub(super) online: bool,
    pub(super) sequence: u64,
    pub(super) id: &'a str,
    pub(super) changed_at_ms: i64,
}

/// A silence long enough: since when, from when on it was that, and when the merchant was heard again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from_us: u64,
    pub(super) long_enough_us: u64,
    pub(super) ended_us: u64,
}

/// What one merchant did.
#[derive(Debug, Default, Clone)]
pub(super) struct Merchant {
    pub(super) partition: usize,
    /// When it polled and was answered.
    pub(super) beats: Vec<u64>,
    /// Those of them that were handed on for sure.
    pub(super) handed_on: Vec<u64>,
    /// When it polled, whether or not anybody could be reached.
    pub(super) polls: Vec<u64>,
}

impl Merchant {
    /// Its silences, as an ideal observer of `times` has them; the last one may last for ever. Any beat ends one.
    pub(super) fn silences(&self, times: &[u64]) -> Vec<Silence> {
        let enough_us = us(OFFLINE_AFTER - EARLY_MAX);
        let next = times.iter().skip(1).copied().chain([u64::MAX]);
        let silence = |(from_us, until_us): (&u64, u64)| {
            let long_enough_us = from_us + enough_us;
            let later = self.beats.partition_point(|beat| *beat < long_enough_us);
            let ended_us = self.beats.get(later).map_or(until_us, |beat| until_us.min(*beat));
            (until_us >= long_enough_us).then_some(Silence { from_us: *from_us, long_enough_us, ended_us })
        };
        times.iter().zip(next).filter_map(silence).collect()
    }

    /// What an ideal observer demands to be known at `at_us` while everything works; `None` where either is right.
    pub(super) fn ideal(&self, at_us: u64) -> Option<bool> {
        let heard = self.beats.partition_point(|beat| *beat <= at_us);
        let last = *self.beats[..heard].last()?;
        if at_us - last >= us(OFFLINE_AFTER + LATE_MAX) {
            return Some(false);
        }
        // Online since a beat that was long enough ago, and not silent for long enough by now.
        let known = self.beats.partition_point(|beat| *beat + us(LATE_MAX) <= at_us);
        let known = *self.beats[..known].last()?;
        (at_us - known < us(OFFLINE_AFTER - EARLY_MAX)).then_some(true)
    }
}

/// Every merchant, by number.
pub(super) fn merchants(history: &History) -> BTreeMap<u32, Merchant> {
    let mut merchants: BTreeMap<u32, Merchant> = BTreeMap::new();
    for (partition, numbers) in fleet(history.about.partitions).into_iter().enumerate() {
        merchants.extend(numbers.into_iter().map(|number| (number, Merchant { partition, ..Merchant::default() })));
    }
    let crashes = crashes(history);
    for seen in &history.seen {
        let Observation::Beat { merchants: polled, at } = &seen.what else { continue };
        for number in polled {
            let Some(merchant) = merchants.get_mut(number) else { continue };
            merchant.polls.push(seen.at_us);
            let Some(machine) = at else { continue };
            merchant.beats.push(seen.at_us);
            let kept = seen.at_us..=seen.at_us + us(KEPT_FOR);
            let is_lost =
                crashes.iter().any(|(node, at_us)| node.is_none_or(|node| node == *machine) && kept.contains(at_us));
            if !is_lost {
                merchant.handed_on.push(seen.at_us);
            }
        }
    }
    merchants
}

/// Which machine lost power when; all of them where none is named.
fn crashes(history: &History) -> Vec<(Option<u64>, u64)> {
    let crash = |seen: &Seen| match &seen.what {
        Observation::Fault(fault) if fault == "CrashAll" => Some((None, seen.at_us)),
        Observation::Fault(fault) => {
            let node = fault.strip_prefix("Crash(")?.strip_suffix(')')?.parse().ok()?;
            Some((Some(node), seen.at_us))
        }
        _ => None,
    };
    history.seen.iter().filter_map(crash).collect()
}

/// What was published, repetitions included, in order.
pub(super) fn published(history: &History) -> impl Iterator<Item = Published<'_>> {
    history.seen.iter().filter_map(|seen| match &seen.what {
        Observation::Transition { merchant, online, id, sequence, changed_at_ms } => Some(Published {
            at_us: seen.at_us,
            merchant: *merchant,
            online: *online,
            sequence: *sequence,
            id,
            changed_at_ms: *changed_at_ms,
        }),
        _ => None,
    })
}

/// The first publication of each transition, by merchant and in order.
pub(super) fn transitions(history: &History) -> BTreeMap<u32, Vec<Published<'_>>> {
    let mut first: BTreeMap<u32, Vec<Published<'_>>> = BTreeMap::new();
    for one in published(history) {
        let of = first.entry(one.merchant).or_default();
        if of.iter().all(|known| known.sequence != one.sequence) {
            of.push(one);
        }
    }
    first
}

/// Every answer to who is online.
pub(super) fn answers(history: &History) -> impl Iterator<Item = (&Operation, &[(u32, bool, u64)])> {
    history.operations.iter().filter_map(|operation| match (&operation.call, &operation.outcome) {
        (Call::Presence { .. }, Outcome::Ok(Answer::Presence(shown))) => Some((operation, shown.as_slice())),
        _ => None,
    })
}

/// When the last leader of each partition came to lead, µs, by the partition's number.
pub(super) fn last_elections(history: &History) -> Vec<u64> {
    let mut known: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for seen in &history.seen {
        if let Observation::Leadership { partition, term, is_ours: true, .. } = seen.what {
            let (of, at_us) = known.entry(partition).or_default();
            if term > *of {
                (*of, *at_us) = (term, seen.at_us);
            }
        }
    }
    (0..history.about.partitions).map(|partition| known.get(&partition).map_or(u64::MAX, |(_, at_us)| *at_us)).collect()
}
