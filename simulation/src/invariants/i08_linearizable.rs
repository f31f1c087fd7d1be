//! I8: growing sets are linearizable, and what was acknowledged never vanishes.
//!
//! Not a Wing-Gong search: elements are unique and only ever added, so a history of one set is linearizable exactly if
//! 1. a read holds nothing that was asked for only after it returned, or never;
//! 2. a read holds everything acknowledged before it was begun;
//! 3. reads of a set are ordered by inclusion, and never against their order in time;
//! 4. a read that holds `b` holds every `a` that was acknowledged before `b` was asked for.
//!
//! Beside that, the positions of acknowledged additions in a partition are unique and follow the order in time, and every
//! replica holds all of them when the run ends.

use std::collections::{BTreeMap, BTreeSet};

use super::{Add, adds, finals};
use crate::history::{Answer, Call, History, Outcome};

/// Its name.
pub const NAME: &str = "I8 linearizable";

struct Read<'a> {
    client: &'a str,
    invoked_us: u64,
    returned_us: u64,
    elements: &'a [u32],
}

impl Read<'_> {
    fn holds(&self, element: u32) -> bool {
        self.elements.binary_search(&element).is_ok()
    }

    fn name(&self) -> String {
        format!("the read by {} at {} us", self.client, self.invoked_us)
    }
}

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut added: BTreeMap<(u16, u32), Vec<Add<'_>>> = BTreeMap::new();
    for add in adds(history) {
        added.entry((add.partition, add.key)).or_default().push(add);
    }
    let mut wrong = Vec::new();
    for (set, reads) in reads(history) {
        let added = added.get(&set).map(Vec::as_slice).unwrap_or_default();
        check_contents(&reads, added, &mut wrong);
        check_order_of_reads(&reads, &mut wrong);
        check_order_of_adds(&reads, added, &mut wrong);
    }
    check_positions(history, &mut wrong);
    check_final_states(history, &mut wrong);
    wrong
}

fn reads(history: &History) -> BTreeMap<(u16, u32), Vec<Read<'_>>> {
    let mut found: BTreeMap<(u16, u32), Vec<Read<'_>>> = BTreeMap::new();
    for operation in &history.operations {
        if let (Call::Read { partition, key }, Outcome::Ok(Answer::Set(elements))) =
            (&operation.call, &operation.outcome)
        {
            found.entry((*partition, *key)).or_default().push(Read {
                client: &operation.client,
                invoked_us: operation.invoked_us,
                returned_us: operation.returned_us,
                elements,
            });
        }
    }
    found
}

/// 1 and 2.
fn check_contents(reads: &[Read<'_>], added: &[Add<'_>], wrong: &mut Vec<String>) {
    let asked: BTreeMap<u32, u64> = added.iter().map(|add| (add.element, add.operation.invoked_us)).collect();
    for read in reads {
        let from_nowhere = |element: &&u32| asked.get(*element).is_none_or(|asked_us| *asked_us > read.returned_us);
        if let Some(element) = read.elements.iter().find(from_nowhere) {
            wrong.push(format!("{} holds {element}, which nobody had asked for", read.name()));
        }
        for add in added {
            if let Some((returned_us, _)) = add.acknowledged()
                && returned_us < read.invoked_us
                && !read.holds(add.element)
            {
                let (name, element, client) = (read.name(), add.element, &add.operation.client);
                wrong.push(format!("{name} lacks {element}, acknowledged to {client} at {returned_us} us"));
            }
        }
    }
}

/// 3.
fn check_order_of_reads(reads: &[Read<'_>], wrong: &mut Vec<String>) {
    let mut by_size: Vec<&Read<'_>> = reads.iter().collect();
    by_size.sort_by_key(|read| (read.elements.len(), read.invoked_us));
    for pair in by_size.windows(2) {
        if let [smaller, larger] = pair
            && let Some(element) = smaller.elements.iter().find(|element| !larger.holds(**element))
        {
            wrong.push(format!("{} holds {element}, and {} does not but others", smaller.name(), larger.name()));
        }
    }
    let mut largest_returned: Option<&Read<'_>> = None;
    let mut by_return: Vec<&Read<'_>> = reads.iter().collect();
    by_return.sort_by_key(|read| read.returned_us);
    let mut returned = by_return.into_iter().peekable();
    let mut by_invocation: Vec<&Read<'_>> = reads.iter().collect();
    by_invocation.sort_by_key(|read| read.invoked_us);
    for read in by_invocation {
        while let Some(earlier) = returned.next_if(|earlier| earlier.returned_us < read.invoked_us) {
            if largest_returned.is_none_or(|largest| largest.elements.len() < earlier.elements.len()) {
                largest_returned = Some(earlier);
            }
        }
        if let Some(largest) = largest_returned.filter(|largest| largest.elements.len() > read.elements.len()) {
            wrong.push(format!("{} holds more than the later {}", largest.name(), read.name()));
        }
    }
}

/// 4.
fn check_order_of_adds(reads: &[Read<'_>], added: &[Add<'_>], wrong: &mut Vec<String>) {
    for read in reads {
        let held = added.iter().filter(|add| read.holds(add.element));
        let last_asked_us = held.map(|add| add.operation.invoked_us).max().unwrap_or(0);
        for add in added {
            if let Some((returned_us, _)) = add.acknowledged()
                && returned_us < last_asked_us
                && !read.holds(add.element)
            {
                wrong.push(format!("{} lacks {}, and holds what was asked for later", read.name(), add.element));
            }
        }
    }
}

fn check_positions(history: &History, wrong: &mut Vec<String>) {
    let mut acknowledged: BTreeMap<u16, Vec<(u64, u64, Add<'_>)>> = BTreeMap::new();
    for add in adds(history) {
        if let Some((returned_us, position)) = add.acknowledged() {
            acknowledged.entry(add.partition).or_default().push((position, returned_us, add));
        }
    }
    for (partition, mut added) in acknowledged {
        added.sort_by_key(|(position, ..)| *position);
        // From the last place of the log to the first: nobody before may have been asked for after one behind returned.
        let mut earliest_return_us = u64::MAX;
        let mut position_after = u64::MAX;
        for (position, returned_us, add) in added.iter().rev() {
            if *position == position_after {
                wrong.push(format!("two additions were acknowledged for place {position} of partition {partition}"));
            }
            if earliest_return_us < add.operation.invoked_us {
                let element = add.element;
                wrong.push(format!("{element} took place {position} of partition {partition}, before an older one"));
            }
            (earliest_return_us, position_after) = (earliest_return_us.min(*returned_us), *position);
        }
    }
}

fn check_final_states(history: &History, wrong: &mut Vec<String>) {
    let mut acknowledged: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
    for add in adds(history).filter(|add| add.acknowledged().is_some()) {
        acknowledged.entry(add.partition).or_default().insert(add.element);
    }
    for (partition, replicas) in finals(history) {
        let Some(acknowledged) = acknowledged.get(&partition) else { continue };
        for replica in replicas {
            let held: BTreeSet<u32> = replica.elements.iter().copied().collect();
            let lost: Vec<&u32> = acknowledged.difference(&held).collect();
            if let Some(first) = lost.first() {
                let (node, count) = (replica.node, lost.len());
                wrong.push(format!("node {node} lost {count} acknowledged of partition {partition}, {first} first"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Operation;

    fn operation(times: (u64, u64), call: Call, outcome: Outcome) -> Operation {
        Operation { client: "c".to_owned(), invoked_us: times.0, returned_us: times.1, call, outcome }
    }

    fn add(times: (u64, u64), element: u32, position: u64) -> Operation {
        let outcome = Outcome::Ok(Answer::Added { position, times: 1 });
        operation(times, Call::Add { partition: 0, key: 1, element }, outcome)
    }

    fn lost(times: (u64, u64), element: u32) -> Operation {
        operation(times, Call::Add { partition: 0, key: 1, element }, Outcome::Unknown("lost".to_owned()))
    }

    fn read(times: (u64, u64), elements: &[u32]) -> Operation {
        operation(times, Call::Read { partition: 0, key: 1 }, Outcome::Ok(Answer::Set(elements.to_vec())))
    }

    fn wrong(operations: Vec<Operation>) -> usize {
        check(&History { operations, ..History::default() }).len()
    }

    #[test]
    fn a_good_history_passes() {
        let unknown = lost((3, u64::MAX), 2);
        assert_eq!(
            wrong(vec![add((1, 5), 1, 1), unknown, read((4, 4), &[]), read((6, 6), &[1]), read((9, 9), &[1, 2])]),
            0
        );
    }

    #[test]
    fn a_stale_read_and_a_lost_element_are_found() {
        assert_eq!(wrong(vec![add((1, 5), 1, 1), read((6, 6), &[])]), 1);
        assert_eq!(wrong(vec![lost((1, 5), 1), read((6, 6), &[1]), read((7, 7), &[])]), 1);
        assert_eq!(wrong(vec![read((6, 6), &[9])]), 1, "nobody asked for it");
    }

    #[test]
    fn reads_that_contradict_each_other_are_found() {
        let (one, two) = (lost((1, 2), 1), lost((1, 2), 2));
        assert_eq!(wrong(vec![one, two, read((6, 9), &[1]), read((6, 9), &[2])]), 1);
    }

    #[test]
    fn the_order_of_additions_is_kept() {
        assert_eq!(wrong(vec![add((1, 5), 1, 1), add((6, 9), 2, 2), read((2, 10), &[2])]), 1, "2 shows before 1");
        assert_eq!(wrong(vec![add((1, 5), 1, 2), add((6, 9), 2, 1)]), 1, "2 was applied before 1");
        assert_eq!(wrong(vec![add((1, 5), 1, 2), add((3, 9), 2, 2)]), 1, "both at one place");
    }
}
