//! What an administrator does in a run: forms the grid, adds and removes nodes, hands leaderships over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use replicated_grid::replicated::ReplicatedNode;
use replicated_grid::{Member, NodeId, StateMachine};

use crate::fault::Fault;
use crate::history::Observation;
use crate::machine::Machine;
use crate::network;
use crate::recorder::Recorder;

/// How long an administrator goes on trying.
const ADMINISTERS_FOR: Duration = Duration::from_secs(20);

/// Node `number` as the grid knows it.
pub fn member(number: u64) -> Member {
    Member { id: NodeId(number), address: network::address(number) }
}

/// What administrators are asked for, by the machine at which they are.
#[derive(Debug, Default)]
pub struct Orders(Mutex<BTreeMap<u64, VecDeque<Fault>>>);

impl Orders {
    /// Asks for `fault`: at the machine it is about where only that can do it, else at one of those that run.
    pub fn give(&self, fault: &Fault, runs: Option<u64>) {
        let at = match fault {
            Fault::Drain(node) => Some(*node),
            _ => runs,
        };
        if let Some(at) = at {
            self.0.lock().entry(at).or_default().push_back(fault.clone());
        }
    }

    /// Nobody at `node` will do it any more.
    pub fn forget(&self, node: u64) {
        self.0.lock().remove(&node);
    }

    fn next(&self, node: u64) -> Option<Fault> {
        self.0.lock().get_mut(&node)?.pop_front()
    }
}

/// Forms the grid, however often it takes.
pub async fn form<M: StateMachine>(recorder: Recorder, members: Vec<Member>, node: ReplicatedNode<M>) {
    while let Err(error) = node.init(members.clone(), Duration::from_secs(2)).await {
        recorder.see(Observation::Fault(format!("forming: {error}")));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    recorder.see(Observation::Phase("formed".to_owned()));
}

/// Does what an administrator is asked for at this machine.
pub async fn administer<M: StateMachine>(
    orders: Arc<Orders>,
    recorder: Recorder,
    machine: Arc<Machine>,
    node: ReplicatedNode<M>,
) {
    let partitions = node.partitions();
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Some(order) = orders.next(machine.number) else { continue };
        let done = match order {
            Fault::Add(number) => add(&node, number).await,
            Fault::Remove(number) => remove(&node, number).await,
            Fault::Drain(_) => node.drain(Duration::from_secs(2)).await.map_err(|error| error.to_string()),
            Fault::Transfer(partition, to) => {
                let moved = node.transfer(partition % partitions, NodeId(to), Duration::from_secs(2)).await;
                moved.map_err(|error| error.to_string())
            }
            _ => continue,
        };
        let done = done.map_or_else(|error| format!("not done, {error}"), |()| "done".to_owned());
        recorder.see(Observation::Fault(format!("{order}: {done}")));
    }
}

async fn add<M: StateMachine>(node: &ReplicatedNode<M>, number: u64) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + ADMINISTERS_FOR;
    loop {
        match node.add_node(member(number)).await {
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error.to_string()),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(()) => return Ok(()),
        }
    }
}

async fn remove<M: StateMachine>(node: &ReplicatedNode<M>, number: u64) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + ADMINISTERS_FOR;
    loop {
        match node.remove_node(NodeId(number), ADMINISTERS_FOR).await {
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error.to_string()),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(()) => return Ok(()),
        }
    }
}
