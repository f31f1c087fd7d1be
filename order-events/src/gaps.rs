//! Fetching from the core what is missing below events that have waited long enough.
//!
//! After two seconds such events are shown anyway (`event_feed::hold_back`); this makes sure that what they waited for
//! still comes, even when its message never does. [`due_orders`] decides, [`fill`] is the loop around it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_feed::{FeedEvent, HOLD_BACK};
use futures::StreamExt;
use order_model::{EventId, MerchantId, OrderId, PartitionId};
use proto::conversions;
use proto::gateway_core::EventsOfOrderRequest;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;
use tokio_util::sync::CancellationToken;

use crate::dependency;
use crate::ingest::Source;
use crate::service::Shared;
use crate::soft_state::Arrival;

/// How often the waiting events are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many orders are asked for at the same time: a backlog must not flood the core.
const CONCURRENT_MAX: usize = 8;

/// The most sequences asked for in one call; an order has some dozens of events.
const SEQUENCES_MAX: u32 = 200;

/// How often an order is asked for before its gap is given up, and how long between; the feed goes on either way.
const ATTEMPTS_MAX: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// An order whose events have waited long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    partition: PartitionId,
    merchant: MerchantId,
    order: OrderId,
    waiting: Vec<EventId>,
}

/// What was tried for an order.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    made: u32,
    next_at: Duration,
}

/// Looks after gaps until `shutdown`.
pub(crate) async fn fill(shared: Arc<Shared>, core: GatewayCoreClient<Transport>, shutdown: CancellationToken) {
    let mut attempts: BTreeMap<OrderId, Attempts> = BTreeMap::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !shared.serving.is_rebuilt() {
            continue;
        }
        let due = choose(&shared, &mut attempts);
        let asking =
            futures::stream::iter(due).for_each_concurrent(CONCURRENT_MAX, |due| ask(&shared, core.clone(), due));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = asking => {}
        }
    }
}

/// The orders to ask for now. Forgets the arrivals of those whose gap is closed or given up.
fn choose(shared: &Shared, attempts: &mut BTreeMap<OrderId, Attempts>) -> Vec<Due> {
    let now = shared.clock.monotonic();
    let mut chosen = Vec::new();
    let mut still_open: BTreeMap<OrderId, Attempts> = BTreeMap::new();
    for partition in (0..shared.grid.partitions()).map(PartitionId) {
        for due in due_orders(partition, &shared.soft_of(partition).arrivals(), now) {
            if gaps_of(shared, &due).is_empty() {
                shared.soft_of(partition).forget_arrivals(due.waiting);
                continue;
            }
            let mut tried = attempts.get(&due.order).copied().unwrap_or_else(|| {
                shared.telemetry.gaps.increment(1);
                Attempts { made: 0, next_at: now }
            });
            if tried.made >= ATTEMPTS_MAX {
                shared.telemetry.gaps_given_up.increment(1);
                tracing::warn!(order_id = %due.order, "events below a gap never came; the gap is given up");
                shared.soft_of(partition).forget_arrivals(due.waiting);
                continue;
            }
            if tried.next_at <= now {
                tried = Attempts { made: tried.made + 1, next_at: now + RETRY_AFTER };
                chosen.push(due.clone());
            }
            still_open.insert(due.order, tried);
        }
    }
    *attempts = still_open;
    chosen
}

/// The orders among `arrivals` in which some event has waited for the whole hold-back.
fn due_orders(partition: PartitionId, arrivals: &[(EventId, Arrival)], now: Duration) -> Vec<Due> {
    let mut by_order: BTreeMap<OrderId, Due> = BTreeMap::new();
    for (id, arrival) in arrivals.iter().filter(|(_, arrival)| now.saturating_sub(arrival.at) >= HOLD_BACK) {
        let Arrival { merchant, order, .. } = *arrival;
        let due = by_order.entry(order).or_insert_with(|| Due { partition, merchant, order, waiting: Vec::new() });
        due.waiting.push(*id);
    }
    by_order.into_values().collect()
}

fn gaps_of(shared: &Shared, due: &Due) -> Vec<std::ops::RangeInclusive<u32>> {
    let gaps = shared.grid.read_without_lease(due.partition.0, |state| state.gaps(due.merchant, due.order));
    gaps.unwrap_or_default()
}

/// Asks the core for one order's missing events and applies them. A failure is tried again with the next attempt.
async fn ask(shared: &Shared, mut core: GatewayCoreClient<Transport>, due: Due) {
    let gaps = gaps_of(shared, &due);
    let (Some(first), Some(last)) = (gaps.first(), gaps.last()) else { return };
    let from_sequence = *first.start();
    let to_sequence = (*last.end()).min(from_sequence.saturating_add(SEQUENCES_MAX - 1));
    let order_id = conversions::to_bytes(due.order.as_bytes());
    let request = EventsOfOrderRequest { order_id, from_sequence, to_sequence };
    let call = core.events_of_order(request);
    let Ok(reply) = dependency::call("gateway-core", "events_of_order", dependency::DEADLINE, call).await else {
        return;
    };
    let events: Vec<FeedEvent> =
        reply.events.iter().filter_map(|event| conversions::event_from_wire(event).ok()).collect();
    if let Err(error) = shared.append_from(Source::Live, events).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "events of a gap not applied; asked for again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_due_once_one_of_its_events_has_waited() {
        let arrival = |order: u8, at: u64| Arrival {
            at: Duration::from_millis(at),
            merchant: MerchantId::from_bytes([1; 16]),
            order: OrderId::from_bytes([order; 16]),
            sequence: 2,
        };
        let id = |number: u8| EventId::from_bytes([number; 16]);
        let arrivals =
            [(id(1), arrival(1, 0)), (id(2), arrival(1, 1_000)), (id(3), arrival(2, 500)), (id(4), arrival(1, 0))];
        let due = due_orders(PartitionId(3), &arrivals, HOLD_BACK);
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].order, &due[0].waiting[..]), (OrderId::from_bytes([1; 16]), &[id(1), id(4)][..]));
    }
}
