//! Fences over the wire: epochs, conditional changes, the log, and how long one has been raised.

use std::time::Duration;

use order_model::{EventId, PartitionCount};
use proto::connection_polling::{
    Fence, FencedAcknowledgmentsRequest, LowerFenceRequest, RaiseFencesRequest, ReadFencesRequest,
};

use crate::platform::{EventSpec, Platform, START};

async fn read(platform: &Platform) -> Vec<Fence> {
    let fences = platform.client.clone().read_fences(ReadFencesRequest {}).await.unwrap().into_inner();
    assert!(fences.store_date_ms > 1_700_000_000_000, "the local DynamoDB sends a Date");
    fences.fences
}

async fn raise(platform: &Platform, partitions: &[u32]) -> Vec<Fence> {
    let request = RaiseFencesRequest { partitions: partitions.to_vec() };
    platform.client.clone().raise_fences(request).await.unwrap().into_inner().fences
}

async fn lower(platform: &Platform, partition: u32, epoch: u64) -> Fence {
    platform.client.clone().lower_fence(LowerFenceRequest { partition, epoch }).await.unwrap().into_inner()
}

async fn log(platform: &Platform, partition: u32) -> Vec<(String, EventId)> {
    let request = FencedAcknowledgmentsRequest { partition };
    let mut stream = platform.client.clone().fenced_acknowledgments(request).await.unwrap().into_inner();
    let mut entries = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        for entry in chunk.acknowledgments {
            let ids = entry.event_ids.iter().map(|id| EventId::try_from_slice(id).unwrap());
            entries.extend(ids.map(|id| (entry.application_id.clone(), id)));
        }
    }
    entries
}

#[tokio::test]
async fn a_fence_is_raised_once_per_epoch_and_lowered_only_at_it() {
    let platform = Platform::start().await;
    let untouched = read(&platform).await;
    assert_eq!(untouched.len(), 16);
    assert!(untouched.iter().all(|fence| !fence.raised && fence.epoch == 0));
    for _ in 0..2 {
        let raised = raise(&platform, &[3, 5]).await;
        let state: Vec<_> = raised.iter().map(|fence| (fence.partition, fence.epoch, fence.raised)).collect();
        assert_eq!(state, [(3, 1, true), (5, 1, true)]);
    }
    assert!(lower(&platform, 3, 2).await.raised, "another epoch's");
    assert!(!lower(&platform, 3, 1).await.raised);
    assert!(!lower(&platform, 3, 1).await.raised, "a repetition is harmless");
    assert_eq!(raise(&platform, &[3]).await[0].epoch, 2);
    assert!(lower(&platform, 3, 1).await.raised, "a leader that saw the first epoch only");
    let now = read(&platform).await;
    assert_eq!((now[3].epoch, now[3].raised, now[5].epoch, now[5].raised), (2, true, 1, true));
}

#[tokio::test]
async fn of_many_who_raise_at_once_exactly_one_begins_the_epoch() {
    let platform = Platform::start().await;
    let raised = futures::future::join_all((0..8).map(|_| raise(&platform, &[1]))).await;
    assert!(raised.iter().all(|fences| fences[0].epoch == 1 && fences[0].raised));
}

#[tokio::test]
async fn how_long_it_has_been_raised_is_never_overstated() {
    let platform = Platform::start().await;
    assert_eq!(raise(&platform, &[0]).await[0].raised_for_ms, 0);
    platform.clock.advance(Duration::from_millis(2_500));
    let fence = read(&platform).await[0];
    // Our monotonic clock says 2.5 s; the store's Date may add what really passed, well under a second.
    assert!((2_500..3_500).contains(&fence.raised_for_ms), "{fence:?}");
    lower(&platform, 0, 1).await;
    assert_eq!(read(&platform).await[0].raised_for_ms, 0);
    assert_eq!(raise(&platform, &[0]).await[0].raised_for_ms, 0, "a new epoch begins anew");
}

#[tokio::test]
async fn an_acknowledgment_without_the_leader_is_in_the_log_and_tells_the_fences() {
    let platform = Platform::start().await;
    let (one, other) = (EventSpec::new(1, 1, START).build().id, EventSpec::new(2, 2, START).build().id);
    let partition = |id: EventId| u32::from(id.routing_hash().partition(PartitionCount::DEFAULT).0);
    assert_ne!(partition(one), partition(other), "the test wants two partitions");
    platform.acknowledge("pos", &[other]).await;
    raise(&platform, &[partition(one)]).await;
    let fences = platform.try_acknowledge("pos", &[one, other], true).await.unwrap();
    let told: Vec<_> = fences.iter().map(|fence| (fence.partition, fence.raised)).collect();
    let mut expected = vec![(partition(one), true), (partition(other), false)];
    expected.sort_unstable();
    assert_eq!(told, expected);
    platform.try_acknowledge("pos", &[one], true).await.unwrap();
    lower(&platform, partition(one), 1).await;
    assert_eq!(log(&platform, partition(one)).await, [("pos".to_owned(), one)]);
    assert_eq!(log(&platform, partition(other)).await, [("pos".to_owned(), other)]);
    let empty = (0..16).find(|number| *number != partition(one) && *number != partition(other)).unwrap();
    assert_eq!(log(&platform, empty).await, []);
}

#[tokio::test]
async fn a_partition_that_does_not_exist_is_refused() {
    let platform = Platform::start().await;
    let refused = platform.client.clone().raise_fences(RaiseFencesRequest { partitions: vec![16] }).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
