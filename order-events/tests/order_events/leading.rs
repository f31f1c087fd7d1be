//! Leadership that comes and goes, as one node sees it: what it leads it takes back, serves, expires and rebuilds; of the
//! rest it says who does, and takes events and acknowledgments for it all the same.

use std::time::Duration;

use order_events::{Leadership, NodeId, RefusalReason};

use crate::peers::FakePolling;
use crate::platform::{Platform, application, event, eventually, merchant, partition_of};

fn ours(term: u64) -> Leadership {
    Leadership { leader: Some(NodeId(1)), term, is_ours: true }
}

fn theirs(term: u64) -> Leadership {
    Leadership { leader: Some(NodeId(2)), term, is_ours: false }
}

fn nobodys(term: u64) -> Leadership {
    Leadership { leader: None, term, is_ours: false }
}

fn place(of: u8) -> u16 {
    u16::try_from(partition_of(merchant(of))).unwrap()
}

fn reason(platform: &Platform, of: u8) -> Option<RefusalReason> {
    platform.poll(&[of]).refused.first().map(|refused| refused.reason)
}

#[tokio::test(start_paused = true)]
async fn what_another_node_leads_is_refused_with_a_hint_and_taken_back_in_a_new_term() {
    let platform = Platform::start().await;
    let (one, two, three) = (event(1, 1, 1), event(1, 2, 1), event(1, 3, 1));
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    platform.grid.hand_over(place(1), theirs(2));
    let elsewhere = RefusalReason::NotLeader { leader: Some(NodeId(2)), term: 2 };
    assert_eq!(reason(&platform, 1), Some(elsewhere));
    platform.polling.state.lock().unreachable = true;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(reason(&platform, 1), Some(elsewhere), "an unreadable fence is not this node's business there");
    platform.polling.state.lock().unreachable = false;
    platform.eventually_ready().await;

    // Events and acknowledgments go on: whoever leads applies them.
    platform.publish(&[two.clone(), three.clone()]).await;
    eventually("applied", || platform.handle.status()[usize::from(place(1))].events == 3).await;
    platform.acknowledge(&[one.id]).await;

    // Acknowledged without a leader while the other one was away; its fence stands.
    {
        let mut state = platform.polling.state.lock();
        state.fences.insert(partition_of(merchant(1)), (1, true));
        state.fenced.insert(partition_of(merchant(1)), vec![(application().to_string(), two.id)]);
        state.fence_log_unreadable = true;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(platform.polling.state.lock().lowered, [], "who does not lead lowers no fence");
    // A state that is whole needs no export to be served.
    platform.polling.state.lock().exports_fail = true;
    platform.grid.hand_over(place(1), ours(3));
    eventually("it takes the partition back", || !platform.polling.state.lock().lowered.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(reason(&platform, 1), Some(RefusalReason::NotServing), "not before the log was read whole");
    platform.polling.state.lock().fence_log_unreadable = false;
    eventually("it serves", || reason(&platform, 1).is_none()).await;
    assert_eq!(platform.shown(&[1]), [three.id], "nothing acknowledged comes back");
    let status = &platform.handle.status()[usize::from(place(1))];
    assert_eq!((status.leader, status.term, status.rebuilt), (Some(NodeId(1)), 3, true));
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_leader_for_some_partition_is_not_ready_and_keeps_its_messages() {
    let platform = Platform::start().await;
    let other = (2..50).find(|number| place(*number) != place(1)).unwrap();
    platform.grid.hand_over(place(1), nobodys(2));
    let why = platform.handle.readiness().unwrap_err();
    assert!(why.contains("no leader is known of 1 partitions"), "{why}");
    assert_eq!(reason(&platform, 1), Some(RefusalReason::NotLeader { leader: None, term: 2 }));
    let (one, two) = (event(1, 1, 1), event(other, 2, 1));
    platform.publish(&[one.clone(), two.clone()]).await;
    platform.eventually_shown(&[other], std::slice::from_ref(&two)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(platform.handle.status()[usize::from(place(1))].events, 0, "waiting in its queue");
    platform.grid.hand_over(place(1), ours(3));
    platform.eventually_ready().await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_is_led_is_rebuilt_and_exported_and_the_mark_stays() {
    let polling = FakePolling::default();
    polling.state.lock().events = vec![event(1, 1, 1)];
    // Of a cluster of two nodes this one leads a single partition, not the one with the event.
    let led = (place(1) + 1) % 16;
    let prepare = |grid: &replicated_grid::SingleNode<_>| {
        (0..16).filter(|partition| *partition != led).for_each(|partition| grid.hand_over(partition, theirs(1)));
    };
    let platform = Platform::start_over(polling, |_| {}, prepare);
    platform.eventually_ready().await;
    assert_eq!(platform.polling.state.lock().exported, [u32::from(led)]);
    let rebuilt = |platform: &Platform| platform.handle.status().iter().filter(|status| status.rebuilt).count();
    assert_eq!(rebuilt(&platform), 1);
    assert_eq!(platform.handle.status().iter().map(|status| status.events).sum::<u64>(), 0, "the other's to apply");
    platform.grid.hand_over(place(1), ours(2));
    eventually("the partition gained is rebuilt before it serves", || {
        platform.handle.status()[usize::from(place(1))].why_not.is_none()
    })
    .await;
    assert_eq!(platform.shown(&[1]), [event(1, 1, 1).id]);
    assert_eq!(rebuilt(&platform), 2);
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_above_a_gap_waits_anew_from_the_take_over() {
    let platform = Platform::start().await;
    let second = event(1, 1, 2);
    platform.publish(std::slice::from_ref(&second)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&second)).await;
    platform.grid.hand_over(place(1), theirs(2));
    tokio::time::sleep(Duration::from_secs(30)).await;
    platform.grid.hand_over(place(1), ours(3));
    eventually("it serves", || reason(&platform, 1).is_none()).await;
    assert_eq!(platform.shown(&[1]), [], "its first event may be on its way from the former leader's queue");
    let gained_at = tokio::time::Instant::now();
    platform.eventually_shown(&[1], &[second]).await;
    assert!(gained_at.elapsed() <= Duration::from_millis(2_100), "{:?}", gained_at.elapsed());
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_expires_where_nobody_leads_here() {
    let platform = Platform::start().await;
    platform.publish(&[event(1, 1, 1)]).await;
    let events = |platform: &Platform| platform.handle.status()[usize::from(place(1))].events;
    eventually("it is here", || events(&platform) == 1).await;
    platform.grid.hand_over(place(1), theirs(2));
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    assert_eq!(events(&platform), 1);
    platform.grid.hand_over(place(1), ours(3));
    eventually("its leader expires it", || events(&platform) == 0).await;
    platform.stop().await;
}
