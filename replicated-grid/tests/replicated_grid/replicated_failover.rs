//! Leaders come and go: nothing acknowledged is lost, nothing stale is read, and errors say what they mean.

use std::time::Duration;

use replicated_grid::replicated::ReplicatedNode;
use replicated_grid::{ProposeError, ReadError};

use crate::replicated_cluster::{Cluster, PATIENCE, eventually, holds_all, insist, proposing};
use crate::{Journal, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_apply_the_same_in_the_same_order() {
    let cluster = Cluster::formed(3, 4, |_| {}).await;
    let mut proposers = Vec::new();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        proposers.push(proposing(cluster.grid(number as u64 + 1), 2, name));
    }
    eventually("some are applied", || cluster.journal(1, 2).len() > 300).await;
    for (ending, task) in proposers {
        ending.cancel();
        let acknowledged = task.await.unwrap();
        assert!(!acknowledged.is_empty(), "every node forwards");
        holds_all(&cluster.journal(cluster.leader(2).unwrap(), 2), &acknowledged);
    }
    eventually("all replicas agree", || cluster.agree(&[1, 2, 3], 2)).await;
    let journal = cluster.journal(1, 2);
    assert!(journal.windows(2).all(|pair| pair[0].0 <= pair[1].0), "time does not go back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_a_cluster_too() {
    let mut cluster = Cluster::formed(1, 2, |_| {}).await;
    insist(&cluster.grid(1), 1, "alone").await;
    cluster.serve(1, 1);
    eventually("it serves", || cluster.grid(1).read(1, |journal| journal.0.len()) == Ok(1)).await;
    cluster.stop(1).await;
    cluster.start(1).await;
    cluster.led().await;
    assert_eq!(cluster.journal(1, 1).len(), 1, "it comes back from its log");
    insist(&cluster.grid(1), 1, "again").await;
    assert_eq!(cluster.journal(1, 1).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing_acknowledged() {
    let mut cluster = Cluster::formed(3, 1, |_| {}).await;
    let first = cluster.leader(0).unwrap();
    let other = (1..=3).find(|node| *node != first).unwrap();
    let (ending, task) = proposing(cluster.grid(other), 0, "x");
    eventually("some are applied", || cluster.journal(first, 0).len() > 50).await;
    cluster.stop(first).await;
    let alive: Vec<u64> = (1..=3).filter(|node| *node != first).collect();
    let gone = cluster.nodes.remove(&first).unwrap();
    let second = cluster.leader_besides(0, first).await;
    let before = cluster.journal(second, 0).len();
    eventually("it goes on", || cluster.journal(second, 0).len() > before + 50).await;
    cluster.nodes.insert(first, gone);
    cluster.start(first).await;
    eventually("the old leader catches up", || cluster.journal(first, 0).len() > before + 50).await;
    ending.cancel();
    let acknowledged = task.await.unwrap();
    holds_all(&cluster.journal(second, 0), &acknowledged);
    eventually("all agree", || cluster.agree(&[alive[0], alive[1], first], 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_serves_nothing_stale_and_takes_nothing() {
    let cluster = Cluster::formed(3, 1, |config| config.proposal_timeout = Duration::from_millis(1_500)).await;
    insist(&cluster.grid(1), 0, "before").await;
    let old = cluster.leader(0).unwrap();
    cluster.serve(old, 0);
    eventually("it serves", || cluster.grid(old).read(0, |journal| journal.0.len()) == Ok(1)).await;
    cluster.net.isolate(old, 3);
    // What it takes now is in its log, and nobody knows what becomes of it.
    let early = cluster.grid(old).propose(0, vec![command("lost?".to_owned())]).await;
    assert!(matches!(early, Err(ProposeError::OutcomeUnknown { .. } | ProposeError::NotLeader { .. })), "{early:?}");
    let new = cluster.leader_besides(0, old).await;
    insist(&cluster.grid(new), 0, "after").await;
    let stale = cluster.grid(old).read(0, |journal| journal.0.len());
    assert!(stale.is_err(), "another leader has committed since: {stale:?}");
    let refused = refused_for_certain(&cluster.grid(old), 0).await;
    cluster.net.heal();
    eventually("it learns of the other", || !cluster.leadership(old, 0).is_ours).await;
    eventually("all agree", || cluster.agree(&[1, 2, 3], 0) && cluster.journal(1, 0).len() >= 2).await;
    let journal = cluster.journal(old, 0);
    assert!(!journal.iter().any(|(_, command)| command == refused.as_bytes()), "NotLeader means it was not applied");
}

/// Proposes to a leader without a lease until it says that it took nothing, and answers what that was. Before that it may say
/// that it does not know: its time may be up just while openraft is asked.
async fn refused_for_certain(grid: &ReplicatedNode<Journal>, partition: u16) -> String {
    let started = tokio::time::Instant::now();
    for number in 0.. {
        let text = format!("never{number}");
        match grid.propose(partition, vec![command(text.clone())]).await {
            Err(ProposeError::NotLeader { .. }) => return text,
            Err(ProposeError::OutcomeUnknown { .. }) if started.elapsed() < PATIENCE => {}
            outcome => panic!("without a lease it takes nothing: {outcome:?}"),
        }
    }
    unreachable!("the numbers do not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_is_gone_before_another_leader_can_commit() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "before").await;
    let old = cluster.leader(0).unwrap();
    cluster.serve(old, 0);
    eventually("it serves", || cluster.grid(old).is_serving(0)).await;
    cluster.net.isolate(old, 3);
    let grid = cluster.grid(old);
    // Whoever leads next is asked first: if it has committed, the old one must have stopped before.
    let other = (1..=3).find(|node| *node != old).unwrap();
    let (ending, task) = proposing(cluster.grid(other), 0, "n");
    eventually("another commits", || {
        let others = (1..=3).filter(|node| *node != old);
        let committed = others.map(|node| cluster.journal(node, 0).len()).max().unwrap() > 1;
        assert!(!(committed && grid.read(0, |_| ()).is_ok()), "it served while another had committed");
        let as_leader = grid.read_as_leader(0, |_| ());
        assert!(!(committed && as_leader.is_ok()), "it read as the leader while another had committed");
        committed
    })
    .await;
    ending.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_be_read_without_its_serving_lease_and_never_without_its_own() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "before").await;
    let old = cluster.leader(0).unwrap();
    let grid = cluster.grid(old);
    assert!(grid.read(0, |_| ()).is_err(), "nobody has let it serve");
    eventually("it is read as the leader", || grid.read_as_leader(0, |journal| journal.0.len()) == Ok(1)).await;
    let follower = cluster.grid((1..=3).find(|node| *node != old).unwrap());
    let refused = follower.read_as_leader(0, |_| ());
    assert!(matches!(refused, Err(ReadError::NotLeader { partition: 0, .. })), "{refused:?}");
    assert_eq!(grid.read_as_leader(9, |_| ()), Err(ReadError::UnknownPartition { partition: 9 }));
    cluster.net.isolate(old, 3);
    eventually("cut off, it answers nothing", || grid.read_as_leader(0, |_| ()).is_err()).await;
    let new = cluster.leader_besides(0, old).await;
    insist(&cluster.grid(new), 0, "after").await;
    assert!(grid.read_as_leader(0, |_| ()).is_err(), "nor does it come back");
    let paused = cluster.grid(new).read_as_leader(0, |_| cluster.nodes[&new].clock.sleep(700));
    assert!(paused.is_err(), "it stood still between the two looks at the lease");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_serves_nothing_until_it_has_heard_from_the_others() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "a").await;
    let leader = cluster.leader(0).unwrap();
    cluster.serve(leader, 0);
    let grid = cluster.grid(leader);
    eventually("it serves", || grid.is_serving(0)).await;
    let clock = &cluster.nodes[&leader].clock;
    let paused = grid.read(0, |_| clock.sleep(700));
    assert!(paused.is_err(), "it stood still between the first look at the lease and the second");
    eventually("it serves again", || grid.is_serving(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_needs_both_leases_of_one_term() {
    let cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "a").await;
    let leader = cluster.leader(0).unwrap();
    let grid = cluster.grid(leader);
    assert_eq!(grid.read(0, |_| ()), Err(ReadError::LeaseExpired { partition: 0 }), "nobody has let it serve");
    let term = cluster.leadership(leader, 0).term;
    grid.serve_until(0, term - 1, Duration::from_secs(3_600));
    assert!(!grid.is_serving(0), "another term's permission is none");
    let follower = (1..=3).find(|node| *node != leader).unwrap();
    let refused = cluster.grid(follower).read(0, |_| ());
    assert!(matches!(refused, Err(ReadError::NotLeader { partition: 0, leader: Some(_) })), "{refused:?}");
    cluster.serve(leader, 0);
    eventually("it serves", || grid.is_serving(0)).await;
    grid.stop_serving(0);
    assert!(!grid.is_serving(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_refuses_and_a_one_way_cut_ends_in_one_leader() {
    let cluster = Cluster::formed(3, 1, |config| config.proposal_timeout = Duration::from_millis(500)).await;
    let leader = cluster.leader(0).unwrap();
    // It is heard by nobody, and hears everybody.
    for other in (1..=3).filter(|other| *other != leader) {
        cluster.net.cut_one_way(leader, other);
    }
    let new = cluster.leader_besides(0, leader).await;
    insist(&cluster.grid(new), 0, "majority").await;
    let refused = cluster.grid(leader).propose(0, vec![command("minority".to_owned())]).await;
    assert!(refused.is_err());
    cluster.net.heal();
    eventually("all agree", || cluster.agree(&[1, 2, 3], 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_of_the_new_leaders_wall_clock_does_not_move_time() {
    let mut cluster = Cluster::formed(3, 1, |_| {}).await;
    insist(&cluster.grid(1), 0, "a").await;
    let old = cluster.leader(0).unwrap();
    for node in cluster.nodes.values() {
        node.clock.jump(2 * 24 * 60 * 60 * 1_000);
    }
    cluster.stop(old).await;
    cluster.nodes.remove(&old);
    let new = cluster.leader_besides(0, old).await;
    insist(&cluster.grid(new), 0, "b").await;
    let journal = cluster.journal(new, 0);
    let passed = journal[1].0 - journal[0].0;
    assert!((0..PATIENCE.as_millis() as i64).contains(&passed), "two days passed in a moment: {passed} ms");
}
