//! What is seen of the nodes after a step: every change of who leads, and the digest of their states at marked places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use replicated_grid::replicated::ReplicatedNode;
use replicated_grid::{Leadership, NodeId, StateMachine};

use crate::clock::START_MS;
use crate::history::Observation;
use crate::machine::Machine;
use crate::recorder::Recorder;

/// What was recorded last of one node's part in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    incarnation: u32,
    leadership: Leadership,
    serves: bool,
}

/// How many commands a state has applied, and its marks after so many: count, digest and time.
pub type Marks<M> = fn(&M, u64) -> (u64, Vec<(u64, u64, i64)>);

/// Remembers what was seen last, so that only changes are recorded.
pub struct Observer<M> {
    marks: Marks<M>,
    known: BTreeMap<(u64, u16), Known>,
    marked: BTreeMap<(u64, u16), (u32, u64)>,
}

impl<M: StateMachine> Observer<M> {
    /// One that has seen nothing.
    pub fn new(marks: Marks<M>) -> Self {
        Self { marks, known: BTreeMap::new(), marked: BTreeMap::new() }
    }

    /// Looks at every node.
    pub fn observe(
        &mut self,
        machines: &[Arc<Machine>],
        running: &BTreeMap<u64, ReplicatedNode<M>>,
        recorder: &Recorder,
    ) {
        for machine in machines {
            match running.get(&machine.number) {
                Some(node) => self.look_at(recorder, machine, node),
                None => self.forget(recorder, machine.number),
            }
        }
    }

    /// A machine that is off serves nothing.
    fn forget(&mut self, recorder: &Recorder, number: u64) {
        for ((_, partition), known) in self.known.range_mut((number, 0)..=(number, u16::MAX)) {
            if known.serves || known.leadership.is_ours {
                (known.serves, known.leadership.is_ours) = (false, false);
                record(recorder, number, *partition, *known, 0);
            }
        }
    }

    fn look_at(&mut self, recorder: &Recorder, machine: &Machine, node: &ReplicatedNode<M>) {
        let (number, incarnation) = (machine.number, machine.incarnation.load(Ordering::SeqCst));
        let is_frozen = machine.is_frozen.load(Ordering::SeqCst);
        let leadership = node.leadership().borrow().clone();
        for (partition, leadership) in (0..).zip(leadership.iter().copied()) {
            let looked = node.read_without_lease(partition, |machine| {
                let (marked_in, after) = self.marked.get(&(number, partition)).copied().unwrap_or_default();
                let after = if marked_in == incarnation { after } else { 0 };
                (self.marks)(machine, after)
            });
            let (applied, marks) = looked.unwrap_or_default();
            let known = Known { incarnation, leadership, serves: !is_frozen && node.is_serving(partition) };
            if self.known.insert((number, partition), known) != Some(known) {
                record(recorder, number, partition, known, applied);
            }
            for (count, digest, time_ms) in marks {
                self.marked.insert((number, partition), (incarnation, count));
                let time_ms = time_ms - START_MS;
                let what = Observation::Applied { node: number, incarnation, partition, count, digest, time_ms };
                recorder.see(what);
            }
        }
    }
}

fn record(recorder: &Recorder, node: u64, partition: u16, known: Known, applied: u64) {
    let Known { incarnation, leadership, serves } = known;
    recorder.see(Observation::Leadership {
        node,
        incarnation,
        partition,
        leader: leadership.leader.map(|leader| leader.0),
        term: leadership.term,
        is_ours: leadership.is_ours,
        applied,
        serves,
    });
}

/// Whether all nodes that are to hold a partition hold the same of it. What a node says of its progress is no measure: it may have applied an
/// entry that it has not counted yet.
pub fn agree<M: StateMachine>(partitions: u16, running: &BTreeMap<u64, ReplicatedNode<M>>) -> bool {
    (0..partitions).all(|partition| {
        let mut states = running.iter().filter_map(|(number, node)| state(partition, *number, node));
        let first = states.next();
        states.all(|state| Some(state) == first)
    })
}

/// What node `number` holds of a partition; `None` when it is not to hold it.
fn state<M: StateMachine>(partition: u16, number: u64, node: &ReplicatedNode<M>) -> Option<Vec<u8>> {
    let status = node.status();
    let placed = status.partitions.get(usize::from(partition))?;
    let is_held = placed.replicas.contains(&NodeId(number));
    is_held.then(|| node.read_without_lease(partition, StateMachine::snapshot).unwrap_or_default())
}

/// Records the state of each partition that node `number` is to hold, by its snapshot.
pub fn see_final<M: StateMachine>(recorder: &Recorder, partitions: u16, number: u64, node: &ReplicatedNode<M>) {
    for partition in 0..partitions {
        let Some(state) = state(partition, number, node) else { continue };
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        recorder.see(Observation::Final {
            node: number,
            partition,
            count: state.len() as u64,
            digest: state.iter().fold(0xcbf2_9ce4_8422_2325, mix),
            elements: Vec::new(),
            repeated: Vec::new(),
            time_error_ms: 0,
        });
    }
}
