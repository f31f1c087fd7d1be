//! Profiles that several change at once: a change goes through on what was read, or not at all.

use proto::conversions::to_bytes;
use proto::merchant_connection as wire;
use proto::merchant_connection::PutRefusal;
use proto::merchant_connection::lookup_request::By;
use tonic::Code;

use crate::platform::{PREFIX, Platform, Running, config, merchant};

fn profile() -> wire::Merchant {
    wire::Merchant { id: to_bytes(merchant(1).as_bytes()), name: "Cantina".to_owned(), ..wire::Merchant::default() }
}

fn interruption(number: usize) -> wire::Interruption {
    let start_ms = 1_800_000_000_000 + i64::try_from(number).unwrap() * 1_000;
    wire::Interruption { id: format!("i{number}"), description: String::new(), start_ms, end_ms: start_ms + 1_000 }
}

async fn read(service: &Running) -> wire::Merchant {
    service.lookup(By::MerchantId(profile().id)).await.unwrap()
}

/// Reads, adds one interruption and writes until nobody was in between; how often that took.
async fn add(service: &Running, number: usize) -> usize {
    for attempt in 1..200 {
        let mut merchant = read(service).await;
        merchant.interruptions.push(interruption(number));
        match service.put_at(merchant).await {
            Ok(PutRefusal::None) => return attempt,
            Ok(PutRefusal::Overtaken) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("never written");
}

#[tokio::test]
async fn a_change_of_an_old_version_is_refused_and_changes_nothing() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    assert!(service.put(profile()).await.unwrap());
    let first = read(&service).await;
    assert_eq!((first.version, first.time_zone.as_str()), (1, "America/Sao_Paulo"));
    let renamed = wire::Merchant { name: "Outra".to_owned(), ..first.clone() };
    assert_eq!(service.put_at(renamed.clone()).await.unwrap(), PutRefusal::None);
    let second = read(&service).await;
    assert_eq!(second, wire::Merchant { version: 2, ..renamed });
    assert_eq!(service.put_at(first).await.unwrap(), PutRefusal::Overtaken);
    let never = wire::Merchant { id: to_bytes(merchant(2).as_bytes()), version: 1, ..profile() };
    assert_eq!(service.put_at(never).await.unwrap(), PutRefusal::Overtaken, "there is none");
    assert_eq!(read(&service).await, second);
    service.put(profile()).await.unwrap();
    assert_eq!(read(&service).await.version, 3, "without a version it counts on");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_changes_lose_nothing() {
    const WRITERS: usize = 8;
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    service.put(profile()).await.unwrap();
    let attempts = futures::future::join_all((0..WRITERS).map(|number| add(&service, number))).await;
    assert!(attempts.iter().any(|attempts| *attempts > 1), "nobody was in another's way: {attempts:?}");
    let merchant = read(&service).await;
    let mut ids: Vec<&str> = merchant.interruptions.iter().map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..WRITERS).map(|number| format!("i{number}")).collect::<Vec<_>>());
    assert_eq!(merchant.version, 1 + WRITERS as u64);
    service.stop().await;
}

#[tokio::test]
async fn what_overlaps_is_refused_by_name_and_what_does_not_fit_by_its_field() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    service.put(profile()).await.unwrap();
    let stored = read(&service).await;
    let shift = |start_minute| wire::Shift { day_of_week: 1, start_minute, duration_minutes: 60 };
    let shifts = wire::Merchant { shifts: vec![shift(0), shift(59)], ..stored.clone() };
    let twice = wire::Interruption { id: "other".to_owned(), ..interruption(1) };
    let pauses = wire::Merchant { interruptions: vec![interruption(1), twice], ..stored.clone() };
    for version in [0, stored.version] {
        let at = |merchant: &wire::Merchant| wire::Merchant { version, ..merchant.clone() };
        assert_eq!(service.put_at(at(&shifts)).await.unwrap(), PutRefusal::ShiftsOverlap);
        assert_eq!(service.put_at(at(&pauses)).await.unwrap(), PutRefusal::InterruptionsOverlap);
    }
    let mut eight_days = interruption(1);
    eight_days.end_ms += 8 * 24 * 3_600_000;
    for wrong in
        [vec![eight_days], vec![interruption(1), wire::Interruption { id: "i1".to_owned(), ..interruption(3) }]]
    {
        let refused = service.put_at(wire::Merchant { interruptions: wrong, ..stored.clone() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("interruptions"), "{}", refused.message());
    }
    assert_eq!(read(&service).await, stored);
    service.stop().await;
}

/// What an earlier release wrote has no version; it reads as the first one, and can be changed once at that.
#[tokio::test]
async fn a_profile_from_before_there_were_versions_is_changed_on_what_was_read() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    service.put(profile()).await.unwrap();
    let key = |name: &str, value: String| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value));
    let removed = platform
        .client()
        .update_item()
        .table_name(format!("{PREFIX}merchants"))
        .set_key(Some([key("pk", format!("m#{}", merchant(1))), key("sk", "profile".to_owned())].into()))
        .update_expression("REMOVE profileVersion")
        .send()
        .await;
    removed.unwrap();
    let before = read(&service).await;
    assert_eq!(before.version, 1);
    assert_eq!(service.put_at(before.clone()).await.unwrap(), PutRefusal::None);
    assert_eq!(service.put_at(before).await.unwrap(), PutRefusal::Overtaken);
    assert_eq!(read(&service).await.version, 2);
    service.stop().await;
}
