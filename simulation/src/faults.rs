//! Carries a schedule out on the simulated machines and their network.
//!
//! What concerns the services (membership, DynamoDB, queues) is handed to the [`World`] of the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use turmoil::Sim;

use crate::history::Observation;
use crate::machine::Machine;
use crate::recorder::Recorder;
use crate::schedule::Fault;

/// The latency of a healthy link at the longest.
pub const LATENCY_MAX: Duration = Duration::from_millis(5);

/// A run as the driver sees it.
pub trait World {
    /// The machines, by number from 1.
    fn machines(&self) -> &[Arc<Machine>];

    /// Where the history goes.
    fn recorder(&self) -> &Recorder;

    /// A machine was switched off: nothing of it may be used any more.
    fn switched_off(&self, node: u64);

    /// A fault of what only the services know.
    fn administer(&self, fault: &Fault);

    /// Some of those outside of the machines stay with this one, as long as it answers; with none in particular.
    fn attract(&self, _machine: Option<u64>) {}

    /// Looks at everything that invariants need, after a step.
    fn observe(&self);

    /// Whether no replica is just behind another, so that their states can be compared.
    fn is_settled(&self) -> bool {
        true
    }
}

/// See the module.
pub struct Injector<'a> {
    world: &'a dyn World,
    random: StdRng,
    down: Vec<u64>,
    /// Disks whose next sync goes wrong, with how many there were.
    armed: BTreeMap<u64, (Fault, u64)>,
}

impl<'a> Injector<'a> {
    /// One for `world`; `random` decides what a crash leaves of what was not synced.
    pub fn new(world: &'a dyn World, random: StdRng) -> Self {
        Self { world, random, down: Vec::new(), armed: BTreeMap::new() }
    }

    /// Carries `fault` out. What cannot take effect now is recorded when it does, if it does.
    pub fn apply(&mut self, sim: &mut Sim<'_>, fault: &Fault) {
        let is_late = match fault {
            Fault::Crash(node) => self.down.contains(node),
            Fault::Restart(node) => !self.down.contains(node),
            Fault::CrashInSync(_) | Fault::FailingDisk(_) => true,
            _ => false,
        };
        if !is_late {
            self.record(fault);
        }
        match fault {
            Fault::Crash(node) => self.crash(sim, *node),
            Fault::Restart(node) => self.restart(sim, *node),
            Fault::CrashAll => self.all().for_each(|node| self.crash(sim, node)),
            Fault::RestartAll => self.all().for_each(|node| self.restart(sim, node)),
            Fault::CrashInSync(node) => self.arm(*node, fault, |files| files.stop_in_sync_after(0)),
            Fault::Freeze(node) => self.freeze(sim, *node),
            Fault::Thaw(node) => self.thaw(sim, *node),
            Fault::Partition(side) => self.partition(sim, side),
            Fault::OneWay(from, to) => sim.partition_oneway(self.host(*from), self.host(*to)),
            Fault::Mute(node) => {
                let others: Vec<u64> = self.all().filter(|other| other != node).collect();
                others.into_iter().for_each(|other| sim.partition_oneway(self.host(*node), self.host(other)));
            }
            Fault::Apart(a, b) => {
                sim.partition(self.host(*a), self.host(*b));
                self.world.attract(Some(*a));
            }
            Fault::Hold(a, b) => sim.hold(self.host(*a), self.host(*b)),
            Fault::Repair => self.repair(sim),
            Fault::Latency(a, b, ms) => {
                let longest = Duration::from_millis(*ms).max(LATENCY_MAX);
                sim.set_link_max_message_latency(self.host(*a), self.host(*b), longest);
            }
            Fault::SlowDisk(node, ms) => {
                self.with(*node, |machine| machine.disk().slow_down(Duration::from_millis(*ms)));
            }
            Fault::FullDisk(node) => self.with(*node, |machine| {
                let files = machine.disk().files;
                files.set_capacity(Some(files.used_bytes()));
            }),
            Fault::SpaceAgain(node) => self.with(*node, |machine| machine.disk().files.set_capacity(None)),
            Fault::FailingDisk(node) => self.arm(*node, fault, |files| files.fail_syncs_after(0)),
            Fault::Jump(node, ms) => self.with(*node, |machine| machine.clock.jump(*ms)),
            Fault::SetRight(node) => self.with(*node, |machine| machine.clock.set_right()),
            Fault::Heal => self.heal(sim),
            Fault::Add(_)
            | Fault::Remove(_)
            | Fault::Drain(_)
            | Fault::Transfer(..)
            | Fault::StoreDown(_)
            | Fault::StoreSlow(_)
            | Fault::StoreUp
            | Fault::QueueDown
            | Fault::QueueUp
            | Fault::IngressDown
            | Fault::IngressUp => self.world.administer(fault),
        }
    }

    /// After each step: a machine whose sync was to be torn dies in it.
    pub fn after_step(&mut self, sim: &mut Sim<'_>) {
        let mut went_wrong = Vec::new();
        for (node, (fault, before)) in &self.armed {
            self.with(*node, |machine| {
                if machine.disk().files.syncs() > *before {
                    went_wrong.push((*node, fault.clone()));
                }
            });
        }
        for (node, fault) in went_wrong {
            self.armed.remove(&node);
            self.record(&fault);
            if matches!(fault, Fault::CrashInSync(_)) {
                self.apply(sim, &Fault::Crash(node));
            }
        }
    }

    fn record(&self, fault: &Fault) {
        self.world.recorder().see(Observation::Fault(fault.to_string()));
    }

    fn arm(&mut self, node: u64, fault: &Fault, arm: impl FnOnce(&SimulatedDisk)) {
        let mut syncs = 0;
        self.with(node, |machine| {
            let files = machine.disk().files;
            arm(&files);
            syncs = files.syncs();
        });
        self.armed.insert(node, (fault.clone(), syncs));
    }

    fn all(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.world.machines().len() as u64
    }

    fn host(&self, node: u64) -> String {
        crate::network::host_name(node)
    }

    fn with(&self, node: u64, act: impl FnOnce(&Machine)) {
        let index = usize::try_from(node).unwrap_or(usize::MAX).wrapping_sub(1);
        if let Some(machine) = self.world.machines().get(index) {
            act(machine);
        }
    }

    fn crash(&mut self, sim: &mut Sim<'_>, node: u64) {
        if self.down.contains(&node) {
            return;
        }
        self.down.push(node);
        self.armed.remove(&node);
        sim.crash(self.host(node));
        self.world.switched_off(node);
        let mut random = self.random.clone();
        self.with(node, |machine| {
            let files = machine.disk().files;
            files.crash(&mut random);
            files.heal();
        });
        self.random = random;
    }

    fn restart(&mut self, sim: &mut Sim<'_>, node: u64) {
        if self.down.contains(&node) {
            self.down.retain(|other| *other != node);
            sim.bounce(self.host(node));
        }
    }

    fn freeze(&self, sim: &Sim<'_>, node: u64) {
        self.with(node, |machine| {
            machine.is_frozen.store(true, Ordering::SeqCst);
            machine.clock.freeze();
        });
        for other in self.all().filter(|other| *other != node) {
            sim.hold(self.host(node), self.host(other));
        }
    }

    fn thaw(&self, sim: &Sim<'_>, node: u64) {
        for other in self.all().filter(|other| *other != node) {
            sim.release(self.host(node), self.host(other));
        }
        self.with(node, |machine| {
            machine.clock.thaw();
            machine.is_frozen.store(false, Ordering::SeqCst);
        });
    }

    fn partition(&self, sim: &Sim<'_>, side: &[u64]) {
        for one in side {
            for other in self.all().filter(|other| !side.contains(other)) {
                sim.partition(self.host(*one), self.host(other));
            }
        }
    }

    /// Everything passes again; what was held arrives.
    fn repair(&self, sim: &Sim<'_>) {
        self.world.attract(None);
        for one in self.all() {
            for other in self.all().filter(|other| *other > one) {
                sim.release(self.host(one), self.host(other));
                sim.repair(self.host(one), self.host(other));
            }
        }
    }

    fn heal(&mut self, sim: &mut Sim<'_>) {
        self.repair(sim);
        for node in self.all() {
            self.with(node, |machine| {
                let disk = machine.disk();
                disk.slow_down(Duration::ZERO);
                disk.files.set_capacity(None);
                machine.clock.set_right();
            });
            if self.world.machines()[usize::try_from(node - 1).unwrap_or(0)].is_frozen.load(Ordering::SeqCst) {
                self.thaw(sim, node);
            }
            self.restart(sim, node);
        }
        for fault in [Fault::StoreUp, Fault::QueueUp, Fault::IngressUp] {
            self.world.administer(&fault);
        }
        self.world.recorder().see(Observation::Phase("healed".to_owned()));
    }
}
