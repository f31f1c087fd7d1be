//! A run of the feed: order-events on a real grid and kitchen-api's routing, publishers, POS, and models around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use order_events::state::FeedPartition;
use parking_lot::Mutex;
use replicated_grid::replicated::ReplicatedNode;

use crate::administration::{self, Orders};
use crate::clock::VirtualTime;
use crate::driver;
use crate::faults::World;
use crate::feed::cloud::Cloud;
use crate::feed::publishing::Publisher;
use crate::feed::queue::SharedState;
use crate::feed::{node, pos};
use crate::history::Observation;
use crate::machine::{self, Machine};
use crate::observing::{Observer, agree, see_final};
use crate::options::Options;
use crate::recorder::Recorder;
use crate::schedule::Fault;

/// When the first order is placed.
const BEGINS: Duration = Duration::from_secs(2);

/// How long after healing orders go on.
const PUBLISHES_AFTER_HEALING: Duration = Duration::from_secs(10);

/// How long after healing POS go on: whatever was kept back anywhere has come by then.
const SETTLING: Duration = Duration::from_secs(50);

/// The run as its hosts share it.
pub struct FeedWorld {
    /// What it is.
    pub options: Options,
    /// Where the history goes.
    pub recorder: Recorder,
    /// DynamoDB.
    pub cloud: Arc<Cloud>,
    /// The queue `order-events-feed`.
    pub feed: Arc<SharedState>,
    /// Its dead letters.
    pub dead_letters: Arc<SharedState>,
    time: Arc<VirtualTime>,
    machines: Vec<Arc<Machine>>,
    nodes: Mutex<BTreeMap<u64, ReplicatedNode<FeedPartition>>>,
    orders: Arc<Orders>,
    observer: Mutex<Observer<FeedPartition>>,
    publisher: Mutex<Publisher>,
}

impl World for FeedWorld {
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
        match fault {
            Fault::StoreDown(_) | Fault::StoreSlow(_) | Fault::StoreUp => self.cloud.suffer(fault),
            Fault::QueueDown => self.feed.set_down(true),
            Fault::QueueUp => self.feed.set_down(false),
            _ => self.orders.give(fault, self.nodes.lock().keys().next().copied()),
        }
    }

    fn observe(&self) {
        let until = self.options.heals_at() + PUBLISHES_AFTER_HEALING;
        self.publisher.lock().work(self.time.now(), until);
        let running = self.nodes.lock().clone();
        self.observer.lock().observe(&self.machines, &running, &self.recorder);
    }

    /// Expiry is proposed every second, whenever the run ends.
    fn is_settled(&self) -> bool {
        agree(self.options.partitions, &self.nodes.lock())
    }
}

/// Runs it.
pub(crate) fn simulate(options: Options, time: Arc<VirtualTime>, recorder: Recorder) -> Result<(), String> {
    let cloud = Cloud::new(Arc::clone(&time), options.seed.stream("cloud"));
    let queue = || SharedState::new(Arc::clone(&time), recorder.clone());
    let feed = queue();
    let publisher = Publisher::new(
        Arc::clone(&cloud),
        Arc::clone(&feed),
        recorder.clone(),
        options.seed.stream("publishing"),
        pos::MERCHANTS,
        BEGINS,
    );
    let world = Arc::new(FeedWorld {
        options,
        recorder: recorder.clone(),
        cloud,
        feed,
        dead_letters: queue(),
        time: Arc::clone(&time),
        machines: machine::all(options.machines(), &time, options.seed),
        nodes: Mutex::default(),
        orders: Arc::default(),
        observer: Mutex::new(Observer::new(|partition, _| (partition.event_count() as u64, Vec::new()))),
        publisher: Mutex::new(publisher),
    });
    for (number, merchants) in (0..pos::APPLICATIONS).map(|number| (number, pos::scope(number))) {
        for merchant in merchants {
            let application = crate::feed::application(number).to_string();
            recorder.see(Observation::Granted { application, merchant });
        }
    }
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
async fn host(world: Arc<FeedWorld>, machine: Arc<Machine>) {
    let running = match node::start(&world, &machine).await {
        Ok(running) => running,
        Err(error) => {
            world.recorder.see(Observation::NotStarted { node: machine.number, reason: error.to_string() });
            return std::future::pending().await;
        }
    };
    let node = running.node.clone();
    world.nodes.lock().insert(machine.number, node.clone());
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
    if machine.number <= world.options.nodes {
        for number in 0..pos::APPLICATIONS {
            let task = pos::run(Arc::clone(&world), Arc::clone(&machine), running.router.clone(), number);
            beside(&format!("pos{number}"), Box::pin(task));
        }
    }
    let _serves_on = running;
    std::future::pending().await
}
