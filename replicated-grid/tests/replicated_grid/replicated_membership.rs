//! Nodes come, go, hand over and fall behind while proposals go on.

use std::time::Duration;

use replicated_grid::replicated::{AdminError, Config, Dependencies, Identity, ReplicatedNode, StartError};
use replicated_grid::{NodeId, StateMachine};

use crate::Journal;
use crate::replicated_cluster::{Cluster, PATIENCE, eventually, holds_all, insist, member, proposing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_spread_and_spread_again() {
    let mut cluster = Cluster::formed(3, 6, |_| {}).await;
    let leads = |cluster: &Cluster, node: u64| (0..6).filter(|at| cluster.leader(*at) == Some(node)).count();
    eventually("two each", || (1..=3).all(|node| leads(&cluster, node) == 2)).await;
    cluster.stop(1).await;
    let gone = cluster.nodes.remove(&1).unwrap();
    eventually("three each", || [2, 3].iter().all(|node| leads(&cluster, *node) == 3)).await;
    cluster.nodes.insert(1, gone);
    cluster.start(1).await;
    eventually("two each again", || (1..=3).all(|node| leads(&cluster, node) == 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_added_and_removed_while_proposals_go_on() {
    let mut cluster = Cluster::formed(3, 4, |_| {}).await;
    let proposers: Vec<_> = (0..4).map(|partition| proposing(cluster.grid(3), partition, "p")).collect();
    for id in [4, 5] {
        cluster.start(id).await;
        cluster.grid(2).add_node(member(id)).await.unwrap();
    }
    let replicas = |cluster: &Cluster, node: u64| {
        let status = cluster.grid(3).status();
        status.partitions.iter().filter(|partition| partition.replicas.contains(&NodeId(node))).count()
    };
    eventually("everyone holds a share", || (1..=5).all(|node| (2..=3).contains(&replicas(&cluster, node)))).await;
    let here = |cluster: &Cluster, node: u64| {
        cluster.grid(node).status().partitions.iter().filter(|partition| partition.is_here).count()
    };
    eventually("what moved away is gone", || (1..=5).all(|node| here(&cluster, node) == replicas(&cluster, node)))
        .await;
    cluster.grid(4).remove_node(NodeId(1), PATIENCE).await.unwrap();
    assert_eq!(replicas(&cluster, 1), 0);
    let is_known = || cluster.grid(3).status().members.iter().any(|status| status.member.id == NodeId(1));
    eventually("the others hear of it", || !is_known()).await;
    cluster.stop(1).await;
    for (partition, (ending, task)) in (0..4).zip(proposers) {
        ending.cancel();
        let acknowledged = task.await.unwrap();
        assert!(acknowledged.len() > 20, "proposals went on: {}", acknowledged.len());
        eventually("it is led by one of its replicas", || cluster.leader(partition).is_some()).await;
        let status = &cluster.grid(3).status().partitions[usize::from(partition)];
        let replicas: Vec<u64> = status.replicas.iter().map(|node| node.0).collect();
        assert_eq!(replicas.len(), 3);
        // Not what the leader holds: for a moment that may be the one before.
        eventually("the replicas agree", || cluster.agree(&replicas, partition)).await;
        holds_all(&cluster.journal(replicas[0], partition), &acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_far_behind_gets_a_snapshot() {
    let cluster = Cluster::formed(3, 1, |config| {
        config.snapshot_after_entries = 50;
        config.entries_kept = 10;
    })
    .await;
    let leader = cluster.leader(0).unwrap();
    let behind = (1..=3).find(|node| *node != leader).unwrap();
    cluster.net.isolate(behind, 3);
    for number in 0..150 {
        insist(&cluster.grid(leader), 0, &format!("{number}")).await;
    }
    let before = cluster.net.snapshot_chunks();
    cluster.net.heal();
    eventually("it catches up", || cluster.agree(&[1, 2, 3], 0) && cluster.journal(behind, 0).len() == 150).await;
    assert!(cluster.net.snapshot_chunks() > before, "by a snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_come_back_from_snapshot_and_log() {
    let mut cluster = Cluster::formed(3, 2, |config| {
        config.snapshot_after_entries = 30;
        config.entries_kept = 5;
    })
    .await;
    for number in 0..70 {
        insist(&cluster.grid(1), number % 2, &format!("{number}")).await;
    }
    eventually("all agree", || cluster.agree(&[1, 2, 3], 0) && cluster.agree(&[1, 2, 3], 1)).await;
    let before = [cluster.journal(1, 0), cluster.journal(1, 1)];
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.led().await;
    for partition in 0..2 {
        let expected = &before[usize::from(partition)];
        eventually("everything is there", || (1..=3).all(|node| cluster.journal(node, partition) == *expected)).await;
    }
    insist(&cluster.grid(2), 1, "and on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_hands_everything_over() {
    let cluster = Cluster::formed(3, 4, |_| {}).await;
    let (ending, task) = proposing(cluster.grid(2), 0, "d");
    eventually("node 1 leads something", || (0..4).any(|partition| cluster.leader(partition) == Some(1))).await;
    cluster.grid(1).drain(PATIENCE).await.unwrap();
    // Where the others are starved of time it may be elected once more, and hands over once more.
    eventually("it leads nothing", || (0..4).all(|partition| !cluster.leadership(1, partition).is_ours)).await;
    eventually("others lead all", || (0..4).all(|at| cluster.leader(at).is_some_and(|leader| leader != 1))).await;
    eventually("it shows", || {
        let status = cluster.grid(2).status();
        status.members.iter().any(|status| status.member.id == NodeId(1) && status.is_draining)
    })
    .await;
    ending.cancel();
    let acknowledged = task.await.unwrap();
    holds_all(&cluster.journal(cluster.leader(0).unwrap(), 0), &acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_does_not_wait_for_a_quorum_that_is_gone() {
    let mut cluster = Cluster::formed(3, 4, |_| {}).await;
    eventually("node 1 leads something", || (0..4).any(|partition| cluster.leadership(1, partition).is_ours)).await;
    for id in [2, 3] {
        cluster.stop(id).await;
    }
    let started = tokio::time::Instant::now();
    let drained = cluster.grid(1).drain(PATIENCE).await;
    assert!(started.elapsed() < Duration::from_secs(8), "it waited {:?}: {drained:?}", started.elapsed());
    let alone = Cluster::formed(1, 2, |_| {}).await;
    let drained = alone.grid(1).drain(PATIENCE).await;
    assert!(matches!(drained, Err(AdminError::NotYet { .. })), "{drained:?}");
    assert!(started.elapsed() < Duration::from_secs(16));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_drain_all_at_once_do_not_wait_for_each_other() {
    let cluster = Cluster::formed(3, 4, |_| {}).await;
    let started = tokio::time::Instant::now();
    let (one, two, three) = (cluster.grid(1), cluster.grid(2), cluster.grid(3));
    let _ = tokio::join!(one.drain(PATIENCE), two.drain(PATIENCE), three.drain(PATIENCE));
    assert!(started.elapsed() < Duration::from_secs(8), "they waited {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_ends_the_old_lease_at_once() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "a").await;
    let old = cluster.leader(0).unwrap();
    let to = (1..=3).find(|node| *node != old).unwrap();
    cluster.serve(old, 0);
    eventually("it serves", || cluster.grid(old).is_serving(0)).await;
    let asked = (1..=3).find(|node| *node != old && *node != to).unwrap();
    cluster.grid(asked).transfer(0, NodeId(to), PATIENCE).await.unwrap();
    insist(&cluster.grid(to), 0, "b").await;
    assert!(cluster.grid(old).read(0, |_| ()).is_err());
    assert!(matches!(cluster.grid(1).transfer(7, NodeId(1), PATIENCE).await, Err(AdminError::UnknownPartition { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grid_is_formed_once() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    let again = cluster.grid(2).init((1..=3).map(member).collect(), Duration::from_secs(5)).await;
    assert!(matches!(again, Err(AdminError::AlreadyFormed { .. })), "{again:?}");
    let other = Cluster::started(1, 1, |_| {}).await;
    let without = other.grid(1).init(vec![member(2)], Duration::from_secs(5)).await;
    assert_eq!(without, Err(AdminError::NotAMember));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_are_refused() {
    use replicated_grid::peers::Lane;
    let cluster = Cluster::formed(1, 1, |_| {}).await;
    let requests = cluster.grid(1).requests();
    for kind in 0..14u8 {
        for length in 0..40usize {
            let mut bytes = vec![1, 0, 0, kind];
            bytes.extend(std::iter::repeat_n(kind.wrapping_mul(37), length));
            let _ = std::sync::Arc::clone(&requests).answer(NodeId(9), Lane::Raft, bytes.into()).await;
        }
    }
    insist(&cluster.grid(1), 0, "still there").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_forgets_comes_back_as_another() {
    let mut cluster = Cluster::formed(3, 2, |_| {}).await;
    for partition in 0..2 {
        insist(&cluster.grid(1), partition, "kept").await;
    }
    // It has lost everything; what comes in its place has an id that nobody has counted on.
    cluster.stop(3).await;
    cluster.nodes.remove(&3);
    cluster.start_volatile(3).await;
    let id = *cluster.nodes.keys().last().unwrap();
    cluster.grid(id).join(&[member(1), member(2)]).await.unwrap();
    cluster.grid(1).remove_node(NodeId(3), PATIENCE).await.unwrap();
    eventually("it holds everything", || (0..2).all(|partition| cluster.agree(&[1, 2, id], partition))).await;
    eventually("it leads or follows", || {
        cluster.grid(1).status().partitions.iter().all(|at| at.replicas.contains(&NodeId(id)))
    })
    .await;
    insist(&cluster.grid(id), 0, "on").await;
}

#[tokio::test]
async fn a_log_in_memory_needs_a_new_id() {
    let dependencies = |identity: Identity| Dependencies {
        identity,
        address: "a:1".to_owned(),
        log: std::sync::Arc::new(replicated_grid::log::MemoryLog::default()),
        snapshots: std::sync::Arc::new(replicated_grid::log::MemorySnapshots::default()),
        peers: std::sync::Arc::new(Nobody),
        clock: order_model::ManualClock::new(order_model::Timestamp::from_unix_ms(0)),
    };
    let config = Config::new("test", std::num::NonZeroU16::MIN);
    let start = |identity| ReplicatedNode::start(config.clone(), dependencies(identity), Journal::default);
    let refused = start(Identity::durable(NodeId(1))).await;
    assert!(matches!(refused.err(), Some(StartError::VolatileLog { .. })));
    let identity = Identity::volatile(5);
    let node = start(identity.clone()).await.unwrap();
    node.stop().await;
    assert!(matches!(start(identity).await.err(), Some(StartError::IdUsed { .. })));
    assert!(Journal::default().snapshot().is_empty());
}

struct Nobody;

impl replicated_grid::peers::Peers for Nobody {
    fn call(
        &self,
        to: &replicated_grid::Member,
        _lane: replicated_grid::peers::Lane,
        _request: bytes::Bytes,
        _deadline: Duration,
    ) -> futures::future::BoxFuture<'static, Result<bytes::Bytes, replicated_grid::peers::PeerError>> {
        let node = to.id;
        Box::pin(async move {
            Err(replicated_grid::peers::PeerError::Unreachable { node, reason: "there is nobody".to_owned() })
        })
    }
}
