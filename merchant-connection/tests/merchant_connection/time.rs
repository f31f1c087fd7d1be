//! Clocks that jump, processes that pause, nobody who calls: none of it is a merchant's silence.

use std::time::Duration;

use crate::platform::{Platform, brief, briefs, config};

const TWO_DAYS_MS: i64 = 2 * 24 * 3600 * 1000;

#[tokio::test]
async fn a_jump_of_the_wall_clock_moves_nobody() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2], 2).await;
    for jump_ms in [TWO_DAYS_MS, -TWO_DAYS_MS, -TWO_DAYS_MS, TWO_DAYS_MS] {
        platform.clock.jump(jump_ms);
        service.steps(5, &[1, 2]).await;
        assert_eq!(briefs(&platform.published().await), [], "after a jump of {jump_ms} ms");
    }
    // Silence is still noticed with the clock two days ahead.
    platform.clock.jump(TWO_DAYS_MS);
    let published = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(2, "OFFLINE", 2)]);
    service.stop().await;
}

#[tokio::test]
async fn a_pause_of_the_process_moves_nobody() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2], 2).await;
    for minutes in [1, 5, 60] {
        platform.clock.advance(Duration::from_secs(60 * minutes));
        // The first sweep after the pause runs at once: before anybody called, or right after an empty call.
        if minutes > 1 {
            service.beat(&[]).await;
        }
        service.steps(3, &[]).await;
        assert_eq!(briefs(&platform.published().await), [], "after a pause of {minutes} minutes");
        service.steps(2, &[1, 2]).await;
    }
    let published = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(2, "OFFLINE", 2)]);
    service.stop().await;
}

#[tokio::test]
async fn nobody_is_judged_while_no_kitchen_api_calls() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2], 2).await;
    // Ten minutes pass in steps that a sweep each would count, were anybody calling.
    for _ in 0..60 {
        platform.clock.advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(briefs(&platform.published().await), []);
    }
    assert!(service.presence(1).await.online && service.presence(2).await.online);
    // A kitchen-api is back, without beats at first; then everyone polls again.
    service.steps(3, &[]).await;
    service.steps(15, &[1, 2]).await;
    assert_eq!(briefs(&platform.published().await), []);
    let published = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(2, "OFFLINE", 2)], "calls without beats of a merchant are its silence");
    service.stop().await;
}
