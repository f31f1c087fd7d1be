//! A node whose disk is full steps back, the others go on, and it comes back by itself.

use replicated_grid::NodeId;
use replicated_grid::log::simulated_disk::SimulatedDisk;

use crate::command;
use crate::replicated_cluster::{Cluster, PATIENCE, eventually, holds_all, insist, member, proposing};

const PARTITIONS: u16 = 4;

async fn on_disks(disks: &[SimulatedDisk; 3]) -> Cluster {
    let mut cluster = Cluster::started(0, PARTITIONS, |_| {}).await;
    for (id, disk) in (1..).zip(disks) {
        cluster.start_on(id, disk).await;
    }
    cluster.grid(1).init((1..=3).map(member).collect(), PATIENCE).await.unwrap();
    cluster.led().await;
    eventually("all are ready", || (1..=3).all(|node| cluster.grid(node).readiness() == Ok(()))).await;
    cluster
}

fn leads(cluster: &Cluster, node: u64) -> usize {
    (0..PARTITIONS).filter(|partition| cluster.leadership(node, *partition).is_ours).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_its_node_the_leads_and_nobody_anything_and_heals() {
    let disks: [SimulatedDisk; 3] = Default::default();
    let mut cluster = on_disks(&disks).await;
    eventually("leaders are spread", || (1..=3).all(|node| leads(&cluster, node) > 0)).await;
    // Through a node that is well: a client of the full one would be told to go elsewhere.
    let proposers: Vec<_> = (0..PARTITIONS).map(|partition| proposing(cluster.grid(1), partition, "p")).collect();
    eventually("it runs", || cluster.journal(1, 0).len() > 20).await;
    assert_eq!(cluster.grid(3).readiness(), Ok(()));

    disks[2].set_capacity(Some(disks[2].used_bytes()));
    eventually("the full node says so", || {
        cluster.grid(3).readiness() == Err("the disk of its log is full".to_owned())
    })
    .await;
    eventually("it leads nothing", || {
        leads(&cluster, 3) == 0 && (0..PARTITIONS).all(|at| cluster.leader(at).is_some())
    })
    .await;
    eventually("the others know that it wants no leadership", || {
        let status = cluster.grid(1).status();
        status.members.iter().any(|status| status.member.id == NodeId(3) && status.is_draining)
    })
    .await;
    let before: Vec<usize> = (0..PARTITIONS).map(|partition| cluster.journal(1, partition).len()).collect();
    for partition in 0..PARTITIONS {
        let enough = before[usize::from(partition)] + 100;
        eventually("the others go on", || cluster.journal(1, partition).len() > enough).await;
    }
    assert_eq!(leads(&cluster, 3), 0, "it has not come to lead again");
    let through_it = cluster.grid(3).propose(0, vec![command("through".to_owned())]).await;
    assert!(through_it.is_ok(), "it still passes on what it is given: {through_it:?}");

    disks[2].set_capacity(None);
    eventually("it is ready again", || cluster.grid(3).readiness() == Ok(())).await;
    for (partition, (ending, task)) in (0..).zip(proposers) {
        ending.cancel();
        let acknowledged = task.await.unwrap();
        eventually("it has caught up", || cluster.agree(&[1, 2, 3], partition)).await;
        holds_all(&cluster.journal(3, partition), &acknowledged);
    }
    eventually("it leads its share again", || leads(&cluster, 3) > 0).await;
    cluster.led().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_of_full_disks_refuses_and_goes_on_when_there_is_space() {
    let disks: [SimulatedDisk; 3] = Default::default();
    let mut cluster = on_disks(&disks).await;
    insist(&cluster.grid(1), 0, "before").await;
    for disk in &disks {
        disk.set_capacity(Some(disk.used_bytes()));
    }
    // What is left of the segments takes some more, and then nothing.
    let mut acknowledged = vec!["before".to_owned()];
    let started = tokio::time::Instant::now();
    for number in 0.. {
        let text = format!("{number}-{}", "x".repeat(200));
        match cluster.grid(1).propose(0, vec![command(text.clone())]).await {
            Ok(_) => acknowledged.push(text),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        // Without a quorum nothing more reaches the third disk.
        if (1..=3).filter(|node| cluster.grid(*node).readiness().is_err()).count() >= 2 {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the disks have an end");
    }
    let refused = cluster.grid(1).propose(0, vec![command("full".to_owned())]).await;
    assert!(refused.as_ref().is_err_and(|error| error.is_retryable()), "{refused:?}");
    for disk in &disks {
        disk.set_capacity(None);
    }
    cluster.led().await;
    insist(&cluster.grid(2), 0, "after").await;
    eventually("all agree", || cluster.agree(&[1, 2, 3], 0)).await;
    holds_all(&cluster.journal(1, 0), &acknowledged);
    eventually("all are ready", || (1..=3).all(|node| cluster.grid(node).readiness() == Ok(()))).await;
}
