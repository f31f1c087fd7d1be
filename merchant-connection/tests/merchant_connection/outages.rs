//! The topic or the store goes away and comes back: judged all the time, told later, in order.

use crate::platform::{Platform, brief, briefs, config, eventually, merchant};
use proto::conversions::to_bytes;
use proto::merchant_connection::lookup_request::By;
use tonic::Code;

#[tokio::test]
async fn a_topic_that_was_down_gets_every_transition_in_order() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1], 1).await;
    platform.topic_is_down(true);
    service.steps(3, &[1, 2]).await;
    eventually("heard", async || service.presence(2).await.online).await;
    eventually("silent", async || {
        service.step(&[1]).await;
        !service.presence(2).await.online
    })
    .await;
    eventually("heard again", async || {
        service.step(&[1, 2]).await;
        service.presence(2).await.online
    })
    .await;
    assert_eq!(briefs(&platform.published().await), []);
    platform.topic_is_down(false);
    let published = platform.published_while(&service, &[1, 2], 3).await;
    assert_eq!(briefs(&published), [brief(2, "ONLINE", 1), brief(2, "OFFLINE", 2), brief(2, "ONLINE", 3)]);
    service.stop().await;
}

#[tokio::test]
async fn without_the_store_presence_is_answered_and_transitions_are_carried_out_later() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1], 1).await;
    platform.dynamodb.cut(true);
    service.steps(3, &[1, 2]).await;
    eventually("heard", async || service.presence(2).await.online).await;
    eventually("silent", async || {
        service.step(&[1]).await;
        !service.presence(2).await.online
    })
    .await;
    assert!(service.presence(1).await.online);
    let refused = service.lookup(By::MerchantId(to_bytes(merchant(1).as_bytes()))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(briefs(&platform.published().await), [], "published only what is written");
    platform.dynamodb.cut(false);
    let published = platform.published_while(&service, &[1], 2).await;
    assert_eq!(briefs(&published), [brief(2, "ONLINE", 1), brief(2, "OFFLINE", 2)]);
    assert_eq!(service.history(2, 10, 0).await.len(), 2);
    service.stop().await;
}

/// An older process that has not ended yet wrote the same sequence: its transition stands, ours is told to nobody.
#[tokio::test]
async fn a_sequence_that_another_process_wrote_is_not_told_twice() {
    let platform = Platform::start().await;
    let older = platform.service(config()).await;
    let newer = platform.service(config()).await;
    let published = platform.published_while(&older, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(1, "ONLINE", 1)]);
    // One second on, so that the newer one's transition is another one.
    platform.clock.advance(std::time::Duration::from_secs(1));
    newer.beat(&[1]).await;
    eventually("heard", async || newer.presence(1).await.online).await;
    let next = platform.published_while(&newer, &[1, 2], 1).await;
    assert_eq!(briefs(&next), [brief(2, "ONLINE", 1)]);
    let history = newer.history(1, 10, 0).await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].changed_at_ms, published[0].time("changedAt").unix_ms());
    older.stop().await;
    newer.stop().await;
}
