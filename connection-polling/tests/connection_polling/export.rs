//! The export: everything indexed and acknowledged, of the partitions asked for, and nothing expired.

use std::collections::BTreeSet;

use order_model::{EventId, PartitionCount};
use proto::connection_polling::ExportRequest;
use proto::conversions::event_from_wire;

use crate::platform::{EventSpec, HOUR, Platform, START, ids};

#[derive(Default)]
struct Exported {
    events: BTreeSet<EventId>,
    bodies_bytes: usize,
    acknowledged: BTreeSet<(String, EventId)>,
    items_done: u64,
}

async fn export(platform: &Platform, partitions: Vec<u32>) -> Exported {
    let request = ExportRequest { partitions, partition_count: 16 };
    let mut stream = platform.client.clone().export(request).await.unwrap().into_inner();
    let mut exported = Exported::default();
    while let Some(chunk) = stream.message().await.unwrap() {
        for event in &chunk.events {
            let event = event_from_wire(event).unwrap();
            exported.bodies_bytes += event.body.len();
            assert!(exported.events.insert(event.id), "once each");
        }
        for acknowledgment in chunk.acknowledgments {
            let ids = acknowledgment.event_ids.iter().map(|id| EventId::try_from_slice(id).unwrap());
            exported.acknowledged.extend(ids.map(|id| (acknowledgment.application_id.clone(), id)));
        }
        assert!(chunk.items_done <= chunk.items_total_estimate);
        exported.items_done = exported.items_done.max(chunk.items_done);
    }
    exported
}

#[tokio::test]
async fn an_export_equals_what_was_indexed_and_acknowledged() {
    let platform = Platform::start().await;
    let events: Vec<_> = (0..400).map(|number| EventSpec::new(number % 40, number, START).build()).collect();
    let expiring = EventSpec { lives: HOUR, ..EventSpec::new(1, 1_000, START) }.build();
    platform.index(&events).await;
    platform.index(std::slice::from_ref(&expiring)).await;
    let of_pos: Vec<EventId> = events.iter().take(100).map(|event| event.id).collect();
    platform.acknowledge("pos", &of_pos).await;
    let not_arrived = EventSpec::new(2, 2_000, START).build().id;
    platform.try_acknowledge("kds#1", &[not_arrived], true).await.unwrap();
    platform.clock.advance(2 * HOUR);

    let exported = export(&platform, (0..16).collect()).await;
    assert_eq!(exported.events, ids(&events));
    assert_eq!(exported.bodies_bytes, events.iter().map(|event| event.body.len()).sum::<usize>());
    let mut acknowledged: BTreeSet<_> = of_pos.iter().map(|id| ("pos".to_owned(), *id)).collect();
    acknowledged.insert(("kds#1".to_owned(), not_arrived));
    assert_eq!(exported.acknowledged, acknowledged);
    assert!(exported.items_done > 400);

    let mut in_parts = BTreeSet::new();
    for partition in 0..16 {
        let part = export(&platform, vec![partition]).await;
        let belongs = |id: &EventId| u32::from(id.routing_hash().partition(PartitionCount::DEFAULT).0) == partition;
        assert!(part.events.iter().all(belongs) && part.acknowledged.iter().all(|(_, id)| belongs(id)));
        in_parts.extend(part.events);
    }
    assert_eq!(in_parts, exported.events);
}
