//! Expiry, and clocks that cannot be believed.

use std::time::Duration;

use crate::platform::{Platform, START_MS, event, eventually};

const TWO_DAYS_MS: i64 = 2 * 24 * 60 * 60 * 1_000;

#[tokio::test(start_paused = true)]
async fn an_event_is_gone_at_the_very_instant_it_expires() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    let now_ms = order_model::Clock::now(&*platform.clock).unix_ms();
    let left_ms = u64::try_from(one.expires_at.unix_ms() - now_ms).unwrap();
    tokio::time::sleep(Duration::from_millis(left_ms - 1)).await;
    assert_eq!(platform.shown(&[1]), [one.id]);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(platform.shown(&[1]), []);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert_eq!(platform.handle.status().iter().map(|partition| partition.events).sum::<u64>(), 0, "memory is freed");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_two_days_expires_nothing() {
    let platform = Platform::start().await;
    platform.polling.state.lock().store_date_ms = START_MS;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    platform.clock.jump(TWO_DAYS_MS);
    for second in 1..=120 {
        platform.polling.state.lock().store_date_ms = START_MS + second * 1_000;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(platform.shown(&[1]), [one.id]);
    }
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn expiry_rests_while_the_store_disagrees_with_the_clock() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    // The store's date stands still, so our clock seems to run ahead of it, past the event's expiry.
    platform.polling.state.lock().store_date_ms = START_MS;
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(platform.shown(&[1]), [one.id], "late is better than lost");
    platform.polling.state.lock().store_date_ms = 0;
    eventually("the clock is believed again", || platform.shown(&[1]).is_empty()).await;
    platform.stop().await;
}
