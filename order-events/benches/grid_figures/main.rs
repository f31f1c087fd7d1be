//! What the grid of order-events does on this machine: append to visible, throughput, failover, a million events, memory a node.
//!
//! `cargo bench -p order-events --bench grid_figures -- append|failover|million|memory|idle [nodes] [directory]`. Every
//! figure is printed with the load average before it. Logs are files that are fsynced; links are TCP on loopback.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "an example measures real time and may fail loudly")]
#![allow(clippy::cast_precision_loss, clippy::print_stdout, reason = "figures for people")]

mod cluster;
mod events;
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use order_events::state::{Command, FeedPartition};
use replicated_grid::replicated::ReplicatedNode;

use cluster::{Cluster, PARTITIONS};
use events::Events;
use process::{cpu, load_average, resident_bytes};

/// Events of one command, as the consumer batches them under load.
const BATCH: usize = 64;

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

#[tokio::main]
async fn main() {
    let argument = |at: usize| arguments().nth(at);
    let nodes = argument(2).and_then(|text| text.parse().ok()).unwrap_or(3);
    let temporary = tempfile::tempdir().unwrap();
    let directory = argument(3).map_or_else(|| temporary.path().to_owned(), Into::into);
    println!("load average {}", load_average());
    match argument(1).as_deref() {
        Some("append") => append(Cluster::form(directory, nodes).await, nodes).await,
        Some("failover") => failover(Cluster::form(directory, nodes.max(3)).await).await,
        Some("million") => million(Cluster::form(directory, 1).await).await,
        Some("memory") => memory(Cluster::form(directory, nodes).await, nodes).await,
        Some("idle") => idle(Cluster::form(directory, nodes).await, nodes).await,
        _ => eprintln!("append, failover, million, memory or idle?"),
    }
}

/// The median and the 99th percentile, and the largest.
fn spread(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    let at = |part: usize| all[(all.len() - 1) * part / 100];
    format!("p50 {:.2?}, p99 {:.2?}, max {:.2?} of {}", at(50), at(99), at(100), all.len())
}

fn leader(cluster: &Cluster, partition: u16) -> ReplicatedNode<FeedPartition> {
    cluster.node(cluster.leader(partition).unwrap()).grid.clone()
}

/// Appended through the leader until a poll there would show it.
async fn append(cluster: Cluster, nodes: u64) {
    let mut events = Events::new();
    let mut latencies = Vec::new();
    for number in 0..2_000 {
        let (partition, event) = events.next();
        let grid = leader(&cluster, partition);
        let merchant = event.merchant;
        let command = Bytes::from(Command::Append(vec![event]).encode());
        let began = Instant::now();
        grid.propose(partition, vec![command]).await.unwrap();
        let is_there = grid.read_without_lease(partition, |state| events::sees(state, merchant)).unwrap();
        if number >= 200 {
            latencies.push(began.elapsed());
        }
        assert!(is_there, "it is visible once it is committed");
    }
    println!("{nodes} nodes, one event at a time: append to visible {}", spread(latencies));
    for clients in [4, 16, 64] {
        throughput(&cluster, &mut events, nodes, clients).await;
    }
}

async fn throughput(cluster: &Cluster, events: &mut Events, nodes: u64, clients: usize) {
    const COMMANDS_EACH: usize = 200;
    // Made before the clock runs: making events is not the grid's work.
    let work: Vec<_> = (0..clients)
        .map(|client| {
            let partition = u16::try_from(client % usize::from(PARTITIONS)).unwrap();
            let commands = (0..COMMANDS_EACH).map(|_| Bytes::from(events.batch(partition, BATCH)));
            (partition, leader(cluster, partition), commands.collect::<Vec<_>>())
        })
        .collect();
    let (began, cpu_before) = (Instant::now(), cpu());
    let tasks = work.into_iter().map(|(partition, grid, commands)| {
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            for command in commands {
                let sent = Instant::now();
                grid.propose(partition, vec![command]).await.unwrap();
                latencies.push(sent.elapsed());
            }
            latencies
        })
    });
    let mut latencies = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        latencies.extend(task.await.unwrap());
    }
    let (took, used) = (began.elapsed(), cpu() - cpu_before);
    let count = (clients * COMMANDS_EACH * BATCH) as f64;
    println!(
        "{nodes} nodes, {clients} writers of {BATCH} events: {:.0} events/s committed, {:.2} us CPU an event; {}",
        count / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / count,
        spread(latencies)
    );
}

/// A node is killed; how long until each partition that it led commits again.
async fn failover(mut cluster: Cluster) {
    const KILLS: usize = 20;
    let mut gaps = Vec::new();
    let mut events = Events::new();
    for kill in 0..KILLS {
        let victim = kill % cluster.nodes.len();
        let led: Vec<u16> = (0..PARTITIONS).filter(|number| cluster.leader(*number) == Some(victim)).collect();
        let survivor = cluster.node((victim + 1) % cluster.nodes.len()).grid.clone();
        let probes: Vec<_> = led.iter().map(|number| (*number, Bytes::from(events.batch(*number, 1)))).collect();
        let killed = Instant::now();
        cluster.kill(victim);
        let writing = probes.into_iter().map(|(partition, command)| {
            let grid = survivor.clone();
            tokio::spawn(async move {
                while grid.propose(partition, vec![command.clone()]).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                killed.elapsed()
            })
        });
        for write in writing.collect::<Vec<_>>() {
            gaps.push(write.await.unwrap());
        }
        let again = cluster.start(victim).await;
        cluster.nodes[victim] = Some(again);
        cluster.wait_until_spread().await;
    }
    println!("{KILLS} kills, kill to the first committed write of each partition it led: {}", spread(gaps));
}

/// A million live events on one node: memory, and how soon it serves after a restart.
async fn million(mut cluster: Cluster) {
    const EVENTS: usize = 1_000_000;
    let mut events = Events::new();
    let before = resident_bytes();
    let began = Instant::now();
    let grid = cluster.node(0).grid.clone();
    fill(&grid, &mut events, EVENTS).await;
    let held = count(&grid);
    println!("{held} events appended in {:.1?}", began.elapsed());
    let bytes = resident_bytes().saturating_sub(before) as f64 / held as f64;
    println!("resident memory: {bytes:.0} bytes an event of {} bytes of body", events::BODY_BYTES);
    drop(grid);
    let began = Instant::now();
    cluster.kill(0);
    let again = cluster.start(0).await;
    let opened = began.elapsed();
    cluster.nodes[0] = Some(again);
    loop {
        let grid = &cluster.node(0).grid;
        let is_ours = |partition| grid.leadership().borrow()[usize::from(partition)].is_ours;
        if (0..PARTITIONS).all(is_ours) && count(grid) >= held {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!(
        "after kill -9: log open in {opened:.2?}, every partition led with all {held} events in {:.2?}",
        began.elapsed()
    );
}

fn count(grid: &ReplicatedNode<FeedPartition>) -> usize {
    (0..PARTITIONS).map(|number| grid.read_without_lease(number, FeedPartition::event_count).unwrap_or(0)).sum()
}

/// Appends `count` events through `grid`, wherever their leaders are.
async fn fill(grid: &ReplicatedNode<FeedPartition>, events: &mut Events, count: usize) {
    const CHUNK: usize = BATCH * 100;
    for chunk in 0..count.div_ceil(CHUNK) {
        let partition = u16::try_from(chunk % usize::from(PARTITIONS)).unwrap();
        let commands: Vec<Bytes> = (0..CHUNK / BATCH).map(|_| Bytes::from(events.batch(partition, BATCH))).collect();
        for command in commands.chunks(16) {
            grid.propose(partition, command.to_vec()).await.unwrap();
        }
    }
}

/// What the same events take on each node, of few and of many nodes.
async fn memory(cluster: Cluster, nodes: u64) {
    const EVENTS: usize = 300_000;
    let before = resident_bytes();
    fill(&cluster.node(0).grid, &mut Events::new(), EVENTS).await;
    let held = || cluster.nodes.iter().flatten().map(|node| count(&node.grid)).collect::<Vec<_>>();
    let copies = nodes.min(3);
    while held().iter().sum::<usize>() < usize::try_from(copies).unwrap() * EVENTS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (held, grown) = (held(), resident_bytes().saturating_sub(before) as f64 / (1024.0 * 1024.0));
    println!("{EVENTS} events on {nodes} nodes, {copies} copies: {:.0} MiB a node", grown / nodes as f64);
    println!("events held by each: {held:?}");
}

/// What a cluster uses while nothing happens.
async fn idle(cluster: Cluster, nodes: u64) {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (before, span) = (cpu(), Duration::from_secs(20));
    tokio::time::sleep(span).await;
    let used = (cpu() - before).as_secs_f64() / span.as_secs_f64() * 100.0;
    let resident = resident_bytes() as f64 / (1024.0 * 1024.0);
    println!("{nodes} idle nodes in one process: {used:.1} % of a core, {resident:.0} MiB resident, in all");
    let _ = Arc::new(cluster);
}
