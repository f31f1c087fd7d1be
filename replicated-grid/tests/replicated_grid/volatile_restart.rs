//! Nodes that keep everything in memory are restarted under load, over the real transport: each comes back under a new id
//! and takes its place again.

use replicated_grid::replicated::{Identity, ReplicatedNode};
use replicated_grid::{Member, NodeId};
use tokio::task::JoinHandle;

use super::served::Served;
use super::transport_nodes::eventually;
use crate::Journal;
use crate::replicated_cluster::{PATIENCE, holds_all, proposing};

const GRID: &str = "orders";
const PARTITIONS: u16 = 3;

struct Node {
    served: Served,
    grid: ReplicatedNode<Journal>,
    rejoining: JoinHandle<()>,
}

impl Node {
    async fn start(random: u64, address: &str, seeds: Vec<String>) -> Self {
        let served = Served::start(Identity::volatile(random), address, &[GRID]).await;
        let grid = served.grid(GRID, PARTITIONS).await;
        let node = grid.clone();
        let rejoining = tokio::spawn(async move { node.rejoin(&seeds).await });
        Self { served, grid, rejoining }
    }

    fn id(&self) -> NodeId {
        self.served.member.id
    }
}

fn members(grid: &ReplicatedNode<Journal>) -> Vec<NodeId> {
    let mut members: Vec<NodeId> = grid.status().members.iter().map(|status| status.member.id).collect();
    members.sort();
    members
}

async fn formed() -> Vec<Node> {
    let mut nodes = Vec::new();
    for random in 1..=3 {
        nodes.push(Node::start(random, "127.0.0.1:0", Vec::new()).await);
    }
    let all: Vec<Member> = nodes.iter().map(|node| node.served.member.clone()).collect();
    nodes[0].grid.init(all, PATIENCE).await.unwrap();
    eventually("all are ready", async || nodes.iter().all(|node| node.grid.readiness().is_ok())).await;
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_in_turn_loses_its_memory_and_nothing_acknowledged_is_lost() {
    let mut nodes = formed().await;
    for (round, random) in [(0, 11), (1, 12), (2, 13)] {
        let through = nodes[(round + 1) % 3].grid.clone();
        let names = ["r", "s", "t"];
        let proposers: Vec<_> =
            (0..PARTITIONS).map(|partition| proposing(through.clone(), partition, names[round])).collect();
        let old = nodes.remove(round);
        let (old_id, address) = (old.id(), old.served.member.address.clone());
        old.grid.stop().await;
        old.served.kill().await;
        let seeds: Vec<String> = nodes.iter().map(|node| node.served.member.address.clone()).collect();
        nodes.insert(round, Node::start(random, &address, seeds).await);
        let new = &nodes[round];
        assert_ne!(new.id(), old_id);
        let mut expected: Vec<NodeId> = nodes.iter().map(Node::id).collect();
        expected.sort();
        eventually("the new id is in and the old one is out", async || members(&through) == expected).await;
        eventually("it is ready", async || new.grid.readiness() == Ok(())).await;
        let holds_every_partition =
            |grid: &ReplicatedNode<Journal>| grid.status().partitions.iter().all(|at| at.replicas.contains(&new.id()));
        eventually("it holds every partition", async || holds_every_partition(&through)).await;
        for (partition, (ending, task)) in (0..).zip(proposers) {
            ending.cancel();
            let acknowledged = task.await.unwrap();
            assert!(acknowledged.len() > 20, "proposals went on: {}", acknowledged.len());
            let last = acknowledged.last().cloned().unwrap_or_default().into_bytes();
            let journal = || new.grid.read_without_lease(partition, |journal| journal.0.clone()).unwrap_or_default();
            eventually("it has caught up", async || journal().iter().any(|(_, command)| *command == last)).await;
            holds_all(&journal(), &acknowledged);
        }
    }
    let first = nodes[0].grid.read_without_lease(0, |journal| journal.0.clone()).unwrap();
    assert!(first.iter().any(|(_, command)| command.starts_with(b"r")), "what was said before anyone of these began");
    for node in nodes {
        node.rejoining.abort();
        node.grid.stop().await;
        node.served.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_the_place_of_a_node_that_is_still_there() {
    use replicated_grid::peers::{Lane, Peers as _};
    let nodes = formed().await;
    let before = members(&nodes[0].grid);
    let (asked, claimed) = (&nodes[0].served.member, &nodes[1].served.member);
    let links = super::transport_nodes::plain_links(77);
    let ask = async |kind: u8, id: u64, address: &str| {
        // Version, control group, kind, and a member.
        let mut body = vec![1, 0xff, 0xff, kind];
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&u32::try_from(address.len()).unwrap().to_be_bytes());
        body.extend_from_slice(address.as_bytes());
        let answered = links.peers(GRID).call(asked, Lane::Proposal, body.into(), PATIENCE).await;
        answered.map_err(|error| error.to_string())
    };
    const REJOIN: u8 = 12;
    const CHANGE: u8 = 7;
    let refused = ask(REJOIN, 77, &claimed.address).await.unwrap_err();
    assert!(refused.contains("is still there"), "{refused}");
    let refused = ask(REJOIN, 78, &claimed.address).await.unwrap_err();
    assert!(refused.contains("speaks for another node"), "{refused}");
    let refused = ask(REJOIN, 77, "127.0.0.1:1").await.unwrap_err();
    assert!(refused.contains("no member is at this address"), "{refused}");
    let refused = ask(CHANGE, 77, "127.0.0.1:1").await.unwrap_err();
    assert!(refused.contains("not a member"), "a stranger may ask for nothing else: {refused}");
    let on_raft = links.peers(GRID).call(asked, Lane::Raft, bytes::Bytes::new(), PATIENCE).await.unwrap_err();
    assert!(on_raft.to_string().contains("not a member"), "{on_raft}");
    assert_eq!(members(&nodes[0].grid), before);
    for node in nodes {
        node.rejoining.abort();
        node.grid.stop().await;
        node.served.kill().await;
    }
}
