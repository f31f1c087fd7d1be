//! What runs on the machines of the grid's own runs: serving leases, writers and readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use order_model::Clock;
use rand::Rng;
use replicated_grid::ProposeError;
use replicated_grid::replicated::ReplicatedNode;

use crate::grid_run::{GridWorld, WORK_AFTER_HEALING};
use crate::history::{Answer, Call, Outcome};
use crate::machine::Machine;
use crate::planted::SimulationBug;
use crate::set_machine::SetMachine;

type Node = ReplicatedNode<SetMachine>;

/// How long a serving lease lasts, and how often it is renewed.
const SERVES_FOR: Duration = Duration::from_millis(1_500);
const SERVING_RENEWED: Duration = Duration::from_millis(300);

/// For how long a set gets elements before another one takes its place, s: keeps the sets small.
const KEY_LASTS_S: u64 = 4;
const KEYS_AT_ONCE: u64 = 2;

/// Lets whatever is led here serve, as order-events does while it can read its fence.
pub async fn keep_serving(machine: Arc<Machine>, node: Node) {
    loop {
        let until = machine.clock.monotonic() + SERVES_FOR;
        let leadership = node.leadership().borrow().clone();
        for (partition, now) in (0..).zip(leadership.iter()) {
            if now.is_ours && !machine.clock.is_frozen() {
                node.serve_until(partition, now.term, until);
            }
        }
        tokio::time::sleep(SERVING_RENEWED).await;
    }
}

fn generation(world: &GridWorld) -> u64 {
    world.time.now().as_secs() / KEY_LASTS_S
}

fn key(generation: u64, number: u64) -> u32 {
    u32::try_from(generation * KEYS_AT_ONCE + number).unwrap_or(u32::MAX)
}

fn is_working(world: &GridWorld) -> bool {
    world.healed_for().is_none_or(|healed_for| healed_for < WORK_AFTER_HEALING)
}

/// Adds elements, one after the other, until the run settles.
pub async fn write(world: Arc<GridWorld>, machine: Arc<Machine>, node: Node, number: u64) {
    let mut random = machine.stream(&format!("writer{number}"));
    let client = format!("n{}/writer{number}", machine.number);
    while is_working(&world) {
        tokio::time::sleep(Duration::from_millis(random.random_range(10..=120))).await;
        let is_formed = node.leadership().borrow().iter().any(|known| known.leader.is_some());
        if !is_formed || machine.is_frozen.load(Ordering::SeqCst) {
            continue;
        }
        let partition = random.random_range(0..world.partitions());
        let key = key(generation(&world), random.random_range(0..KEYS_AT_ONCE));
        write_once(&world, &node, &client, partition, key).await;
    }
}

/// Adds a new element, once; whether it was carried out.
pub async fn write_once(world: &GridWorld, node: &Node, client: &str, partition: u16, key: u32) -> bool {
    let element = world.elements.fetch_add(1, Ordering::SeqCst);
    let operation = world.recorder.begin(client, Call::Add { partition, key, element });
    let mut proposed = node.propose(partition, vec![Bytes::from(SetMachine::add(key, element))]).await;
    while SimulationBug::RetryWithoutId.is_planted()
        && matches!(proposed, Err(ProposeError::OutcomeUnknown { .. }))
        && is_working(world)
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
        proposed = node.propose(partition, vec![Bytes::from(SetMachine::add(key, element))]).await;
    }
    let outcome = match proposed {
        Ok(replies) => match replies.first().and_then(|reply| SetMachine::read_reply(reply)) {
            Some(added) => Outcome::Ok(Answer::Added { position: added.position, times: added.times }),
            None => Outcome::Unknown("the reply is none".to_owned()),
        },
        Err(ProposeError::OutcomeUnknown { .. }) => Outcome::Unknown("the grid does not know".to_owned()),
        Err(refused) => Outcome::Refused(refused.to_string()),
    };
    let is_done = matches!(outcome, Outcome::Ok(_));
    world.recorder.complete(operation, outcome);
    is_done
}

/// Reads whatever is led here, until the run settles.
pub async fn read(world: Arc<GridWorld>, machine: Arc<Machine>, node: Node) {
    let mut random = machine.stream("reader");
    let client = format!("n{}/reader", machine.number);
    while is_working(&world) {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..=60))).await;
        // What was asked before a machine stood still is answered first thing when it goes on.
        while machine.is_frozen.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for partition in 0..world.partitions() {
            let generation = generation(&world).saturating_sub(random.random_range(0..2));
            let key = key(generation, random.random_range(0..KEYS_AT_ONCE));
            read_once(&world, &node, &client, partition, key);
        }
    }
}

/// Reads a set, if this node may; whether it did. A refusal is the rule and not recorded.
pub fn read_once(world: &GridWorld, node: &Node, client: &str, partition: u16, key: u32) -> bool {
    let Ok(elements) = node.read(partition, |machine| machine.elements(key)) else { return false };
    let operation = world.recorder.begin(client, Call::Read { partition, key });
    world.recorder.complete(operation, Outcome::Ok(Answer::Set(elements)));
    true
}
