//! Looking after events above a gap: noticing them, and fetching from the core what is missing below those that have
//! waited long enough.
//!
//! After two seconds such events are shown anyway (`event_feed::hold_back`); this makes sure that what they waited for
//! still comes, even when its message never does. Only partitions led here are looked at. [`due_orders`] decides,
//! [`fill`] is the loop around it.

use std::collections::{BTreeMap, HashSet};
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
use crate::soft_state::ARRIVALS_MAX;
use crate::state::{AboveGap, FeedPartition};

/// How often the waiting events are looked at. An event waits from when it was first seen, by this look or by a poll,
/// so this is also by how much its two seconds may be exceeded.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many orders are asked for at the same time: a backlog must not flood the core.
const CONCURRENT_MAX: usize = 8;

/// The most sequences asked for in one call; an order has some dozens of events.
const SEQUENCES_MAX: u32 = 200;

/// How often an order is asked for before its gap is given up, and how long between; the feed goes on either way.
const ATTEMPTS_MAX: u32 = 10;
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// An order of which some event has waited long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    partition: PartitionId,
    merchant: MerchantId,
    order: OrderId,
}

/// What was tried for an order.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    made: u32,
    next_at: Duration,
    given_up: bool,
}

/// Looks after gaps until `shutdown`.
pub(crate) async fn fill(shared: Arc<Shared>, core: GatewayCoreClient<Transport>, shutdown: CancellationToken) {
    let mut attempts: BTreeMap<OrderId, Attempts> = BTreeMap::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
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

/// The orders to ask for now. Forgets what was tried for those whose gap is closed, and for partitions led no longer.
fn choose(shared: &Shared, attempts: &mut BTreeMap<OrderId, Attempts>) -> Vec<Due> {
    let now = shared.clock.monotonic();
    let mut chosen = Vec::new();
    let mut still_open: BTreeMap<OrderId, Attempts> = BTreeMap::new();
    for (partition, _) in shared.led() {
        for due in due_orders(partition, &look(shared, partition, now), now) {
            let mut tried = attempts.get(&due.order).copied().unwrap_or_else(|| {
                shared.telemetry.gaps.increment(1);
                Attempts { made: 0, next_at: now, given_up: false }
            });
            if tried.made >= ATTEMPTS_MAX && !tried.given_up {
                shared.telemetry.gaps_given_up.increment(1);
                tracing::warn!(order_id = %due.order, "events below a gap never came; the gap is given up");
                tried.given_up = true;
            }
            let order = due.order;
            if tried.next_at <= now && !tried.given_up {
                tried = Attempts { made: tried.made + 1, next_at: now + RETRY_AFTER, ..tried };
                chosen.push(due);
            }
            still_open.insert(order, tried);
        }
    }
    *attempts = still_open;
    chosen
}

/// What stands above a gap in a partition led here, and since when. While it is being rebuilt nothing counts: an export
/// comes in no order at all.
fn look(shared: &Shared, partition: PartitionId, now: Duration) -> Vec<(AboveGap, Duration)> {
    let standing = |state: &FeedPartition| {
        state.rebuilt_at().map(|_| state.events_above_gaps().take(ARRIVALS_MAX).collect::<Vec<_>>())
    };
    let standing = shared.grid.read_without_lease(partition.0, standing).ok().flatten().unwrap_or_default();
    let soft = shared.soft_of(partition);
    let ids: HashSet<EventId> = standing.iter().map(|above| above.event).collect();
    soft.keep_arrivals(|id| ids.contains(&id));
    standing.into_iter().filter_map(|above| Some((above, soft.arrived_at(above.event, now)?))).collect()
}

/// The orders in which some event has stood above a gap for the whole hold-back.
fn due_orders(partition: PartitionId, standing: &[(AboveGap, Duration)], now: Duration) -> Vec<Due> {
    let due = standing.iter().filter(|(_, since)| now.saturating_sub(*since) >= HOLD_BACK);
    let mut orders: Vec<Due> =
        due.map(|(above, _)| Due { partition, merchant: above.merchant, order: above.order }).collect();
    // Listed order by order.
    orders.dedup();
    orders
}

/// Asks the core for one order's missing events and applies them. A failure is tried again with the next attempt.
async fn ask(shared: &Shared, mut core: GatewayCoreClient<Transport>, due: Due) {
    let gaps = shared.grid.read_without_lease(due.partition.0, |state| state.gaps(due.merchant, due.order));
    let gaps = gaps.unwrap_or_default();
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
    if let Err(error) = shared.append_ours(Source::Live, events).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "events of a gap not applied; asked for again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_due_once_one_of_its_events_has_waited() {
        let standing = |event: u8, order: u8, since_ms: u64| {
            let above = AboveGap {
                event: EventId::from_bytes([event; 16]),
                order: OrderId::from_bytes([order; 16]),
                merchant: MerchantId::from_bytes([1; 16]),
            };
            (above, Duration::from_millis(since_ms))
        };
        let standing = [standing(1, 1, 0), standing(2, 1, 1_000), standing(4, 1, 0), standing(3, 2, 500)];
        let due = due_orders(PartitionId(3), &standing, HOLD_BACK);
        assert_eq!(due.iter().map(|due| due.order).collect::<Vec<_>>(), [OrderId::from_bytes([1; 16])]);
    }
}
