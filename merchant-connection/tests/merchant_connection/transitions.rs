//! Beats, silence, and what is published and remembered of them.

use std::collections::BTreeSet;

use proto::conversions::to_bytes;
use proto::merchant_connection as wire;
use tonic::Code;

use crate::platform::{Platform, Published, brief, briefs, config, eventually, merchant};

#[tokio::test]
async fn the_first_beat_is_published_once_as_the_contract_says() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let published = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(1, "ONLINE", 1)]);
    let Published { json, attributes } = &published[0];
    let fields: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let contract = ["id", "merchantId", "status", "reason", "changedAt", "lastHeartbeatAt", "sequence"];
    assert_eq!(fields, BTreeSet::from(contract));
    assert_eq!(json["reason"], "HEARTBEAT_RECEIVED");
    assert_eq!(published[0].id().parse::<uuid::Uuid>().unwrap().get_version_num(), 8);
    assert!(published[0].time("lastHeartbeatAt") <= published[0].time("changedAt"));
    let expected = [("merchantId", merchant(1).to_string()), ("status", "ONLINE".to_owned())];
    assert_eq!(*attributes, expected.map(|(name, value)| (name.to_owned(), value)).into());

    service.steps(20, &[1]).await;
    assert_eq!(briefs(&platform.published().await), []);
    let presence = service.presence(1).await;
    assert_eq!((presence.online, presence.reason.as_str(), presence.sequence), (true, "HEARTBEAT_RECEIVED", 1));
    assert_eq!(presence.changed_at_ms, 0, "read only when it is asked for");
    let changed = service.ask_presence(1, true).await.presences[0].changed_at_ms;
    assert_eq!(changed, published[0].time("changedAt").unix_ms());
    assert!(service.now_ms() - presence.last_heartbeat_at_ms <= 300);
    service.stop().await;
}

#[tokio::test]
async fn silence_is_published_with_its_reason_and_history_is_newest_first() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2], 2).await;
    let heard_at_ms = service.now_ms();
    let offline = platform.published_while(&service, &[2], 1).await;
    assert_eq!(briefs(&offline), [brief(1, "OFFLINE", 2)]);
    assert_eq!(offline[0].json["reason"], "HEARTBEAT_TIMEOUT");
    assert_eq!(offline[0].attributes["status"], "OFFLINE");
    let changed_at_ms = offline[0].time("changedAt").unix_ms();
    assert!(changed_at_ms - heard_at_ms >= 900, "OFFLINE after {} ms", changed_at_ms - heard_at_ms);
    assert!((offline[0].time("lastHeartbeatAt").unix_ms() - heard_at_ms).abs() <= 300);
    assert!(!service.presence(1).await.online);

    let online = platform.published_while(&service, &[1, 2], 1).await;
    assert_eq!(briefs(&online), [brief(1, "ONLINE", 3)]);
    let history = service.history(1, 10, 0).await;
    assert_eq!(
        history.iter().map(|one| (one.sequence, one.online)).collect::<Vec<_>>(),
        [(3, true), (2, false), (1, true)]
    );
    assert_eq!(history[1].id, uuid::Uuid::parse_str(&offline[0].id()).unwrap().as_bytes().as_slice());
    assert_eq!(history[1].reason, "HEARTBEAT_TIMEOUT");
    // Page by page, one at a time: a page is never short while there is more.
    let mut sequences = Vec::new();
    let mut before_ms = 0;
    while let [one] = service.history(1, 1, before_ms).await.as_slice() {
        sequences.push(one.sequence);
        before_ms = one.changed_at_ms;
    }
    assert_eq!(sequences, [3, 2, 1]);
    assert_eq!(service.history(2, 10, 0).await.len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_merchant_never_seen_is_offline_and_publishes_nothing() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let published = platform.published_while(&service, &[1], 1).await;
    assert_eq!(briefs(&published), [brief(1, "ONLINE", 1)]);
    let presence = service.presence(7).await;
    assert_eq!((presence.online, presence.reason.as_str()), (false, "NEVER_SEEN"));
    assert_eq!((presence.changed_at_ms, presence.last_heartbeat_at_ms, presence.sequence), (0, 0, 0));
    service.steps(20, &[1]).await;
    assert_eq!(briefs(&platform.published().await), []);
    assert_eq!(service.history(7, 10, 0).await, []);
    service.stop().await;
}

#[tokio::test]
async fn a_beat_that_is_old_when_it_arrives_counts_from_when_it_was_made() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let beat = |number, age_ms| wire::Beat { merchant_id: to_bytes(merchant(number).as_bytes()), age_ms };
    let beats = vec![beat(1, 5_000), beat(2, u32::MAX), beat(3, 500)];
    service.api.clone().beat(wire::BeatRequest { beats, ..wire::BeatRequest::default() }).await.unwrap();
    let published = platform.published_while(&service, &[], 1).await;
    assert_eq!(briefs(&published), [brief(3, "ONLINE", 1)]);
    let ago_ms = published[0].time("changedAt").unix_ms() - published[0].time("lastHeartbeatAt").unix_ms();
    assert!((400..900).contains(&ago_ms), "{ago_ms}");
    service.stop().await;
}

/// Four tasks beat for the same thousand merchants, all at once and in different orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_beats_make_one_transition_each() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let beating = (0..4u32).map(|task| {
        let mut api = service.api.clone();
        tokio::spawn(async move {
            for round in 0..50u32 {
                let numbers = (0..100).map(|place| (place * 7 + round * 20 + task * 250) % 1000);
                let beat = |number| wire::Beat { merchant_id: to_bytes(merchant(number).as_bytes()), age_ms: 0 };
                let request = wire::BeatRequest { beats: numbers.map(beat).collect(), ..wire::BeatRequest::default() };
                api.beat(request).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(beating).await.unwrap();
    let mut published = Vec::new();
    while published.len() < 1000 {
        published.extend(platform.published_while(&service, &[], 1).await);
        // Fast enough that nobody falls silent meanwhile.
        service.beat(&(0..1000).collect::<Vec<_>>()).await;
    }
    let distinct: BTreeSet<_> = briefs(&published).into_iter().collect();
    assert_eq!(published.len(), 1000);
    assert_eq!(distinct, (0..1000).map(|number| brief(number, "ONLINE", 1)).collect());
    eventually("totals", async || service.totals().await.online == 1000).await;
    let totals = service.totals().await;
    // Whether the brake is on says nothing here: after the burst, ordinary beats look like an outage.
    assert_eq!((totals.known, totals.partitions.len()), (1000, 4));
    assert_eq!(totals.partitions.iter().map(|partition| partition.online).sum::<u64>(), 1000);
    assert!(totals.partitions.iter().all(|partition| partition.known > 150), "{:?}", totals.partitions);
    service.stop().await;
}

#[tokio::test]
async fn what_is_too_much_or_malformed_is_refused() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let mut api = service.api.clone();
    let merchant_ids = vec![to_bytes(merchant(1).as_bytes()); 1001];
    for (with_last_change, message) in [(false, "merchant_ids: at most 1000"), (true, "merchant_ids: at most 100")] {
        let request = wire::PresenceRequest { merchant_ids: merchant_ids.clone(), with_last_change };
        let refused = api.presence(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, message));
    }
    let refused =
        api.get_merchants(wire::GetMerchantsRequest { merchant_ids, with_presentation: false }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let beats = vec![wire::Beat { merchant_id: vec![1, 2, 3].into(), age_ms: 0 }];
    let malformed = wire::BeatRequest { beats, ..wire::BeatRequest::default() };
    assert_eq!(api.beat(malformed).await.unwrap_err().code(), Code::InvalidArgument);
    let nowhere = wire::BeatRequest { partitions: vec![4], ..wire::BeatRequest::default() };
    assert_eq!(api.beat(nowhere).await.unwrap_err().code(), Code::InvalidArgument);
    let of_others = wire::BeatRequest { partition_count: 8, ..wire::BeatRequest::default() };
    assert_eq!(api.beat(of_others).await.unwrap_err().code(), Code::FailedPrecondition);
    service.stop().await;
}
