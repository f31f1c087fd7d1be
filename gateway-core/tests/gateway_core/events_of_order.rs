//! How the events of an order are read page by page, as `comanda order show` does.

use order_model::{EventCode, OrderId};
use proto::gateway_core as wire;
use proto::gateway_core::Outcome;

use crate::platform::{Platform, TestCore, bytes_of, config, order_id, placing, updating};

async fn page(core: &TestCore, order: OrderId, from_sequence: u32, to_sequence: u32) -> Vec<u32> {
    let request = wire::EventsOfOrderRequest { order_id: bytes_of(order), from_sequence, to_sequence };
    let reply = core.api.clone().events_of_order(request).await.unwrap().into_inner();
    assert!(reply.events.iter().all(|event| !event.body.is_empty()));
    reply.events.iter().map(|event| event.sequence).collect()
}

#[tokio::test]
async fn pages_from_the_last_sequence_seen_show_every_event_once_and_end_with_an_empty_one() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    // More than a reply holds, with the largest metadata there is.
    let metadata = format!(r#"{{"note":"{}"}}"#, "x".repeat(190 * 1024));
    for number in 2..=25 {
        let update = updating(order, &number.to_string(), EventCode::OrderPatched, &metadata);
        assert_eq!(core.submit(update).await.outcome(), Outcome::Committed);
    }
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let last = seen.last().copied().unwrap_or_default();
        let page = page(&core, order, last + 1, u32::MAX).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
        pages += 1;
    }
    assert_eq!(seen, (1..=25).collect::<Vec<u32>>());
    assert_eq!(pages, 2, "4 MiB at most in each");
    assert_eq!(page(&core, order, 1, 0).await, page(&core, order, 1, u32::MAX).await, "0 is to the last");
    assert_eq!(page(&core, order, 3, 4).await, [3, 4]);
    assert_eq!(page(&core, order, 4, 3).await, [0u32; 0]);
    assert_eq!(page(&core, order_id(), 1, u32::MAX).await, [0u32; 0]);
}
