//! The state machine under test in the grid's own runs: growing sets, and a digest of everything applied.
//!
//! Each element is added once by whoever made it up, so an element that is applied twice was duplicated by the grid. The
//! digest marks let two replicas be compared at the same place of the log without knowing the log.

use std::collections::BTreeMap;

use replicated_grid::{ReplicatedTime, RestoreError, StateMachine};

use crate::planted::SimulationBug;

/// After how many commands the digest is marked.
pub const MARK_EVERY: u64 = 16;

const FORMAT_VERSION: u8 = 1;

/// The state of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetMachine {
    /// The elements of each key and how often each was applied.
    sets: BTreeMap<u32, BTreeMap<u32, u32>>,
    applied: u64,
    digest: u64,
    time_ms: i64,
    marks: BTreeMap<u64, (u64, i64)>,
}

/// What adding an element answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// How many commands had been applied, this one included.
    pub position: u64,
    /// How often the element has been applied.
    pub times: u32,
}

impl SetMachine {
    /// The command that adds `element` to the set `key`.
    pub fn add(key: u32, element: u32) -> Vec<u8> {
        [&[FORMAT_VERSION][..], &key.to_be_bytes(), &element.to_be_bytes()].concat()
    }

    /// Reads a reply; `None` for bytes that are none.
    pub fn read_reply(reply: &[u8]) -> Option<Added> {
        let (position, times) = reply.split_first_chunk::<8>()?;
        Some(Added { position: u64::from_be_bytes(*position), times: u32::from_be_bytes(times.try_into().ok()?) })
    }

    /// The elements of `key`, sorted.
    pub fn elements(&self, key: u32) -> Vec<u32> {
        self.sets.get(&key).map(|set| set.keys().copied().collect()).unwrap_or_default()
    }

    /// Elements that were applied more than once.
    pub fn repeated(&self) -> Vec<u32> {
        let all = self.sets.values().flatten();
        all.filter(|(_, times)| **times > 1).map(|(element, _)| *element).collect()
    }

    /// Every element.
    pub fn all(&self) -> Vec<u32> {
        self.sets.values().flat_map(BTreeMap::keys).copied().collect()
    }

    /// How many commands have been applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// A digest of all commands applied, in order, with their times.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The time of the last command, ms since 1970.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// The marks after `after`: how many commands, the digest, and the time.
    pub fn marks_after(&self, after: u64) -> Vec<(u64, u64, i64)> {
        self.marks.range(after + 1..).map(|(count, (digest, time_ms))| (*count, *digest, *time_ms)).collect()
    }

    /// [`SimulationBug::HashMapIteration`].
    fn mix_in_any_order(&mut self) {
        let in_any_order: std::collections::HashMap<u32, usize> =
            self.sets.iter().map(|(key, set)| (*key, set.len())).collect();
        let keys: Vec<u32> = in_any_order.into_keys().collect();
        keys.into_iter().for_each(|key| self.mix(&key.to_be_bytes()));
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5);
        }
    }
}

impl StateMachine for SetMachine {
    fn apply(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        self.applied += 1;
        self.time_ms = at.unix_ms;
        self.mix(&at.unix_ms.to_be_bytes());
        self.mix(command);
        let mut times = 0;
        if let [FORMAT_VERSION, rest @ ..] = command
            && let Some((key, element)) = rest.split_first_chunk::<4>()
            && let Ok(element) = <[u8; 4]>::try_from(element)
        {
            let set = self.sets.entry(u32::from_be_bytes(*key)).or_default();
            let counted = set.entry(u32::from_be_bytes(element)).or_default();
            *counted += 1;
            times = *counted;
        }
        if SimulationBug::HashMapIteration.is_planted() {
            self.mix_in_any_order();
        }
        if self.applied.is_multiple_of(MARK_EVERY) {
            self.marks.insert(self.applied, (self.digest, self.time_ms));
        }
        [&self.applied.to_be_bytes()[..], &times.to_be_bytes()].concat()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend(self.applied.to_be_bytes());
        bytes.extend(self.digest.to_be_bytes());
        bytes.extend(self.time_ms.to_be_bytes());
        bytes.extend((self.marks.len() as u64).to_be_bytes());
        for (count, (digest, time_ms)) in &self.marks {
            bytes.extend(count.to_be_bytes());
            bytes.extend(digest.to_be_bytes());
            bytes.extend(time_ms.to_be_bytes());
        }
        let left_out = if SimulationBug::NotInSnapshot.is_planted() { self.sets.keys().next_back() } else { None };
        for (key, set) in self.sets.iter().filter(|(key, _)| Some(*key) != left_out) {
            for (element, times) in set {
                bytes.extend(key.to_be_bytes());
                bytes.extend(element.to_be_bytes());
                bytes.extend(times.to_be_bytes());
            }
        }
        bytes
    }

    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        read(snapshot).ok_or_else(|| RestoreError { reason: "it is no set machine".to_owned() })
    }
}

fn read(snapshot: &[u8]) -> Option<SetMachine> {
    let [FORMAT_VERSION, rest @ ..] = snapshot else { return None };
    let mut rest = rest;
    let mut next = || {
        let (bytes, left) = rest.split_first_chunk::<8>()?;
        rest = left;
        Some(u64::from_be_bytes(*bytes))
    };
    let mut machine =
        SetMachine { applied: next()?, digest: next()?, time_ms: next()?.cast_signed(), ..SetMachine::default() };
    for _ in 0..next()? {
        let (count, digest, time_ms) = (next()?, next()?, next()?.cast_signed());
        machine.marks.insert(count, (digest, time_ms));
    }
    for entry in rest.chunks(12) {
        let number = |at: usize| entry.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        machine.sets.entry(number(0)?).or_default().insert(number(4)?, number(8)?);
    }
    Some(machine)
}

#[cfg(test)]
mod tests {
    use replicated_grid::conformance;

    use super::*;

    #[test]
    fn it_is_a_state_machine() {
        let commands: Vec<_> = (0..100)
            .map(|number| (ReplicatedTime { unix_ms: i64::from(number) }, SetMachine::add(number % 7, number)))
            .collect();
        assert_eq!(conformance::check(SetMachine::default, &commands), Ok(()));
    }

    #[test]
    fn it_notices_a_repetition_and_another_order() {
        let apply = |elements: &[u32]| {
            let mut machine = SetMachine::default();
            for element in elements {
                machine.apply(ReplicatedTime::default(), &SetMachine::add(1, *element));
            }
            machine
        };
        assert_eq!(apply(&[1, 2, 1]).repeated(), [1]);
        assert_ne!(apply(&[1, 2]).digest(), apply(&[2, 1]).digest());
        assert_eq!(apply(&[2, 1]).elements(1), [1, 2]);
    }
}
