//! Leaders die, are cut off and come back: nobody changes by it, nothing decided is lost or told twice.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::merchant_connection as wire;

use crate::cluster::{Cluster, config};
use crate::platform::{PARTITIONS, Published, beats, brief, briefs, eventually, merchant, partition_of};

const FLEET: std::ops::Range<u32> = 0..40;

/// A cluster whose fleet is ONLINE and told so.
async fn online() -> Cluster {
    let cluster = Cluster::formed().await;
    cluster.feed(FLEET);
    let published = cluster.published(FLEET.len()).await;
    let distinct: BTreeSet<_> = briefs(&published).into_iter().collect();
    assert_eq!(distinct, FLEET.map(|number| brief(number, "ONLINE", 1)).collect());
    // What was published and not marked as such is published again by the next leader, which is not what is tested.
    eventually("all is marked", async || {
        (1..=3).all(|id| {
            let grid = cluster.node(id).grid.clone();
            (0..PARTITIONS).all(|partition| {
                grid.read_without_lease(partition, |state| state.unpublished()).is_ok_and(|left| left == 0)
            })
        })
    })
    .await;
    cluster
}

fn sorted(published: &[Published]) -> Vec<(String, String, u64)> {
    let mut briefs = briefs(published);
    briefs.sort();
    briefs
}

/// Longer than anybody would need to be found silent.
async fn while_nobody_may_change(cluster: &Cluster) {
    tokio::time::sleep(config().offline_after * 2).await;
    assert_eq!(sorted(&cluster.platform.published().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_with_everyone_online_changes_nobody() {
    let cluster = online().await;
    let killed = cluster.leader(partition_of(1)).unwrap();
    cluster.kill(killed).await;
    cluster.taken_over(1, killed).await;
    while_nobody_may_change(&cluster).await;
    // Judged as before, by whoever leads now.
    cluster.feed(FLEET.filter(|number| *number != 1));
    assert_eq!(briefs(&cluster.published(1).await), [brief(1, "OFFLINE", 2)]);
    cluster.feed(FLEET);
    assert_eq!(briefs(&cluster.published(1).await), [brief(1, "ONLINE", 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leader_decided_and_did_not_publish_is_published_once_by_the_next() {
    let cluster = Cluster::formed().await;
    cluster.platform.topic_is_down(true);
    cluster.feed(FLEET);
    let partition = partition_of(1);
    let waiting = |node: u64| {
        let grid = cluster.node(node).grid.clone();
        grid.read_without_lease(partition, |state| state.outbox(1_000).0).unwrap()
    };
    let fleet = FLEET.filter(|number| partition_of(*number) == partition).count();
    let leader = cluster.leader(partition).unwrap();
    let other = (1..=3).find(|node| *node != leader).unwrap();
    eventually("decided, and replicated", async || waiting(other).len() == fleet).await;
    let decided: BTreeSet<String> = waiting(other).iter().map(|transition| transition.id().to_string()).collect();
    cluster.kill(leader).await;
    cluster.taken_over(1, leader).await;
    cluster.platform.topic_is_down(false);
    let published = cluster.published(FLEET.len()).await;
    assert_eq!(sorted(&published).len(), FLEET.len());
    let ours = |one: &&Published| {
        FLEET
            .filter(|number| partition_of(*number) == partition)
            .any(|number| one.brief().0 == merchant(number).to_string())
    };
    let ids: Vec<String> = published.iter().filter(ours).map(Published::id).collect();
    assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>()), (fleet, decided));
    while_nobody_may_change(&cluster).await;
}

/// It goes on hearing that nobody beats, while everybody beats at the others; then it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_cut_off_decides_nothing() {
    let cluster = online().await;
    let old = cluster.leader(partition_of(1)).unwrap();
    cluster.fed.lock().told_of_silence.insert(old);
    cluster.net.isolate(old);
    cluster.taken_over(1, old).await;
    while_nobody_may_change(&cluster).await;
    let refused = cluster.node(old).presence(1).await;
    assert_eq!((refused.presences.len(), refused.refused_partitions.len()), (0, 1), "it answers nothing stale");
    // As a member it may be given a leadership again, and then what it hears counts.
    cluster.fed.lock().told_of_silence.clear();
    cluster.net.heal();
    while_nobody_may_change(&cluster).await;
    let leader = cluster.taken_over(1, 0).await;
    let presence = cluster.node(leader).presence(1).await.presences;
    assert!(presence.iter().all(|presence| presence.online && presence.sequence == 1));
}

/// A new leader knows the beats up to the last sweep, and gives whoever was ONLINE one full period.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_that_fell_silent_before_a_takeover_is_offline_within_the_grace() {
    let cluster = online().await;
    let killed = cluster.leader(partition_of(1)).unwrap();
    cluster.feed(FLEET.filter(|number| *number != 1));
    let last_beat_ms = cluster.now_ms();
    // Some sweeps, so that what is replicated is told from what is not.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.kill(killed).await;
    cluster.taken_over(1, killed).await;
    let taken_over_ms = cluster.now_ms();
    let published = cluster.published(1).await;
    assert_eq!(briefs(&published), [brief(1, "OFFLINE", 2)]);
    let period_ms = i64::try_from(config().offline_after.as_millis()).unwrap();
    let changed_at_ms = published[0].time("changedAt").unix_ms();
    assert!(changed_at_ms - last_beat_ms >= period_ms, "{} ms", changed_at_ms - last_beat_ms);
    assert!(changed_at_ms - taken_over_ms <= period_ms + 1_500, "{} ms", changed_at_ms - taken_over_ms);
    let off_ms = published[0].time("lastHeartbeatAt").unix_ms() - last_beat_ms;
    assert!((-500..500).contains(&off_ms), "the last beat is known, though a leader died since: {off_ms} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_serves_profiles_and_knows_the_totals() {
    let cluster = online().await;
    let one = || proto::merchant_connection::Merchant {
        id: proto::conversions::to_bytes(merchant(1).as_bytes()),
        name: "Cantina".to_owned(),
        corporate_name: "Cantina Ltda".to_owned(),
        time_zone: "America/Sao_Paulo".to_owned(),
        ..proto::merchant_connection::Merchant::default()
    };
    cluster.node(1).api.clone().put_merchant(one()).await.unwrap();
    for id in 1..=3 {
        let mut api = cluster.node(id).api.clone();
        let request =
            proto::merchant_connection::GetMerchantsRequest { merchant_ids: vec![one().id], with_presentation: false };
        assert_eq!(api.get_merchants(request).await.unwrap().into_inner().merchants.len(), 1);
        eventually("the totals", async || {
            let request = proto::merchant_connection::TotalsRequest {};
            let totals = api.clone().totals(request).await.unwrap().into_inner();
            let known = totals.partitions.iter().filter(|partition| partition.has_replica && partition.leader != 0);
            totals.online == FLEET.len() as u64 && known.count() == 4
        })
        .await;
    }
}

/// What a kitchen-api brings to a node that does not lead, because it does not reach the one that does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_that_a_follower_is_to_pass_on_reach_the_leader_or_are_refused() {
    const NEWCOMER: u32 = 77;
    let cluster = online().await;
    let partition = partition_of(NEWCOMER);
    let leader = cluster.leader(partition).unwrap();
    let follower = (1..=3).find(|node| *node != leader).unwrap();
    let brought = async |pass_on: bool| {
        let told = wire::BeatRequest { partitions: Vec::new(), pass_on, ..beats(&[NEWCOMER]) };
        cluster.node(follower).api.clone().beat(told).await.unwrap().into_inner().refused_partitions
    };
    assert_eq!(brought(false).await, [u32::from(partition)], "nobody asked it to");
    assert_eq!(brought(true).await, Vec::<u32>::new());
    assert_eq!(briefs(&cluster.published(1).await), [brief(NEWCOMER, "ONLINE", 1)]);
    cluster.net.isolate(leader);
    assert_eq!(brought(true).await, [u32::from(partition)], "whoever asked keeps them");
}
