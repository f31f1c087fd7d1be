//! The leader's part of the fence protocol, and what polls are answered meanwhile.

use std::time::Duration;

use order_events::{PollFlags, RefusalReason};

use crate::platform::{Platform, application, event, eventually, merchant, partition_of};

#[tokio::test(start_paused = true)]
async fn a_raised_fence_is_lowered_and_its_acknowledgments_are_applied_before_serving_again() {
    let platform = Platform::start().await;
    let (one, two) = (event(1, 1, 1), event(1, 2, 1));
    platform.publish(&[one.clone(), two.clone()]).await;
    platform.eventually_shown(&[1], &[one.clone(), two.clone()]).await;
    let partition = partition_of(merchant(1));
    {
        let mut state = platform.polling.state.lock();
        state.fences.insert(partition, (1, true));
        state.fenced.insert(partition, vec![(application().to_string(), one.id)]);
        state.fence_log_unreadable = true;
    }
    let reason = || platform.poll(&[1]).refused.first().map(|refused| refused.reason);
    eventually("it stops serving", || reason() == Some(RefusalReason::NotServing)).await;
    eventually("it lowers the fence", || platform.polling.state.lock().lowered.contains(&(partition, 1))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(reason(), Some(RefusalReason::NotServing), "lowered, but the log is not applied completely");
    assert!(platform.handle.readiness().unwrap_err().contains("fenced out"));
    assert_eq!(platform.handle.acknowledge(&application(), &[]).await, [], "acknowledgments are taken all the time");
    platform.polling.state.lock().fence_log_unreadable = false;
    eventually("it serves again", || platform.poll(&[1]).refused.is_empty()).await;
    assert_eq!(platform.shown(&[1]), [two.id], "what was acknowledged without the leader does not come back");
    let status = platform.handle.status();
    assert_eq!(status[usize::try_from(partition).unwrap()].fence_epoch, 1);
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn other_partitions_go_on_serving() {
    let platform = Platform::start().await;
    let other = (2..50).find(|number| partition_of(merchant(*number)) != partition_of(merchant(1))).unwrap();
    {
        let mut state = platform.polling.state.lock();
        state.fences.insert(partition_of(merchant(1)), (1, true));
        state.fence_log_unreadable = true;
    }
    eventually("one is fenced out", || !platform.poll(&[1]).refused.is_empty()).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let outcome = platform.poll(&[1, other]);
        let refused: Vec<_> = outcome.refused.iter().map(|refused| u32::from(refused.partition.0)).collect();
        assert_eq!(refused, [partition_of(merchant(1))]);
    }
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fences_that_cannot_be_read_end_serving_except_for_callers_without_a_fallback() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    platform.polling.state.lock().unreachable = true;
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!(platform.shown(&[1]), [one.id], "the last read still counts");
    let reason = || platform.poll(&[1]).refused.first().map(|refused| refused.reason);
    eventually("FENCE passes", || reason() == Some(RefusalReason::FenceUnreadable)).await;
    let flags = PollFlags { fallback_unreachable: true, ..PollFlags::default() };
    assert_eq!(platform.poll_as(&application(), &[1], 10, flags).events[0].id, one.id);
    assert!(platform.handle.readiness().unwrap_err().contains("cannot be read"));
    platform.acknowledge(&[one.id]).await;
    assert!(platform.poll_as(&application(), &[1], 10, flags).events.is_empty());
    platform.polling.state.lock().unreachable = false;
    platform.eventually_ready().await;
    assert_eq!(platform.shown(&[1]), []);
    platform.stop().await;
}
