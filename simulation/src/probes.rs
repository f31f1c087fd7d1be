//! What every node must be able to do once everything is healed: write to each partition, and see each one read.

use std::sync::Arc;
use std::time::Duration;

use replicated_grid::replicated::ReplicatedNode;

use crate::grid_run::GridWorld;
use crate::history::Observation;
use crate::machine::Machine;
use crate::set_machine::SetMachine;
use crate::workload::{read_once, write_once};

/// How long the probes go on trying.
const TRIES_FOR: Duration = Duration::from_secs(13);

/// Sets that no writer uses.
const PROBE_KEY: u32 = 1 << 24;

/// Waits for the healing, then tries.
pub async fn run(world: Arc<GridWorld>, machine: Arc<Machine>, node: ReplicatedNode<SetMachine>) {
    if machine.number > world.options.nodes {
        return;
    }
    while world.healed_for().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for partition in 0..world.partitions() {
        let took_ms = insist_on_writing(&world, &machine, &node, partition).await;
        world.recorder.see(Observation::Probe {
            node: machine.number,
            what: format!("write to partition {partition}"),
            took_ms,
        });
    }
    if machine.number == 1 {
        for partition in 0..world.partitions() {
            let took_ms = insist_on_reading(&world, partition).await;
            world.recorder.see(Observation::Probe { node: 1, what: format!("read of partition {partition}"), took_ms });
        }
    }
}

fn healed_for_ms(world: &GridWorld) -> u64 {
    u64::try_from(world.healed_for().unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn is_over(world: &GridWorld) -> bool {
    world.healed_for().is_none_or(|healed_for| healed_for > TRIES_FOR)
}

async fn insist_on_writing(
    world: &GridWorld,
    machine: &Machine,
    node: &ReplicatedNode<SetMachine>,
    partition: u16,
) -> Option<u64> {
    let client = format!("n{}/probe", machine.number);
    loop {
        if write_once(world, node, &client, partition, PROBE_KEY).await {
            return Some(healed_for_ms(world));
        }
        if is_over(world) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whoever leads must serve.
async fn insist_on_reading(world: &GridWorld, partition: u16) -> Option<u64> {
    loop {
        let mut running = world.running().into_iter();
        if running.any(|(number, node)| read_once(world, &node, &format!("n{number}/probe"), partition, PROBE_KEY)) {
            return Some(healed_for_ms(world));
        }
        if is_over(world) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
