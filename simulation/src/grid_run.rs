//! A run of the grid alone: real nodes with a growing-set machine, writers and readers on every one of them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use replicated_grid::NodeId;
use replicated_grid::replicated::{Config, ReplicatedNode};
use tonic::service::Routes;

use crate::administration::{self, Orders};
use crate::clock::{START_MS, VirtualTime};
use crate::driver;
use crate::faults::World;
use crate::history::Observation;
use crate::machine::{self, Machine};
use crate::observing::Observer;
use crate::options::Options;
use crate::recorder::Recorder;
use crate::schedule::Fault;
use crate::set_machine::SetMachine;
use crate::{probes, workload};

/// How long after healing operations go on.
pub const WORK_AFTER_HEALING: Duration = Duration::from_secs(14);

/// How long after healing the final states are compared.
pub const SETTLING: Duration = Duration::from_secs(24);

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
    orders: Arc<Orders>,
    observer: Mutex<Observer<SetMachine>>,
}

impl GridWorld {
    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        self.options.partitions
    }

    /// The nodes that run, by number.
    pub fn running(&self) -> BTreeMap<u64, ReplicatedNode<SetMachine>> {
        self.nodes.lock().clone()
    }

    /// Whether the run was healed, and so long ago.
    pub fn healed_for(&self) -> Option<Duration> {
        self.time.now().checked_sub(self.options.heals_at())
    }
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
        self.orders.forget(node);
    }

    fn administer(&self, fault: &Fault) {
        self.orders.give(fault, self.nodes.lock().keys().next().copied());
    }

    fn observe(&self) {
        self.observer.lock().observe(&self.machines, &self.running(), &self.recorder);
    }
}

/// Runs it.
pub(crate) fn simulate(options: Options, time: Arc<VirtualTime>, recorder: Recorder) -> Result<(), String> {
    let machines = machine::all(options.machines(), &time, options.seed);
    let world = Arc::new(GridWorld {
        options,
        recorder: recorder.clone(),
        time: Arc::clone(&time),
        elements: AtomicU32::new(0),
        machines,
        nodes: Mutex::default(),
        orders: Arc::default(),
        observer: Mutex::new(Observer::new(|machine, after| (machine.applied(), machine.marks_after(after)))),
    });
    let mut sim = driver::network(options.seed);
    let hosted = Arc::clone(&world);
    driver::add_hosts(&mut sim, &world.machines, move |machine| host(Arc::clone(&hosted), machine));
    let ended = driver::drive(sim, &time, &*world, &options.schedule(), SETTLING, options.seed);
    for (number, node) in world.running() {
        see_final(&recorder, options.partitions, number, &node, time.now());
    }
    ended
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
    let node = started.node.clone();
    let _serves_on = match machine.serve(started, Routes::default()).await {
        Ok(shutdown) => shutdown,
        Err(error) => {
            world.recorder.see(Observation::NotStarted { node: machine.number, reason: error.to_string() });
            return std::future::pending().await;
        }
    };
    world.nodes.lock().insert(machine.number, node.clone());
    let beside = |name: &str, task: futures::future::BoxFuture<'static, ()>| {
        tokio::spawn(replicated_grid::spawn::seeded(machine.number_of(name), task))
    };
    if machine.number == 1 && machine.incarnation.load(Ordering::SeqCst) == 1 {
        beside("init", Box::pin(administration::form(world.recorder.clone(), world.options.members(), node.clone())));
    }
    beside("serving", Box::pin(workload::keep_serving(Arc::clone(&machine), node.clone())));
    let administrator = administration::administer(
        Arc::clone(&world.orders),
        world.recorder.clone(),
        Arc::clone(&machine),
        node.clone(),
    );
    beside("orders", Box::pin(administrator));
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
