//! What a restart takes over: nobody changes, nothing is lost, nothing is told twice that was told for sure.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use merchant_connection::Config;

use crate::platform::{PREFIX, Platform, brief, briefs, config, eventually, merchant, partition_of};

#[tokio::test]
async fn a_restart_changes_nobody_and_gives_a_full_offline_period() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2, 3], 3).await;
    let offline = platform.published_while(&service, &[1, 2], 1).await;
    assert_eq!(briefs(&offline), [brief(3, "OFFLINE", 2)]);
    service.stop().await;

    // Ten minutes later: those ONLINE have been silent for long, because nobody listened.
    platform.clock.advance(Duration::from_secs(600));
    let service = platform.service(config()).await;
    let restarted_at_ms = service.now_ms();
    for (number, online, sequence) in [(1, true, 1), (2, true, 1), (3, false, 2)] {
        let presence = service.presence(number).await;
        assert_eq!((presence.online, presence.sequence), (online, sequence), "merchant {number}");
    }
    let next = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&next), [brief(2, "OFFLINE", 2)], "the sequence goes on, and nothing was published again");
    let period_ms = next[0].time("changedAt").unix_ms() - restarted_at_ms;
    assert!(period_ms >= 1000, "OFFLINE {period_ms} ms after the restart");
    let next = platform.published_while(&service, &[1, 3], 1).await;
    assert_eq!(briefs(&next), [brief(3, "ONLINE", 3)]);
    service.stop().await;
}

#[tokio::test]
async fn what_was_written_but_not_published_is_published_by_the_next_process_with_the_same_id() {
    let platform = Platform::start().await;
    let service = platform.service(Config { drain_timeout: Duration::from_millis(100), ..config() }).await;
    platform.published_while(&service, &[1], 1).await;
    platform.topic_is_down(true);
    service.steps(4, &[1, 2]).await;
    eventually("written", async || service.history(2, 1, 0).await.len() == 1).await;
    let written = service.history(2, 1, 0).await;
    service.stop().await;
    platform.topic_is_down(false);
    assert_eq!(briefs(&platform.published().await), []);

    let service = platform.service(config()).await;
    let published = platform.published_while(&service, &[1, 2], 1).await;
    assert_eq!(briefs(&published), [brief(2, "ONLINE", 1)]);
    assert_eq!(uuid::Uuid::parse_str(&published[0].id()).unwrap().as_bytes().as_slice(), written[0].id);
    service.steps(5, &[1, 2]).await;
    service.stop().await;

    let service = platform.service(config()).await;
    let published = platform.published_while(&service, &[1, 2, 3], 1).await;
    assert_eq!(briefs(&published), [brief(3, "ONLINE", 1)], "it was marked, so nothing comes again");
    service.stop().await;
}

#[tokio::test]
async fn a_shutdown_carries_out_what_was_decided() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.topic_is_down(true);
    service.steps(3, &[1, 2]).await;
    eventually("decided", async || service.presence(1).await.online && service.presence(2).await.online).await;
    let back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        platform.topic_is_down(false);
    };
    tokio::join!(service.stop(), back);
    let mut published = briefs(&platform.published().await);
    published.sort();
    assert_eq!(published, [brief(1, "ONLINE", 1), brief(2, "ONLINE", 1)]);
}

#[tokio::test]
async fn a_start_without_its_store_waits_says_so_and_keeps_the_beats() {
    let platform = Platform::start().await;
    platform.dynamodb.cut(true);
    let service = platform.starting(config());
    eventually("beats are taken", async || service.beat(&[1]).await.is_empty()).await;
    assert!(service.handle.readiness().unwrap_err().contains("not restored"));
    let refused = service.ask_presence(1, false).await;
    assert_eq!((refused.presences, refused.refused_partitions), (vec![], vec![u32::from(partition_of(1))]));
    platform.dynamodb.cut(false);
    eventually("ready", async || service.handle.readiness().is_ok()).await;
    let published = platform.published_while(&service, &[], 1).await;
    assert_eq!(briefs(&published), [brief(1, "ONLINE", 1)]);
    service.stop().await;
}

#[tokio::test]
async fn a_shutdown_during_the_start_ends_it() {
    let platform = Platform::start().await;
    platform.dynamodb.cut(true);
    let service = platform.starting(config());
    tokio::time::timeout(Duration::from_secs(5), service.stop()).await.unwrap();
}

/// The state outlives the process where the grid does: then the table is not needed.
#[tokio::test]
async fn a_state_that_is_whole_is_not_restored_again() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2], 2).await;
    let grid = service.grid.clone();
    service.stop().await;
    platform.dynamodb.cut(true);
    let service = platform.starting_on(config(), grid);
    eventually("ready without the table", async || service.handle.readiness().is_ok()).await;
    assert!(service.presence(1).await.online && service.presence(2).await.online);
    platform.dynamodb.cut(false);
    let next = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&next), [brief(2, "OFFLINE", 2)]);
    service.stop().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_read_does_not_keep_others_from_being_restored() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2, 3], 3).await;
    service.stop().await;
    let item = |number: u32, field: &'static str| {
        let table = format!("{PREFIX}merchants");
        let pk = AttributeValue::S(format!("m#{}", merchant(number)));
        let put = platform.client().put_item().table_name(table).item("pk", pk);
        put.item("sk", AttributeValue::S("presence".to_owned())).item(field, AttributeValue::N("7".to_owned()))
    };
    item(2, "sequence").send().await.unwrap();
    item(4, "nothing").send().await.unwrap();
    let service = platform.service(config()).await;
    assert!(service.presence(1).await.online && service.presence(3).await.online);
    assert!(!service.presence(2).await.online);
    assert_eq!(service.totals().await.known, 2);
    service.stop().await;
}
