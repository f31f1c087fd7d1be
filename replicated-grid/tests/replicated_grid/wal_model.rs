//! Random steps, crashes and torn writes against a plain model: after a crash every group is as it was after some step,
//! and not before the last one that was reported durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::{GroupId, GroupLog, LogEntry, LogStore as _};

use crate::wal_node::{self, Contents, Node};

const GROUPS: GroupId = 3;

#[derive(Debug, Clone)]
enum Op {
    Append { group: GroupId, entries: usize, bytes: usize },
    Truncate { group: GroupId, back: u64 },
    Purge { group: GroupId, ahead: u64 },
    Vote { group: GroupId },
    Turn,
    Settle,
    Restart,
    Crash { seed: u64 },
    CrashInSync { syncs: u64, seed: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let group = 0..GROUPS;
    prop_oneof![
        8 => (group.clone(), 1..5_usize, 0..900_usize).prop_map(|(group, entries, bytes)| Op::Append { group, entries, bytes }),
        2 => (group.clone(), 0..6_u64).prop_map(|(group, back)| Op::Truncate { group, back }),
        2 => (group.clone(), 0..8_u64).prop_map(|(group, ahead)| Op::Purge { group, ahead }),
        1 => group.prop_map(|group| Op::Vote { group }),
        4 => Just(Op::Turn),
        2 => Just(Op::Settle),
        1 => Just(Op::Restart),
        1 => any::<u64>().prop_map(|seed| Op::Crash { seed }),
        2 => (0..6_u64, any::<u64>()).prop_map(|(syncs, seed)| Op::CrashInSync { syncs, seed }),
    ]
}

/// A group's states, one after each record that was ever asked for since the last crash.
struct Model {
    states: Vec<State>,
    /// How many of them are reported durable.
    durable: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    vote: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
    payloads: Vec<Bytes>,
}

impl State {
    fn first(&self) -> u64 {
        self.purged.as_ref().map_or(0, |(through, _)| through + 1)
    }

    fn next(&self) -> u64 {
        self.first() + self.payloads.len() as u64
    }

    fn contents(&self) -> Contents {
        let last_index = (!self.payloads.is_empty()).then(|| self.next() - 1);
        (GroupLog { vote: self.vote.clone(), purged: self.purged.clone(), last_index }, self.payloads.clone())
    }
}

impl Model {
    fn starting_with(state: State) -> Self {
        Self { states: vec![state], durable: Arc::default() }
    }

    fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    fn step(&mut self, change: impl FnOnce(&mut State)) {
        let mut state = self.last().clone();
        change(&mut state);
        self.states.push(state);
    }

    fn callback(&self) -> replicated_grid::log::Durable {
        let (durable, state) = (Arc::clone(&self.durable), self.states.len() - 1);
        Box::new(move |outcome| {
            if outcome.is_ok() {
                assert!(durable.swap(state, Ordering::SeqCst) <= state, "callbacks come in order");
            }
        })
    }
}

struct Run {
    disk: SimulatedDisk,
    node: Option<Node>,
    models: Vec<Model>,
    written: u64,
}

impl Run {
    fn new() -> Self {
        let disk = SimulatedDisk::default();
        let node = Some(wal_node::open(&disk).unwrap());
        let models = (0..GROUPS).map(|_| Model::starting_with(State::default())).collect();
        Self { disk, node, models, written: 0 }
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().unwrap()
    }

    fn payload(&mut self, bytes: usize) -> Bytes {
        self.written += 1;
        let mut payload = self.written.to_le_bytes().to_vec();
        payload.resize(8 + bytes, self.written as u8);
        Bytes::from(payload)
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Append { group, entries, bytes } => {
                let payloads: Vec<Bytes> = (0..entries).map(|_| self.payload(bytes)).collect();
                let model = &mut self.models[usize::from(group)];
                let indexes = model.last().next()..;
                let entries =
                    indexes.zip(&payloads).map(|(index, payload)| LogEntry { index, payload: payload.clone() });
                let entries = entries.collect();
                payloads.into_iter().for_each(|payload| model.step(|state| state.payloads.push(payload)));
                let callback = model.callback();
                self.node().wal.append(group, entries, callback);
            }
            Op::Truncate { group, back } => {
                let model = &mut self.models[usize::from(group)];
                let from = model.last().next().saturating_sub(back).max(model.last().first());
                model.step(|state| state.payloads.truncate((from - state.first()) as usize));
                let callback = model.callback();
                self.node().wal.truncate(group, from, callback);
            }
            Op::Purge { group, ahead } => {
                let marker = self.payload(0);
                let model = &mut self.models[usize::from(group)];
                let through = model.last().first() + ahead;
                model.step(|state| {
                    let gone = ((through + 1 - state.first()) as usize).min(state.payloads.len());
                    state.payloads.drain(..gone);
                    state.purged = Some((through, marker.clone()));
                });
                let callback = model.callback();
                self.node().wal.purge(group, through, marker, callback);
            }
            Op::Vote { group } => {
                let vote = self.payload(0);
                let model = &mut self.models[usize::from(group)];
                model.step(|state| state.vote = Some(vote.clone()));
                let callback = model.callback();
                self.node().wal.save_vote(group, vote, callback);
            }
            Op::Turn => drop(self.node().writer.turn()),
            Op::Settle => drop(self.node().settle()),
            Op::Restart => {
                self.node().settle();
                self.node = None;
                self.reopen();
            }
            Op::Crash { seed } => self.crash(seed),
            Op::CrashInSync { syncs, seed } => {
                self.disk.stop_in_sync_after(syncs);
                self.node().settle();
                self.disk.heal();
                self.crash(seed);
            }
        }
        self.check_readable();
    }

    fn crash(&mut self, seed: u64) {
        self.disk.crash(&mut StdRng::seed_from_u64(seed));
        self.node = None;
        self.reopen();
    }

    fn reopen(&mut self) {
        let node = wal_node::open(&self.disk).unwrap();
        for (group, model) in (0..).zip(&mut self.models) {
            let found = node.contents(group).unwrap();
            let durable = model.durable.load(Ordering::SeqCst);
            let known = model.states[durable..].iter().find(|state| state.contents() == found);
            let Some(known) = known else {
                panic!(
                    "group {group}: found {found:?}\nafter {durable} of {} steps {:?}",
                    model.states.len(),
                    model.states[durable]
                );
            };
            *model = Model::starting_with(known.clone());
        }
        self.node = Some(node);
    }

    /// What was asked for can be read at once.
    fn check_readable(&mut self) {
        let node = self.node.as_ref().unwrap();
        for (group, model) in (0..).zip(&self.models) {
            assert_eq!(node.contents(group).unwrap(), model.last().contents(), "group {group}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_reported_durable_survives_and_nothing_else_appears(ops in prop::collection::vec(op(), 1..120)) {
        let mut run = Run::new();
        ops.iter().for_each(|op| run.run(op));
    }
}

/// One group never purges, the others do all the time: the log stays within its bound, and nothing is lost.
#[test]
fn a_group_that_lags_does_not_keep_the_disk_from_being_freed() {
    let mut run = Run::new();
    run.run(&Op::Append { group: 0, entries: 4, bytes: 500 });
    run.run(&Op::Vote { group: 0 });
    for round in 0..200 {
        run.run(&Op::Append { group: 1, entries: 4, bytes: 700 });
        run.run(&Op::Purge { group: 1, ahead: 3 });
        run.run(&Op::Settle);
        if round % 20 == 0 {
            run.run(&Op::Append { group: 0, entries: 1, bytes: 10 });
            run.run(&Op::Crash { seed: round });
        }
        let live: usize =
            run.models.iter().flat_map(|model| &model.last().payloads).map(|bytes| bytes.len() + 34).sum();
        let bound = 2 * live as u64 + 7 * wal_node::SEGMENT_BYTES;
        assert!(run.disk.used_bytes() <= bound, "{} bytes, {bound} allowed", run.disk.used_bytes());
    }
}

/// The model is worth something: a log whose syncs keep nothing does not pass it.
#[test]
fn a_sync_that_is_missing_is_found() {
    let lost = |seed: u64, has_syncs: bool| {
        let steps = move || {
            let mut run = Run::new();
            if !has_syncs {
                run.disk.ignore_syncs();
            }
            run.run(&Op::Append { group: 0, entries: 3, bytes: 400 });
            run.run(&Op::Settle);
            run.run(&Op::Vote { group: 1 });
            run.run(&Op::Settle);
            run.run(&Op::Crash { seed });
        };
        let outcome = std::panic::catch_unwind(steps);
        let message =
            |panic: Box<dyn std::any::Any + Send>| panic.downcast_ref::<String>().cloned().unwrap_or_default();
        outcome.map_err(message).is_err_and(|message| message.contains("found") && message.contains("steps"))
    };
    assert!((0..40).filter(|seed| lost(*seed, false)).count() >= 10, "most crashes lose something");
    assert!(!(0..40).any(|seed| lost(seed, true)), "with syncs none does");
}
