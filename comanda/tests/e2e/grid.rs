//! order-events and merchant-connection as a cluster of three nodes with logs on disk, under a steady stream of orders:
//! nodes are killed, hung, restarted one after the other and all at once, added and taken out; the whole history is
//! judged, presence included.
//!
//! kitchen-api is never touched, so no poll may fail in any of this. `E2E_NODES` and `E2E_REPLICATION_FACTOR` make the
//! cluster another one than three nodes with three copies of everything; the nightly run has five.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::certificates::{poll_in_the_clear, strangers_are_refused};
use crate::deployment::{Deployment, NODES, Plan, flags};
use crate::history::Minimum;
use crate::kill::{FLAGS, SETTLE_LIMIT, judge, seed};
use crate::link_proxy::Cut;
use crate::platform::eventually;
use crate::steady_stream::{Load, Stream};

fn number(name: &str) -> Option<usize> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// How many nodes the cluster starts with, 3 to 5.
fn count() -> usize {
    number("E2E_NODES").unwrap_or(3).clamp(3, 5)
}

/// The nodes it starts with, and the one that may be added.
fn nodes() -> (&'static [&'static str], &'static str) {
    (&NODES[..count()], NODES[count()])
}

fn plan() -> Plan {
    let mut flags = flags(&FLAGS);
    flags.extend(number("E2E_REPLICATION_FACTOR").map(|factor| ("replication-factor", factor.to_string())));
    Plan { merchants: 40, log: "info,openraft=error", flags, nodes: count(), ..Plan::default() }
}

/// Copies of each partition.
fn copies() -> usize {
    number("E2E_REPLICATION_FACTOR").unwrap_or(3).min(count())
}

/// How many of the 16 partitions each of `count` nodes leads, at least.
fn share(count: usize) -> usize {
    16 / count
}

fn ids(count: usize) -> impl Iterator<Item = u64> + Clone {
    1..=count as u64
}

const ALL_ANSWERED: Minimum = Minimum { orders: 1, faults: 1, polls: 100, polls_answered_percent: 100 };

/// Every node is restarted this often in a row.
const ROLLING_RESTARTS: usize = 15;

/// How long partitions may take to move, and leaderships to spread.
const MOVED_LIMIT: Duration = Duration::from_secs(60);

/// What `cluster status` says of order-events.
fn status(deployment: &Deployment) -> Value {
    let printed: Value = serde_json::from_str(&deployment.cluster(&["status", "--json"])).unwrap();
    printed["grids"].as_array().unwrap().iter().find(|grid| grid["grid"] == "order-events").unwrap().clone()
}

fn leads(status: &Value, node: u64) -> usize {
    let partitions = status["partitions"].as_array().unwrap().iter();
    partitions.filter(|partition| partition["leader"] == node).count()
}

async fn wait_until(deployment: &Deployment, what: &str, holds: impl Fn(&Value) -> bool) {
    eventually(what, MOVED_LIMIT, async || holds(&status(deployment)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_comes_back_while_nodes_are_killed_and_hang() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let load = Load { orders: 700, orders_per_second: 15, terminals: 8 };
    let stream = Stream::start(&deployment, load, seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    while !stream.is_all_sent() {
        let node = *nodes().0.choose(&mut rng).unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..3_000))).await;
        stream.count_fault();
        if rng.random_bool(0.5) {
            eprintln!("{:.1?}: kill -9 {node}", stream.elapsed());
            deployment.kill(node);
            deployment.restart(node);
        } else {
            let hangs = Duration::from_millis(rng.random_range(300..6_000));
            eprintln!("{:.1?}: {node} hangs for {hangs:?}", stream.elapsed());
            deployment.signal(node, "STOP");
            tokio::time::sleep(hangs).await;
            deployment.signal(node, "CONT");
        }
    }
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 700, faults: 8, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_restarted_in_turn_and_no_poll_fails() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let stream = Stream::start(&deployment, Load { orders: 900, orders_per_second: 10, terminals: 8 }, seed).await;
    for _ in 0..ROLLING_RESTARTS {
        for node in nodes().0 {
            deployment.stop(node);
            deployment.restart(node);
            deployment.wait_until_ready(node).await;
            stream.count_fault();
        }
    }
    eprintln!("{ROLLING_RESTARTS} restarts of each node in {:.0?}", stream.elapsed());
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    let minimum = Minimum { orders: 900, faults: count() * ROLLING_RESTARTS, ..ALL_ANSWERED };
    judge(&deployment, &history, problems, minimum, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_lose_what_is_sent_one_way_lose_nothing_for_good() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&Plan { are_links_proxied: true, ..plan() }).await);
    // As long as all cuts take at the most.
    let orders = 3 * count() * 75;
    let stream = Stream::start(&deployment, Load { orders, orders_per_second: 10, terminals: 8 }, seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let cuts = [(true, false), (false, true), (true, true)].map(|(requests, answers)| Cut { requests, answers });
    for (node, cut) in nodes().0.iter().flat_map(|node| cuts.map(|cut| (node, cut))) {
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..1_500))).await;
        let lasts = Duration::from_millis(rng.random_range(1_000..6_000));
        eprintln!("{:.1?}: {node} loses {cut:?} for {lasts:?}", stream.elapsed());
        let since = stream.elapsed();
        deployment.links[node].set(cut);
        stream.count_fault();
        tokio::time::sleep(lasts).await;
        deployment.links[node].set(Cut::default());
        stream.end_fault(since);
    }
    assert!(!stream.is_all_sent(), "this happens under load");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders, faults: 3 * count(), ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_certificates_refuse_plaintext_and_a_node_that_was_removed() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&Plan { is_tls_mutual: true, ..plan() }).await);
    let stream = Stream::start(&deployment, Load { orders: 60, orders_per_second: 10, terminals: 4 }, seed).await;
    let (_, added) = nodes();
    deployment.add_node(added);
    deployment.cluster(&["remove", "1"]);
    stream.count_fault();
    let member = deployment.advertised("node-2");
    let asked = ["cluster", "status", "--grid-seeds", member];
    let (code, _, stderr) = tokio::task::block_in_place(|| crate::platform::run(&asked, &[]));
    assert_eq!(code, 1, "a plaintext caller is refused: {stderr}");
    let said = tokio::task::block_in_place(|| poll_in_the_clear(member));
    assert!(said.first() != Some(&0), "a frame is an answer: {said:?}");
    strangers_are_refused(&deployment, &["gateway-core", "connection-polling"]).await;
    let (code, _, stderr) = deployment.try_cluster_as("node-1", member, &["status"]);
    assert_eq!(code, 1, "the certificate of a removed node is refused: {stderr}");
    let (code, _, stderr) = deployment.try_cluster_as(added, member, &["status"]);
    assert_eq!(code, 0, "the certificate of a member is taken: {stderr}");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    let by_nodes = "comanda_kitchen_api_feed_polls_total{answered_by=\"primary\"}";
    let by_nodes = deployment.metric("kitchen-api", by_nodes).await;
    assert!(by_nodes > 0.0, "with certificates every poll went past the nodes");
    judge(&deployment, &history, problems, Minimum { orders: 60, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_killed_whole_comes_back_as_it_was() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let stream = Stream::start(&deployment, Load { orders: 200, orders_per_second: 10, terminals: 4 }, seed).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stream.count_fault();
        nodes().0.iter().for_each(|node| deployment.kill(node));
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                nodes().0.iter().for_each(|node| drop(scope.spawn(|| deployment.restart(node))))
            });
        });
    }
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 200, faults: 2, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lost_every_disk_is_formed_again_and_rebuilds_from_dynamodb() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let stream = Stream::start(&deployment, Load { orders: 200, orders_per_second: 10, terminals: 4 }, seed).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    stream.count_fault();
    nodes().0.iter().for_each(|node| deployment.kill(node));
    nodes().0.iter().for_each(|node| deployment.lose_disk(node));
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            nodes().0.iter().for_each(|node| drop(scope.spawn(|| deployment.restart(node))));
            deployment.form_cluster();
        });
    });
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 200, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_disk_is_refused_and_replaced_by_a_new_one() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let stream = Stream::start(&deployment, Load { orders: 200, orders_per_second: 10, terminals: 4 }, seed).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    deployment.kill("node-2");
    stream.count_fault();
    deployment.lose_disk("node-2");
    let (code, stderr) = deployment.start_refused("node-2");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("its disk was lost") && stderr.contains("cluster remove 2"), "{stderr}");
    deployment.cluster(&["remove", "2"]);
    let (_, added) = nodes();
    deployment.add_node(added);
    let leads_its_share = |status: &Value| leads(status, count() as u64 + 1) >= share(count()) - 1;
    wait_until(&deployment, "the new node leads its share", leads_its_share).await;
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 200, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_disk_comes_back_under_another_id() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&Plan { is_volatile: true, ..plan() }).await);
    let ids = |status: &Value| -> BTreeSet<u64> {
        status["members"].as_array().unwrap().iter().map(|member| member["id"].as_u64().unwrap()).collect()
    };
    let before = ids(&status(&deployment));
    let stream = Stream::start(&deployment, Load { orders: 300, orders_per_second: 10, terminals: 4 }, seed).await;
    for node in nodes().0 {
        deployment.kill(node);
        stream.count_fault();
        deployment.restart(node);
    }
    let after = ids(&status(&deployment));
    assert_eq!(after.len(), count(), "{after:?}");
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 300, faults: count(), ..ALL_ANSWERED }, seed);
}

/// What a file that takes all the space of a disk is called.
const FILLER: &str = "filler";

fn fill(directory: &Path) {
    let mut file = std::fs::File::create(directory.join(FILLER)).unwrap();
    let block = vec![0; 64 * 1024];
    while file.write_all(&block).is_ok() {}
}

/// Run by `.ci/run`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts file systems, which takes root"]
async fn a_full_disk_makes_a_node_wait_and_it_goes_on_by_itself() {
    let seed = seed();
    let mut plan = plan();
    plan.disk_mib = Some(16);
    plan.flags.push(("grid-segment-mib", "1".to_owned()));
    let deployment = Arc::new(Deployment::start(&plan).await);
    let stream = Stream::start(&deployment, Load { orders: 900, orders_per_second: 15, terminals: 8 }, seed).await;
    for node in &nodes().0[..2] {
        fill(&deployment.directory(node));
        stream.count_fault();
        eprintln!("{:.1?}: the disk of {node} is full", stream.elapsed());
        let says_why = |answer: comanda::kitchen_client::Answer| {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            (answer.status != http::StatusCode::OK && text.contains("full")).then_some(())
        };
        eventually("it says that its disk is full", MOVED_LIMIT, async || {
            deployment.operations(node, "/readyz").await.and_then(says_why)
        })
        .await;
        eprintln!("{:.1?}: {node} says so", stream.elapsed());
        tokio::time::sleep(Duration::from_secs(3)).await;
        std::fs::remove_file(deployment.directory(node).join(FILLER)).unwrap();
        deployment.wait_until_ready(node).await;
        eprintln!("{:.1?}: {node} goes on", stream.elapsed());
    }
    assert!(!stream.is_all_sent(), "this happens under load");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 900, faults: 2, ..ALL_ANSWERED }, seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_and_leaderships_spread_again() {
    let deployment = Deployment::start(&plan()).await;
    wait_until(&deployment, "every node leads", |status| {
        ids(count()).all(|node| leads(status, node) >= share(count()))
    })
    .await;
    deployment.cluster(&["drain", "2"]);
    assert_eq!(leads(&status(&deployment), 2), 0, "it leads nothing");
    deployment.stop("node-2");
    deployment.restart("node-2");
    wait_until(&deployment, "it leads again", |status| {
        ids(count()).all(|node| leads(status, node) >= share(count()) - 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_taken_in_and_out_under_load() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let stream = Stream::start(&deployment, Load { orders: 250, orders_per_second: 10, terminals: 4 }, seed).await;
    let (_, added) = nodes();
    deployment.add_node(added);
    stream.count_fault();
    let holds = |status: &Value, node: u64| {
        let of = |partition: &&Value| {
            partition["replicas"].as_array().unwrap().iter().any(|replica| replica["node"] == node)
        };
        status["partitions"].as_array().unwrap().iter().filter(of).count()
    };
    let after = count() + 1;
    let held = 16 * copies() / after;
    let is_even = |status: &Value| ids(after).all(|node| (held..=held + 1).contains(&holds(status, node)));
    wait_until(&deployment, "the new node holds its share", is_even).await;
    wait_until(&deployment, "it leads", |status| leads(status, after as u64) >= share(after) - 1).await;
    deployment.cluster(&["remove", "1"]);
    stream.count_fault();
    let after = status(&deployment);
    assert_eq!((holds(&after, 1), after["members"].as_array().unwrap().len()), (0, count()), "{after}");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    judge(&deployment, &history, problems, Minimum { orders: 250, faults: 2, ..ALL_ANSWERED }, seed);
}
