//! Calls between nodes that are well: every answer reaches its caller, and every limit holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use replicated_grid::peers::{Lane, PeerError, Peers};
use replicated_grid::transport::limits::{BYTES_IN_FLIGHT_MAX, CALLS_IN_FLIGHT_MAX, PAYLOAD_BYTES_MAX};
use replicated_grid::transport::{BoxedIo, ClusterName, Dial, LinkSecurity, Links, LinksConfig, Membership, TcpDialer};
use replicated_grid::{Member, NodeId};
use tokio::sync::watch;

use super::transport_nodes::{LONG, Node, eventually, expected, links, links_of, plain_links, soon};

const LANES: [Lane; 3] = [Lane::Raft, Lane::Snapshot, Lane::Proposal];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_reaches_its_caller_on_every_lane_of_both_grids() {
    let (one, two) = (Node::plain(1).await, Node::plain(2).await);
    let (from_three, from_two) = (plain_links(3), plain_links(2));
    let mut calls = Vec::new();
    for (from, links, to) in [(3, &from_three, &one), (3, &from_three, &two), (2, &from_two, &one)] {
        for (lane, grid) in LANES.into_iter().flat_map(|lane| [(lane, "orders"), (lane, "merchants")]) {
            let peers = links.peers(grid);
            for number in 0..150 {
                let (peers, to) = (peers.clone(), to.member.clone());
                calls.push(tokio::spawn(async move {
                    let request = Bytes::from(format!("{number}"));
                    let answer = peers.call(&to, lane, request.clone(), LONG).await.unwrap();
                    assert_eq!(answer, expected(grid, NodeId(from), lane, &request));
                }));
            }
        }
    }
    for call in soon(join_all(calls)).await {
        call.unwrap();
    }
    assert_eq!((one.orders.was_asked(), one.merchants.was_asked()), (2 * 3 * 150, 2 * 3 * 150));
}

#[tokio::test]
async fn a_refusal_carries_its_reason() {
    let node = Node::plain(1).await;
    let links = plain_links(3);
    let ask = async |grid: &str, request: &'static [u8]| {
        soon(links.peers(grid).call(&node.member, Lane::Raft, Bytes::from_static(request), LONG)).await
    };
    let refused = |reason: &str| Err(PeerError::Refused { node: NodeId(1), reason: reason.to_owned() });
    assert_eq!(ask("orders", b"no").await, refused("it said no"));
    assert_eq!(ask("unknown", b"yes").await, refused("this grid is not served here"));
    assert_eq!(ask("orders", b"large").await, refused("an answer of 8388609 bytes exceeds 8388608"));
    node.server.unregister("merchants");
    assert_eq!(ask("merchants", b"yes").await, refused("this grid is not served here"));
    let too_large = Bytes::from(vec![0; PAYLOAD_BYTES_MAX + 1]);
    let refused_here = links.peers("orders").call(&node.member, Lane::Raft, too_large, LONG).await;
    assert_eq!(refused_here, refused("a request of 8388609 bytes exceeds 8388608"));
    assert!(ask("orders", b"yes").await.is_ok());
}

#[tokio::test]
async fn who_cannot_be_reached_or_is_somebody_else_is_named_so() {
    let node = Node::plain(1).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let links = plain_links(3);
    let call = async |links: &Links, id: u64, address: &str| {
        let to = Member { id: NodeId(id), address: address.to_owned() };
        soon(links.peers("orders").call(&to, Lane::Raft, Bytes::new(), LONG)).await.unwrap_err().to_string()
    };
    let refused = call(&links, 9, &free).await;
    assert!(refused.starts_with(&format!("node 9 cannot be reached: connecting to {free}: ")), "{refused}");
    let another = call(&links, 2, &node.member.address).await;
    assert_eq!(another, "node 2 refused: this is node 1, not 2: its address is wrong");
    let east = ClusterName::new("east").unwrap();
    let config = LinksConfig { node: NodeId(3), cluster: east, security: LinkSecurity::Plain };
    let stranger = links_of(config, Arc::new(TcpDialer));
    let elsewhere = call(&stranger, 1, &node.member.address).await;
    assert_eq!(elsewhere, "node 1 refused: this is a node of cluster west, not of \"east\"");
    assert_eq!(node.orders.was_asked(), 0);
}

#[tokio::test]
async fn a_node_that_is_no_member_is_refused_also_in_the_middle() {
    let node = Node::plain(1).await;
    let (three, four) = (plain_links(3), plain_links(4));
    let call =
        async |links: &Links| soon(links.peers("orders").call(&node.member, Lane::Raft, Bytes::new(), LONG)).await;
    assert!(call(&three).await.is_ok() && call(&four).await.is_ok());
    node.orders.close(Lane::Raft);
    let waiting = tokio::spawn(three.peers("orders").call(&node.member, Lane::Raft, Bytes::new(), LONG));
    eventually("the call is under way", async || node.orders.was_asked() == 3).await;
    node.membership.send_replace(Membership::Known([NodeId(1), NodeId(4)].into()));
    assert!(matches!(soon(waiting).await.unwrap(), Err(PeerError::NoAnswer { .. })));
    node.orders.open(Lane::Raft);
    let refused = PeerError::Refused { node: NodeId(1), reason: "node 3 is not a member of the cluster".to_owned() };
    assert_eq!(call(&three).await, Err(refused));
    assert!(call(&four).await.is_ok(), "who stays is not disturbed");
    node.membership.send_replace(Membership::Known([NodeId(3)].into()));
    eventually("it is taken back", async || call(&three).await.is_ok()).await;
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_only_this_one() {
    let node = Node::plain(1).await;
    let peers = plain_links(3).peers("orders");
    node.orders.close(Lane::Raft);
    let slow = peers.call(&node.member, Lane::Raft, Bytes::from_static(b"slow"), LONG);
    let slow = tokio::spawn(slow);
    let short = Duration::from_millis(50);
    match soon(peers.call(&node.member, Lane::Raft, Bytes::from_static(b"short"), short)).await {
        Err(PeerError::NoAnswer { node: NodeId(1), after }) => assert!(after >= short),
        other => panic!("{other:?}"),
    }
    assert!(soon(peers.call(&node.member, Lane::Proposal, Bytes::new(), LONG)).await.is_ok(), "lanes do not wait");
    node.orders.open(Lane::Raft);
    assert_eq!(soon(slow).await.unwrap().unwrap(), expected("orders", NodeId(3), Lane::Raft, b"slow"));
    assert!(soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.is_ok(), "the late answer is ignored");
}

#[tokio::test]
async fn calls_under_way_are_bounded_and_the_bound_gives_way_again() {
    let node = Node::plain(1).await;
    let peers = plain_links(3).peers("orders");
    node.orders.close(Lane::Raft);
    let call = || peers.call(&node.member, Lane::Raft, Bytes::from_static(b"x"), LONG);
    let waiting: Vec<_> = (0..CALLS_IN_FLIGHT_MAX).map(|_| tokio::spawn(call())).collect();
    eventually("all are under way", async || node.orders.was_asked() == CALLS_IN_FLIGHT_MAX).await;
    assert!(matches!(soon(call()).await, Err(PeerError::Refused { .. })));
    node.orders.open(Lane::Raft);
    for call in waiting {
        assert!(soon(call).await.unwrap().is_ok());
    }
    assert!(soon(call()).await.is_ok());
}

#[tokio::test]
async fn a_snapshot_that_fills_its_connection_delays_no_heartbeat() {
    let node = Node::plain(1).await;
    let peers = plain_links(3).peers("orders");
    node.orders.close(Lane::Snapshot);
    // As much as a lane may hold, of which the other side answers nothing: its connection is full and stays so.
    let chunk = Bytes::from(vec![7; PAYLOAD_BYTES_MAX]);
    let chunks = BYTES_IN_FLIGHT_MAX / PAYLOAD_BYTES_MAX;
    let call = || tokio::spawn(peers.call(&node.member, Lane::Snapshot, chunk.clone(), 3 * LONG));
    let snapshot: Vec<_> = (0..chunks).map(|_| call()).collect();
    let heartbeats = futures::stream::iter(0..500).map(|_| peers.call(&node.member, Lane::Raft, Bytes::new(), LONG));
    let answered =
        soon(heartbeats.buffer_unordered(8).filter(|answer| std::future::ready(answer.is_ok())).count()).await;
    assert_eq!(answered, 500);
    assert!(snapshot.iter().all(|chunk| !chunk.is_finished()), "the snapshot was still under way");
    node.orders.open(Lane::Snapshot);
    for chunk in snapshot {
        assert!(soon(chunk).await.unwrap().is_ok());
    }
}

/// Connects only when it is let.
struct SlowDialer(watch::Receiver<bool>);

impl Dial for SlowDialer {
    fn dial(&self, address: &str) -> BoxFuture<'static, std::io::Result<BoxedIo>> {
        let (mut let_go, dialing) = (self.0.clone(), TcpDialer.dial(address));
        async move {
            let _ = let_go.wait_for(|let_go| *let_go).await;
            dialing.await
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_was_given_up_before_there_was_a_connection_is_never_sent() {
    let node = Node::plain(1).await;
    let (let_go, waits) = watch::channel(false);
    let peers = links(3, LinkSecurity::Plain, Arc::new(SlowDialer(waits))).peers("orders");
    let call =
        |request: &'static [u8], deadline| peers.call(&node.member, Lane::Raft, Bytes::from_static(request), deadline);
    let dropped = tokio::spawn(call(b"dropped", LONG));
    let late = soon(call(b"late", Duration::from_millis(20))).await;
    assert!(matches!(late, Err(PeerError::Unreachable { .. })), "{late:?}");
    dropped.abort();
    let_go.send_replace(true);
    eventually("it connects", async || call(b"sent", LONG).await.is_ok()).await;
    assert_eq!(*node.orders.asked.lock(), [Bytes::from_static(b"sent")]);
}

#[tokio::test]
async fn a_stopping_node_finishes_what_it_took_and_takes_no_more() {
    let node = Node::plain(1).await;
    let peers = plain_links(3).peers("orders");
    node.orders.close(Lane::Raft);
    let waiting = tokio::spawn(peers.call(&node.member, Lane::Raft, Bytes::from_static(b"last"), LONG));
    eventually("it is under way", async || node.orders.was_asked() == 1).await;
    node.shutdown.cancel();
    let later = || peers.call(&node.member, Lane::Proposal, Bytes::new(), LONG);
    eventually("it takes no more", async || matches!(later().await, Err(PeerError::Unreachable { .. }))).await;
    node.orders.open(Lane::Raft);
    assert_eq!(soon(waiting).await.unwrap().unwrap(), expected("orders", NodeId(3), Lane::Raft, b"last"));
    assert_eq!(node.orders.answered.load(Ordering::SeqCst), 1);
}
