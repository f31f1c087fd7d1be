//! A thousand merchants fall silent at once: that is us, and nobody is closed.

use crate::leading::{ours, theirs};
use crate::platform::{PARTITIONS, Platform, briefs, config, eventually};

#[tokio::test]
async fn an_outage_of_ours_closes_nobody_of_a_thousand() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let everyone: Vec<u32> = (0..1000).collect();
    let published = platform.published_while(&service, &everyone, 1000).await;
    assert_eq!(published.len(), 1000);
    service.steps(40, &everyone).await;
    assert_eq!(service.totals().await.online, 1000);

    // kitchen-api calls, and no POS reaches it.
    eventually("the brake", async || {
        service.step(&[]).await;
        service.totals().await.brake_on
    })
    .await;
    for _ in 0..60 {
        service.step(&[]).await;
        let totals = service.totals().await;
        assert_eq!((totals.online, totals.brake_on), (1000, true));
    }
    assert_eq!(briefs(&platform.published().await), []);

    // They are back; one offline period later everything is judged as before.
    eventually("release", async || {
        service.step(&everyone).await;
        !service.totals().await.brake_on
    })
    .await;
    assert_eq!(briefs(&platform.published().await), []);
    let published = platform.published_while(&service, &everyone[..990], 10).await;
    assert!(published.iter().all(|one| one.attributes["status"] == "OFFLINE"));
    assert_eq!(service.totals().await.known, 1000);
    service.stop().await;
}

/// The brake is part of the state: whoever takes over holds it, and lets go as the former leader would have.
#[tokio::test]
async fn a_new_leader_holds_the_brake() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let everyone: Vec<u32> = (0..1000).collect();
    platform.published_while(&service, &everyone, 1000).await;
    service.steps(40, &everyone).await;
    // Two thirds of the fleet cannot reach us.
    let rest = &everyone[..300];
    eventually("the brakes", async || {
        service.step(rest).await;
        service.totals().await.partitions.iter().all(|partition| partition.brake_on)
    })
    .await;
    for partition in 0..PARTITIONS {
        service.grid.hand_over(partition, theirs(2));
    }
    eventually("handed over", async || service.beat(&[]).await.len() == usize::from(PARTITIONS)).await;
    for partition in 0..PARTITIONS {
        service.grid.hand_over(partition, ours(3));
    }
    for _ in 0..60 {
        service.step(rest).await;
        let totals = service.totals().await;
        assert_eq!((totals.online, totals.brake_on), (1000, true));
    }
    eventually("release", async || {
        service.step(&everyone).await;
        !service.totals().await.brake_on
    })
    .await;
    assert_eq!(briefs(&platform.published().await), []);
    service.stop().await;
}
