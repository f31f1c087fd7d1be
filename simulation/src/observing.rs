//! What is seen of the nodes after a step: every change of who leads, and the digest of their states at marked places.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use replicated_grid::Leadership;

use crate::faults::World;
use crate::grid_run::GridWorld;
use crate::history::Observation;

/// Remembers what was seen last, so that only changes are recorded.
#[derive(Debug, Default)]
pub struct Observer {
    leadership: BTreeMap<(u64, u16), (u32, Leadership)>,
    marked: BTreeMap<(u64, u16), (u32, u64)>,
}

impl Observer {
    /// Looks at every node that runs.
    pub fn observe(&mut self, world: &GridWorld) {
        for (number, node) in world.running() {
            let index = usize::try_from(number - 1).unwrap_or(0);
            let incarnation = world.machines()[index].incarnation.load(Ordering::SeqCst);
            let leadership = node.leadership().borrow().clone();
            for (partition, now) in (0..).zip(leadership.iter().copied()) {
                let looked = node.read_without_lease(partition, |machine| {
                    let (marked_in, after) = self.marked.get(&(number, partition)).copied().unwrap_or_default();
                    let after = if marked_in == incarnation { after } else { 0 };
                    (machine.applied(), machine.marks_after(after))
                });
                let (applied, marks) = looked.unwrap_or_default();
                if self.leadership.insert((number, partition), (incarnation, now)) != Some((incarnation, now)) {
                    world.recorder.see(Observation::Leadership {
                        node: number,
                        incarnation,
                        partition,
                        leader: now.leader.map(|leader| leader.0),
                        term: now.term,
                        is_ours: now.is_ours,
                        applied,
                    });
                }
                for (count, digest) in marks {
                    self.marked.insert((number, partition), (incarnation, count));
                    world.recorder.see(Observation::Applied { node: number, incarnation, partition, count, digest });
                }
            }
        }
    }
}
