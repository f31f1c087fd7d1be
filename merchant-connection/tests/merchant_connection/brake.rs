//! A thousand merchants fall silent at once: that is us, and nobody is closed.

use crate::platform::{Platform, briefs, config, eventually};

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
