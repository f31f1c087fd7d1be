//! What happens as time passes: events expire, soft state is swept, sums are published.
//!
//! Whoever leads a partition expires its events and sweeps what it knows beside them; sums are of what is stored here.
//! Expiry never runs while the wall clock disagrees with the store's date: a clock fault must not empty a feed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use order_model::PartitionId;
use tokio_util::sync::CancellationToken;

use crate::service::Shared;
use crate::state::{Command, FeedPartition, Reply};

/// How often expiry runs; a poll looks at each event's own instant, so this frees memory and moves time on.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// Soft state is swept once in so many rounds.
const SWEEP_ROUNDS: u64 = 60;

/// The most commands of one round and partition: the rest waits for the next second.
const COMMANDS_MAX: usize = 20;

/// Runs until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    for round in 1u64.. {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
        }
        if shared.serving.clock_is_trusted() {
            let led = shared.led();
            join_all(led.into_iter().map(|(partition, _)| expire(&shared, partition))).await;
        }
        if round % SWEEP_ROUNDS == 0 {
            sweep(&shared);
        }
        publish(&shared);
    }
}

async fn expire(shared: &Shared, partition: PartitionId) {
    for _ in 0..COMMANDS_MAX {
        let replies = shared.grid.propose(partition.0, vec![Bytes::from(Command::Expire.encode())]).await;
        let reply = replies.ok().and_then(|replies| Reply::decode(replies.first()?).ok());
        let Some(Reply::Expired { events, more }) = reply else { return };
        shared.telemetry.events_expired.increment(u64::from(events));
        if !more {
            return;
        }
    }
}

fn sweep(shared: &Shared) {
    for (partition, _) in shared.led() {
        let time = shared.grid.read_without_lease(partition.0, FeedPartition::time).unwrap_or_default();
        shared.soft_of(partition).delivered().sweep(time);
    }
}

fn publish(shared: &Shared) {
    let (mut events, mut tombstones, mut body_bytes, mut serving) = (0, 0, 0, 0);
    for partition in 0..shared.grid.partitions() {
        let sums = |state: &FeedPartition| (state.event_count(), state.tombstone_count(), state.body_bytes());
        let sums = shared.grid.read_without_lease(partition, sums).unwrap_or_default();
        events += sums.0;
        tombstones += sums.1;
        body_bytes += sums.2;
        serving += usize::from(shared.grid.is_serving(partition));
    }
    let (orders, order_bytes) = shared.orders.sweep(shared.clock.monotonic());
    let telemetry = &shared.telemetry;
    let gauges = [
        (&telemetry.events, events),
        (&telemetry.tombstones, tombstones),
        (&telemetry.body_bytes, body_bytes),
        (&telemetry.partitions_led, shared.led().len()),
        (&telemetry.partitions_serving, serving),
        (&telemetry.orders_cached, orders),
        (&telemetry.order_cache_bytes, order_bytes),
    ];
    for (gauge, value) in gauges {
        gauge.set(value as f64);
    }
}
