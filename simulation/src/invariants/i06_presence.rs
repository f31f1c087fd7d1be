//! I6: a merchant is closed when it was silent, and for no other reason.
//!
//! An ideal observer knows every beat that a kitchen-api took in, and did not take with it into a crash at once. Whatever went wrong, each transition to OFFLINE that is
//! published, or that whoever asks is told of, needs a silence of its own that was long enough by then; so a merchant that
//! goes on polling has none. Where many merchants are led, the merchant must really have given up: while no POS reaches us
//! the brake holds. A transition back needs a beat after the silence.
//!
//! Once the grid works, what is published is what the ideal observer knows, within the time that publishing takes. A new
//! leader gives everyone a full period, and a brake lets go after another one; both are over when this is asked.
//!
//! Transitions are consistent: numbered from 1 without a gap, to and fro, under one id however often they are published, at
//! instants that never go back; and whoever was told of one is never told of an earlier one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::presence_history::{
    Merchant, Published, Silence, answers, last_elections, merchants, published, transitions, us,
};
use crate::history::History;
use crate::presence::{BRAKE_FLOOR, OFFLINE_AFTER};
use crate::schedule::QUIET_BEFORE;

/// Its name.
pub const NAME: &str = "I6 presence";

/// After the run was healed, elections are not over at once.
const ELECTIONS_OVER: Duration = Duration::from_secs(5);

/// What the beats need to recover, as the brake counts it, and what it held back to be written and published.
const RECOVERING: Duration = Duration::from_secs(10);

/// After the grid was formed its state is restored, and everyone is heard for the first time.
const OPENING: Duration = Duration::from_secs(4);

/// How often what is published is compared with what should be, µs.
const COMPARED_EVERY_US: usize = 500_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let merchants = merchants(history);
    let mut wrong = inconsistent(history, &merchants);
    wrong.extend(unfounded(history, &merchants));
    wrong.extend(told_of_earlier_ones(history));
    wrong
}

/// What is wrong with a run that came to its end.
pub fn check_in_the_end(history: &History) -> Vec<String> {
    let (merchants, transitions) = (merchants(history), transitions(history));
    let mut wrong = Vec::new();
    let quiet = quiet(history);
    for (number, merchant) in &merchants {
        let known = transitions.get(number).map(Vec::as_slice).unwrap_or_default();
        for range in quiet.get(merchant.partition).into_iter().flatten() {
            let differs = |at_us: &u64| {
                let online = known.iter().rfind(|one| one.at_us <= *at_us).is_some_and(|one| one.online);
                merchant.ideal(*at_us).is_some_and(|ideal| ideal != online)
            };
            if let Some(at_us) = range.clone().step_by(COMPARED_EVERY_US).find(differs) {
                let should = if merchant.ideal(at_us) == Some(true) { "ONLINE" } else { "OFFLINE" };
                let partition = merchant.partition;
                wrong.push(format!("merchant {number} of partition {partition} was not {should} at {at_us} us"));
            }
        }
    }
    wrong
}

/// When everything works, by partition: before the faults, and some time after the last leader came after them.
pub(super) fn quiet(history: &History) -> Vec<Vec<Range<u64>>> {
    let polls_end_us = merchants(history).values().filter_map(|one| one.polls.last().copied()).max().unwrap_or(0);
    let formed_us = history.phase_us("formed").unwrap_or(u64::MAX);
    let healed_us = history.phase_us("healed").unwrap_or(u64::MAX);
    let before = formed_us.saturating_add(us(OPENING))..us(QUIET_BEFORE);
    let after = |elected_us: u64| {
        let works_us = healed_us.saturating_add(us(ELECTIONS_OVER)).max(elected_us);
        works_us.saturating_add(us(OFFLINE_AFTER + RECOVERING))..polls_end_us
    };
    last_elections(history).into_iter().map(|elected_us| vec![before.clone(), after(elected_us)]).collect()
}

/// Transitions that contradict each other.
fn inconsistent(history: &History, merchants: &BTreeMap<u32, Merchant>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: BTreeMap<u32, Published<'_>> = BTreeMap::new();
    let mut known: BTreeMap<(u32, u64), Published<'_>> = BTreeMap::new();
    for one in published(history) {
        let Published { merchant, sequence, at_us, .. } = one;
        if !merchants.contains_key(&merchant) {
            wrong.push(format!("merchant {merchant}, which nobody knows, changed at {at_us} us"));
        }
        if let Some(first) = known.get(&(merchant, sequence)) {
            if (first.id, first.online, first.changed_at_ms) != (one.id, one.online, one.changed_at_ms) {
                wrong.push(format!("transition {sequence} of merchant {merchant} was published twice, differing"));
            }
            continue;
        }
        known.insert((merchant, sequence), one);
        let before = last.insert(merchant, one);
        let expected = before.map_or(1, |before| before.sequence + 1);
        if sequence != expected {
            wrong.push(format!("merchant {merchant}: transition {sequence} was published instead of {expected}"));
        }
        if one.online != (sequence % 2 == 1) {
            wrong.push(format!("merchant {merchant}: transition {sequence} changes nothing"));
        }
        if before.is_some_and(|before| before.changed_at_ms > one.changed_at_ms) {
            wrong.push(format!("merchant {merchant}: transition {sequence} happened before the last one"));
        }
    }
    wrong
}

/// Transitions, published or told of, for which the merchant gave no reason.
fn unfounded(history: &History, merchants: &BTreeMap<u32, Merchant>) -> Vec<String> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for merchant in merchants.values() {
        *sizes.entry(merchant.partition).or_default() += 1;
    }
    let reasons: BTreeMap<u32, Reasons> = merchants
        .iter()
        .map(|(number, merchant)| {
            let is_braked = sizes.get(&merchant.partition).is_some_and(|size| *size > BRAKE_FLOOR);
            (*number, Reasons::of(merchant, is_braked))
        })
        .collect();
    let mut wrong = Vec::new();
    for one in published(history) {
        if let Some(why) = reasons.get(&one.merchant).and_then(|of| of.object(one.sequence, one.at_us)) {
            let Published { merchant, sequence, at_us, .. } = one;
            let partition = merchants.get(&merchant).map_or(0, |merchant| merchant.partition);
            wrong.push(format!(
                "transition {sequence} of merchant {merchant} of partition {partition} was published at {at_us} us, {why}"
            ));
        }
    }
    for (operation, shown) in answers(history) {
        for (merchant, online, sequence) in shown {
            let at_us = operation.returned_us;
            if *online != (sequence % 2 == 1) {
                wrong.push(format!("merchant {merchant} was shown {online} at {at_us} us by transition {sequence}"));
            }
            if let Some(why) = reasons.get(merchant).and_then(|of| of.object(*sequence, at_us)) {
                let client = &operation.client;
                wrong.push(format!("{client} was told at {at_us} us of transition {sequence} of {merchant}, {why}"));
            }
        }
    }
    wrong
}

/// What a merchant did that its transitions may follow from.
struct Reasons {
    first_beat_us: u64,
    silences: Vec<Silence>,
    /// The same by what it tried, where that is what counts.
    own_silences: Option<Vec<Silence>>,
}

impl Reasons {
    fn of(merchant: &Merchant, is_braked: bool) -> Self {
        Self {
            first_beat_us: merchant.beats.first().copied().unwrap_or(u64::MAX),
            silences: merchant.silences(&merchant.handed_on),
            own_silences: is_braked.then(|| merchant.silences(&merchant.polls)),
        }
    }

    /// What speaks against `sequence` transitions by `at_us`.
    fn object(&self, sequence: u64, at_us: u64) -> Option<&'static str> {
        let closed = sequence / 2;
        let count = |silences: &[Silence], is_it: fn(&Silence) -> u64| {
            silences.iter().filter(|silence| is_it(silence) <= at_us).count() as u64
        };
        if closed > count(&self.silences, |silence| silence.long_enough_us) {
            return Some("and it was never silent for so long");
        }
        // When it tried for the last time we cannot know; but it must have given up.
        if self.own_silences.as_deref().is_some_and(|own| closed > count(own, |silence| silence.from_us)) {
            return Some("and it tried to reach us all the while");
        }
        let reopened = sequence.saturating_sub(1).div_ceil(2);
        let is_unheard = sequence > 0 && at_us < self.first_beat_us;
        let not_again = sequence % 2 == 1 && reopened > count(&self.silences, |silence| silence.ended_us);
        (is_unheard || not_again).then_some("and it was not heard")
    }
}

/// Answers that are older than one that was given before they were asked for.
fn told_of_earlier_ones(history: &History) -> Vec<String> {
    let mut told: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for (operation, shown) in answers(history) {
        for (merchant, _, sequence) in shown {
            told.entry(*merchant).or_default().push((operation.returned_us, *sequence));
        }
    }
    let mut latest: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for (merchant, mut answers) in told {
        answers.sort_unstable();
        // The latest that anybody was told of until then.
        let mut most = 0;
        let running = answers.into_iter().map(|(at_us, sequence)| {
            most = most.max(sequence);
            (at_us, most)
        });
        latest.insert(merchant, running.collect());
    }
    let mut wrong = Vec::new();
    for (operation, shown) in answers(history) {
        for (merchant, _, sequence) in shown {
            let before = latest.get(merchant).map(Vec::as_slice).unwrap_or_default();
            let until = before.partition_point(|(at_us, _)| *at_us < operation.invoked_us);
            if let Some((at_us, known)) = before[..until].last().filter(|(_, known)| known > sequence) {
                let (client, asked_us) = (&operation.client, operation.invoked_us);
                wrong.push(format!(
                    "{client} asked at {asked_us} us and was told of transition {sequence} of {merchant}; {known} was known at {at_us} us"
                ));
            }
        }
    }
    wrong
}

#[cfg(test)]
#[path = "i06_tests.rs"]
mod tests;
