//! A run of the grid alone: real nodes with a growing-set machine, writers and readers on every one of them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use replicated_grid::replicated::{Config, ReplicatedNode};
use replicated_grid::{Member, NodeId};

use crate::clock::{HostClock, START_MS, VirtualTime};
use crate::driver;
use crate::faults::World;
use crate::history::{History, Observation, Recorder};
use crate::machine::Machine;
use crate::network;
use crate::observing::Observer;
use crate::schedule::{Fault, Planned, Shape, plan};
use crate::seed::Seed;
use crate::set_machine::SetMachine;
use crate::{probes, workload};

/// How long after healing operations go on.
pub const WORK_AFTER_HEALING: Duration = Duration::from_secs(14);

/// How long after healing the final states are compared.
pub const SETTLING: Duration = Duration::from_secs(24);

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// From which everything follows.
    pub seed: Seed,
    /// Nodes of the grid.
    pub nodes: u64,
    /// How long things go wrong.
    pub faults_for: Duration,
    /// Partitions of the grid.
    pub partitions: u16,
}

impl Options {
    fn shape(self) -> Shape {
        Shape { nodes: self.nodes, spares: 1, faults_for: self.faults_for, has_store: false }
    }

    /// What will go wrong.
    pub fn schedule(self) -> Vec<Planned> {
        plan(self.seed, self.shape())
    }
}

/// The run as its hosts share it.
pub struct GridWorld {
    /// What it is.
    pub options: Options,
    /// Where the history goes.
    pub recorder: Recorder,
    /// The time.
    pub time: Arc<VirtualTime>,
    /// Elements handed out.
    pub elements: AtomicU32,
    machines: Vec<Arc<Machine>>,
    nodes: Mutex<BTreeMap<u64, ReplicatedNode<SetMachine>>>,
    orders: Mutex<BTreeMap<u64, VecDeque<Fault>>>,
    observer: Mutex<Observer>,
}

impl GridWorld {
    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        self.options.partitions
    }

    /// The machines of the grid at the start.
    pub fn members(&self) -> Vec<Member> {
        (1..=self.options.nodes).map(member).collect()
    }

    /// What was asked of an administrator at `node` since the last time.
    pub fn next_order(&self, node: u64) -> Option<Fault> {
        self.orders.lock().get_mut(&node)?.pop_front()
    }

    /// The nodes that run, by number.
    pub fn running(&self) -> BTreeMap<u64, ReplicatedNode<SetMachine>> {
        self.nodes.lock().clone()
    }

    /// Whether the run was healed, and so long ago.
    pub fn healed_for(&self) -> Option<Duration> {
        let heals_at = crate::schedule::QUIET_BEFORE + self.options.faults_for;
        self.time.now().checked_sub(heals_at)
    }
}

/// Node `number` as the grid knows it.
pub fn member(number: u64) -> Member {
    Member { id: NodeId(number), address: network::address(number) }
}

impl World for GridWorld {
    fn machines(&self) -> &[Arc<Machine>] {
        &self.machines
    }

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn switched_off(&self, node: u64) {
        self.nodes.lock().remove(&node);
        self.orders.lock().remove(&node);
    }

    fn administer(&self, fault: &Fault) {
        // Whoever drains does so itself; changes are asked of a machine that runs.
        let at = match fault {
            Fault::Drain(node) => Some(*node),
            _ => self.nodes.lock().keys().next().copied(),
        };
        if let Some(at) = at {
            self.orders.lock().entry(at).or_default().push_back(fault.clone());
        }
    }

    fn observe(&self) {
        self.observer.lock().observe(self);
    }
}

/// Runs it; the history, and what ended it early if anything did.
pub fn run(options: Options) -> (History, Result<(), String>) {
    let time = Arc::<VirtualTime>::default();
    let recorder = Recorder::new(Arc::clone(&time));
    let mut drifts = options.seed.stream("drifts");
    let machine = |number| {
        use rand::Rng;
        let clock = HostClock::new(Arc::clone(&time));
        clock.drift(drifts.random_range(-200..=200), drifts.random_range(-200..=200));
        Machine::new(number, clock, options.seed)
    };
    let machines = (1..=options.nodes + options.shape().spares).map(machine).collect();
    let world = Arc::new(GridWorld {
        options,
        recorder: recorder.clone(),
        time: Arc::clone(&time),
        elements: AtomicU32::new(0),
        machines,
        nodes: Mutex::default(),
        orders: Mutex::default(),
        observer: Mutex::default(),
    });
    let mut sim = driver::network(options.seed);
    for machine in &world.machines {
        let (world, machine) = (Arc::clone(&world), Arc::clone(machine));
        sim.host(machine.host(), move || {
            let (world, machine) = (Arc::clone(&world), Arc::clone(&machine));
            async move {
                machine.incarnation.fetch_add(1, Ordering::SeqCst);
                let seed = machine.number_of("host");
                replicated_grid::spawn::seeded(seed, host(world, machine)).await;
                Ok(())
            }
        });
    }
    let ended = driver::drive(sim, &time, &*world, &options.schedule(), SETTLING, options.seed);
    for (number, node) in world.running() {
        see_final(&recorder, options.partitions, number, &node, time.now());
    }
    (recorder.history(), ended)
}

/// What runs on one machine.
async fn host(world: Arc<GridWorld>, machine: Arc<Machine>) {
    let partitions = NonZeroU16::new(world.partitions()).unwrap_or(NonZeroU16::MIN);
    let mut config = Config::new("simulated", partitions);
    // Forced low, so that snapshots are taken and sent all the time.
    (config.snapshot_after_entries, config.entries_kept) = (60, 10);
    let started = match machine.start_node(config, SetMachine::default).await {
        Ok(started) => started,
        Err(error) => {
            world.recorder.see(Observation::NotStarted { node: machine.number, reason: error.to_string() });
            return std::future::pending().await;
        }
    };
    let node = started.node;
    world.nodes.lock().insert(machine.number, node.clone());
    let beside = |name: &str, task: futures::future::BoxFuture<'static, ()>| {
        tokio::spawn(replicated_grid::spawn::seeded(machine.number_of(name), task))
    };
    if machine.number == 1 && machine.incarnation.load(Ordering::SeqCst) == 1 {
        beside("init", Box::pin(workload::form(Arc::clone(&world), node.clone())));
    }
    beside("serving", Box::pin(workload::keep_serving(Arc::clone(&machine), node.clone())));
    beside("orders", Box::pin(workload::administer(Arc::clone(&world), Arc::clone(&machine), node.clone())));
    beside("probes", Box::pin(probes::run(Arc::clone(&world), Arc::clone(&machine), node.clone())));
    if machine.number <= world.options.nodes {
        for number in 0..2 {
            let name = format!("writer{number}");
            let task = workload::write(Arc::clone(&world), Arc::clone(&machine), node.clone(), number);
            beside(&name, Box::pin(task));
        }
    }
    // A spare reads as well: it may come to lead.
    beside("reader", Box::pin(workload::read(Arc::clone(&world), Arc::clone(&machine), node)));
    let _serves_on = started.shutdown;
    std::future::pending().await
}

fn see_final(recorder: &Recorder, partitions: u16, number: u64, node: &ReplicatedNode<SetMachine>, now: Duration) {
    let status = node.status();
    for partition in 0..partitions {
        let placed = status.partitions.get(usize::from(partition));
        if !placed.is_some_and(|placed| placed.replicas.contains(&NodeId(number))) {
            continue;
        }
        let seen = node.read_without_lease(partition, |machine| {
            let ran_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            Observation::Final {
                node: number,
                partition,
                count: machine.applied(),
                digest: machine.digest(),
                elements: machine.all(),
                repeated: machine.repeated(),
                time_error_ms: machine.time_ms() - START_MS - ran_ms,
            }
        });
        let nothing = || Observation::Final {
            node: number,
            partition,
            count: 0,
            digest: 0,
            elements: Vec::new(),
            repeated: Vec::new(),
            time_error_ms: 0,
        };
        recorder.see(seen.unwrap_or_else(|_| nothing()));
    }
}
