//! A run of presence: merchant-connection on a real grid, kitchen-api's keepers of beats, POS, and models around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kitchen_api::presence::BeatKeeper;
use merchant_connection::PresencePartition;
use parking_lot::Mutex;
use replicated_grid::replicated::ReplicatedNode;

use crate::administration::{self, Orders};
use crate::clock::VirtualTime;
use crate::driver;
use crate::faults::World;
use crate::feed::cloud::Cloud;
use crate::history::Observation;
use crate::machine::{self, Machine};
use crate::observing::{Observer, agree, see_final};
use crate::options::Options;
use crate::presence::dynamodb::MerchantsTable;
use crate::presence::pos::{Fleet, Reachable};
use crate::presence::{node, watching};
use crate::recorder::Recorder;
use crate::schedule::Fault;

/// How long after healing POS poll.
const POLLS_AFTER_HEALING: Duration = Duration::from_secs(40);

/// How long after healing the run ends: whatever was said of the last polls is replicated by then, and nobody is silent for
/// too long.
const SETTLING: Duration = Duration::from_secs(44);

/// The run as its hosts share it.
pub struct PresenceWorld {
    /// What it is.
    pub options: Options,
    /// Where the history goes.
    pub recorder: Recorder,
    /// DynamoDB.
    pub cloud: Arc<Cloud<MerchantsTable>>,
    /// Whether `merchant-status` fails.
    pub topic_is_down: Arc<AtomicBool>,
    ingress_is_down: AtomicBool,
    /// The machine with which some POS stay; 0: none.
    attracting: AtomicU64,
    time: Arc<VirtualTime>,
    machines: Vec<Arc<Machine>>,
    nodes: Mutex<BTreeMap<u64, ReplicatedNode<PresencePartition>>>,
    keepers: Mutex<BTreeMap<u64, BeatKeeper>>,
    orders: Arc<Orders>,
    observer: Mutex<Observer<PresencePartition>>,
    fleet: Mutex<Fleet>,
}

impl World for PresenceWorld {
    fn machines(&self) -> &[Arc<Machine>] {
        &self.machines
    }

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn switched_off(&self, node: u64) {
        self.nodes.lock().remove(&node);
        self.keepers.lock().remove(&node);
        self.orders.forget(node);
    }

    fn administer(&self, fault: &Fault) {
        match fault {
            Fault::StoreDown(_) | Fault::StoreSlow(_) | Fault::StoreUp => self.cloud.suffer(fault),
            Fault::QueueDown | Fault::QueueUp => {
                self.topic_is_down.store(*fault == Fault::QueueDown, Ordering::SeqCst);
            }
            Fault::IngressDown | Fault::IngressUp => {
                self.ingress_is_down.store(*fault == Fault::IngressDown, Ordering::SeqCst);
            }
            _ => self.orders.give(fault, self.nodes.lock().keys().next().copied()),
        }
    }

    fn attract(&self, machine: Option<u64>) {
        self.attracting.store(machine.unwrap_or(0), Ordering::SeqCst);
    }

    fn observe(&self) {
        if self.time.now() < self.options.heals_at() + POLLS_AFTER_HEALING {
            self.poll();
        }
        let running = self.nodes.lock().clone();
        self.observer.lock().observe(&self.machines, &running, &self.recorder);
    }

    /// A sweep is proposed every few seconds, whenever the run ends.
    fn is_settled(&self) -> bool {
        agree(self.options.partitions, &self.nodes.lock())
    }
}

impl PresenceWorld {
    fn poll(&self) {
        let mut answering = self.keepers.lock().clone();
        let is_reached = |number: &u64| {
            let machine = self.machines.iter().find(|machine| machine.number == *number);
            let is_frozen = machine.is_none_or(|machine| machine.is_frozen.load(Ordering::SeqCst));
            !is_frozen && !self.ingress_is_down.load(Ordering::SeqCst)
        };
        answering.retain(|number, _| is_reached(number));
        let reachable = Reachable {
            machines: self.options.nodes,
            keepers: &answering,
            attracting: self.attracting.load(Ordering::SeqCst),
        };
        self.fleet.lock().work(self.time.now(), &reachable);
    }
}

/// Runs it.
pub(crate) fn simulate(options: Options, time: Arc<VirtualTime>, recorder: Recorder) -> Result<(), String> {
    let pos = options.seed.stream("pos");
    let world = Arc::new(PresenceWorld {
        options,
        recorder: recorder.clone(),
        cloud: Cloud::new(Arc::clone(&time), options.seed.stream("cloud")),
        topic_is_down: Arc::default(),
        ingress_is_down: AtomicBool::new(false),
        attracting: AtomicU64::new(0),
        time: Arc::clone(&time),
        machines: machine::all(options.machines(), &time, options.seed),
        nodes: Mutex::default(),
        keepers: Mutex::default(),
        orders: Arc::default(),
        observer: Mutex::new(Observer::new(|partition, _| (u64::from(partition.hearing()), Vec::new()))),
        fleet: Mutex::new(Fleet::new(recorder.clone(), pos, options.partitions, options.heals_at())),
    });
    let mut sim = driver::network(options.seed);
    let hosted = Arc::clone(&world);
    driver::add_hosts(&mut sim, &world.machines, move |machine| host(Arc::clone(&hosted), machine));
    let ended = driver::drive(sim, &time, &*world, &options.schedule(), SETTLING, options.seed);
    for (number, node) in world.nodes.lock().iter() {
        see_final(&recorder, options.partitions, *number, node);
    }
    ended
}

/// What runs on one machine.
async fn host(world: Arc<PresenceWorld>, machine: Arc<Machine>) {
    let running = match node::start(&world, &machine).await {
        Ok(running) => running,
        Err(error) => {
            world.recorder.see(Observation::NotStarted { node: machine.number, reason: error.to_string() });
            return std::future::pending().await;
        }
    };
    let node = running.node.clone();
    world.nodes.lock().insert(machine.number, node.clone());
    if machine.number <= world.options.nodes {
        world.keepers.lock().insert(machine.number, running.keeper.clone());
    }
    let beside = |name: &str, task: futures::future::BoxFuture<'static, ()>| {
        tokio::spawn(replicated_grid::spawn::seeded(machine.number_of(name), task))
    };
    if machine.number == 1 && machine.incarnation.load(Ordering::SeqCst) == 1 {
        let forming = administration::form(world.recorder.clone(), world.options.members(), node.clone());
        beside("init", Box::pin(forming));
    }
    let administrator =
        administration::administer(Arc::clone(&world.orders), world.recorder.clone(), Arc::clone(&machine), node);
    beside("orders", Box::pin(administrator));
    let watching = watching::run(Arc::clone(&world), Arc::clone(&machine), running.presence.clone());
    beside("watcher", Box::pin(watching));
    let _serves_on = running;
    std::future::pending().await
}
