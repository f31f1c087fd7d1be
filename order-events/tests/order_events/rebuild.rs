//! Coming back: what connection-polling has is served again, and nothing before all of it is here.

use std::time::Duration;

use order_events::{PollFlags, RefusalReason};

use crate::peers::FakePolling;
use crate::platform::{Platform, application, event, eventually, merchant, partition_of};

#[tokio::test(start_paused = true)]
async fn nothing_is_served_before_everything_was_rebuilt() {
    let polling = FakePolling::default();
    let events: Vec<_> = (0..10).map(|number| event(1, number, 1)).collect();
    let fenced = events[2].id;
    {
        let mut state = polling.state.lock();
        state.unreachable = true;
        state.events = events.clone();
        state.acknowledged = vec![(application().to_string(), events[0].id)];
        state.fences.insert(partition_of(merchant(1)), (7, true));
        state.fenced.insert(partition_of(merchant(1)), vec![(application().to_string(), fenced)]);
    }
    let platform = Platform::start_with(polling, |_| {});
    platform.acknowledge(&[events[1].id]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let why = platform.handle.readiness().unwrap_err();
    assert!(why.contains("rebuilding") && why.contains("Unavailable"), "{why}");
    let flags = PollFlags { fallback_unreachable: true, ..PollFlags::default() };
    let refused = platform.poll_as(&application(), &[1], 10, flags).refused;
    assert_eq!(refused[0].reason, RefusalReason::NotServing, "not even for callers without a fallback");
    platform.polling.state.lock().unreachable = false;
    platform.eventually_ready().await;
    let expected: Vec<_> = events[3..].iter().map(|event| event.id).collect();
    assert_eq!(platform.shown(&[1]), expected);
    assert_eq!(platform.polling.state.lock().lowered, [(partition_of(merchant(1)), 7)]);
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_arrives_while_rebuilding_is_kept() {
    let polling = FakePolling::default();
    polling.state.lock().unreachable = true;
    let platform = Platform::start_with(polling, |_| {});
    let (old, new) = (event(1, 1, 1), event(1, 2, 1));
    platform.publish(&[old.clone(), new.clone()]).await;
    eventually("consumed at once", || platform.handle.status().iter().any(|partition| partition.events == 2)).await;
    platform.polling.state.lock().events = vec![old.clone()];
    platform.polling.state.lock().unreachable = false;
    platform.eventually_ready().await;
    platform.eventually_shown(&[1], &[old, new]).await;
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_reaches_the_export_late_is_found_by_a_later_one() {
    let platform = Platform::start().await;
    let late = event(1, 1, 1);
    platform.polling.state.lock().events = vec![late.clone()];
    platform.eventually_shown(&[1], &[late]).await;
    tokio::time::sleep(Duration::from_secs(3 * 60 * 60)).await;
    let exports = platform.polling.state.lock().exports;
    tokio::time::sleep(Duration::from_secs(3 * 60 * 60)).await;
    assert_eq!(platform.polling.state.lock().exports, exports, "and no export is repeated for ever");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_export_with_a_gap_holds_back_and_asks_the_core() {
    let polling = FakePolling::default();
    polling.state.lock().events = vec![event(1, 1, 2)];
    let platform = Platform::start_with(polling, |_| {});
    platform.core.state.lock().events = vec![event(1, 1, 1)];
    platform.eventually_ready().await;
    assert_eq!(platform.shown(&[1]), []);
    platform.eventually_shown(&[1], &[event(1, 1, 1), event(1, 1, 2)]).await;
    platform.stop().await;
}
