//! Two grids in one process: one listener, one set of links, and memberships of their own.

use std::sync::Arc;

use bytes::Bytes;
use replicated_grid::peers::{Lane, PeerError, Peers};
use replicated_grid::replicated::{Identity, ReplicatedNode};
use replicated_grid::transport::{ConnectionSecurity, LinkSecurity, Membership, Memberships, TcpDialer};
use replicated_grid::{Member, NodeId};
use tokio::sync::watch;

use super::served::Served;
use super::transport_certificates::{Authority, node_tls, node_tls_judging};
use super::transport_nodes::{LONG, Node, eventually, links, soon};
use crate::replicated_cluster::PATIENCE;
use crate::{Journal, command};

fn known(ids: &[u64]) -> Membership {
    Membership::Known(ids.iter().copied().map(NodeId).collect())
}

#[tokio::test]
async fn a_node_removed_from_one_grid_loses_that_one_and_from_both_is_refused() {
    let authority = Authority::new();
    let memberships = Memberships::of_grids(["orders", "merchants"]);
    let (orders, merchants) = (watch::Sender::new(known(&[1, 3])), watch::Sender::new(known(&[1, 3, 4])));
    for (grid, members) in [("orders", &orders), ("merchants", &merchants)] {
        tokio::spawn(memberships.clone().follow(grid, members.subscribe()));
    }
    let union = memberships.union();
    eventually("both grids have told their members", async || *union.borrow() == known(&[1, 3, 4])).await;
    let tls = node_tls_judging(&authority, 1, memberships.union()).await;
    let server = ConnectionSecurity::Mutual(tls.server());
    let node = Node::judging(1, server, memberships.union(), watch::Sender::default()).await;
    node.server.register_with("orders", Arc::<super::transport_nodes::Grid>::clone(&node.orders), orders.subscribe());
    node.server.register_with(
        "merchants",
        Arc::<super::transport_nodes::Grid>::clone(&node.merchants),
        merchants.subscribe(),
    );
    let three = node_tls(&authority, 3, &watch::Sender::default()).await;
    let three = links(3, LinkSecurity::Mutual(three.client()), Arc::new(TcpDialer));
    let call = async |grid: &str| soon(three.peers(grid).call(&node.member, Lane::Raft, Bytes::new(), LONG)).await;
    assert!(call("orders").await.is_ok() && call("merchants").await.is_ok());

    orders.send_replace(known(&[1]));
    let refused = PeerError::Refused { node: NodeId(1), reason: "node 3 is not a member of this grid".to_owned() };
    assert_eq!(call("orders").await, Err(refused));
    assert!(call("merchants").await.is_ok(), "the other grid still has it");

    merchants.send_replace(known(&[1, 4]));
    let mut last = String::new();
    eventually("its connection is cut, and it gets no other", async || {
        last = call("merchants").await.map_or_else(|error| error.to_string(), |_| String::new());
        last.contains("it refused this node's certificate")
    })
    .await;
}

/// A process with two grids of different sizes.
struct Process {
    served: Served,
    orders: ReplicatedNode<Journal>,
    merchants: ReplicatedNode<Journal>,
}

impl Process {
    async fn start(id: u64) -> Self {
        let served = Served::start(Identity::durable(NodeId(id)), "127.0.0.1:0", &["orders", "merchants"]).await;
        let orders = served.grid("orders", 4).await;
        let merchants = served.grid("merchants", 2).await;
        Self { served, orders, merchants }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_grids_share_their_processes_and_nothing_else() {
    let mut processes = Vec::new();
    for id in 1..=3 {
        processes.push(Process::start(id).await);
    }
    let members: Vec<Member> = processes.iter().map(|process| process.served.member.clone()).collect();
    processes[0].orders.init(members.clone(), PATIENCE).await.unwrap();
    processes[1].merchants.init(members, PATIENCE).await.unwrap();
    let both = |at: usize| [&processes[at].orders, &processes[at].merchants];
    for (number, partitions) in [(0, 4), (1, 2)] {
        for partition in 0..partitions {
            let through = both(2)[number];
            eventually("it takes a command", async || {
                through.propose(partition, vec![command(format!("{number}/{partition}"))]).await.is_ok()
            })
            .await;
        }
    }
    for (number, partitions) in [(0, 4), (1, 2)] {
        for at in 0..3 {
            eventually("what each grid holds is its own", async || {
                (0..partitions).all(|partition| {
                    let own = format!("{number}/{partition}").into_bytes();
                    let held = both(at)[number].read_without_lease(partition, |journal| {
                        !journal.0.is_empty() && journal.0.iter().all(|(_, command)| *command == own)
                    });
                    held == Ok(true)
                })
            })
            .await;
        }
    }

    // Out of one grid, and still in the other one.
    processes[0].merchants.remove_node(NodeId(3), PATIENCE).await.unwrap();
    let is_member = |grid: &ReplicatedNode<Journal>| {
        grid.status().members.iter().any(|status| status.member.id == NodeId(3) && status.is_reached)
    };
    eventually("it is out of one", async || both(0).map(is_member) == [true, false]).await;
    let through = &processes[2].orders;
    eventually("the other goes on", async || through.propose(0, vec![command("on".to_owned())]).await.is_ok()).await;
    for process in processes {
        process.orders.stop().await;
        process.merchants.stop().await;
        process.served.kill().await;
    }
}
