//! Sums: what each partition reports and what they come to, as gauges and for whoever asks.
//!
//! The gauges count what is led here, so that a sum over all nodes is the cluster's. Whoever asks is told of every partition
//! of which this node has a replica.

use crate::led::Led;
use crate::presence::PresencePartition;
use crate::service::{Handle, Shared};

/// How one partition stands, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionTotals {
    /// Merchants recorded ONLINE.
    pub online: usize,
    /// Merchants ever heard.
    pub known: usize,
    /// Whether the brake is on.
    pub brake_on: bool,
    /// Whether the state is whole.
    pub restored: bool,
    /// Transitions decided and not known to be published.
    pub unpublished: usize,
}

impl PartitionTotals {
    fn of(state: &PresencePartition) -> Self {
        Self {
            online: state.online(),
            known: state.known(),
            brake_on: state.brake().is_some(),
            restored: state.is_restored(),
            unpublished: state.unpublished(),
        }
    }
}

impl Handle {
    /// How each partition stands, by its number; `None` where no replica of it is here.
    pub fn totals(&self) -> Vec<Option<PartitionTotals>> {
        let shared = &self.shared;
        let of = |partition| shared.grid.read_without_lease(partition, PartitionTotals::of).ok();
        (0..shared.partitions.0.get()).map(of).collect()
    }
}

/// Publishes a partition that was just swept, and the sums.
pub(crate) fn publish(shared: &Shared, led: &Led, brake_on: bool, hears: bool) {
    let totals = shared.grid.read_without_lease(led.partition, PartitionTotals::of).unwrap_or_default();
    set(led.partition, &PartitionTotals { brake_on, ..totals }, hears);
    let led: Vec<PartitionTotals> = shared
        .all_led()
        .iter()
        .filter_map(|led| shared.grid.read_without_lease(led.partition, PartitionTotals::of).ok())
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "merchants are far below 2^52")]
    let sum = |pick: fn(&PartitionTotals) -> usize| led.iter().map(pick).sum::<usize>() as f64;
    metrics::gauge!("comanda_merchant_connection_online").set(sum(|totals| totals.online));
    metrics::gauge!("comanda_merchant_connection_known").set(sum(|totals| totals.known));
    metrics::gauge!("comanda_merchant_connection_brakes_engaged").set(sum(|totals| usize::from(totals.brake_on)));
    metrics::gauge!("comanda_merchant_connection_transitions_waiting").set(sum(|totals| totals.unpublished));
}

/// Somebody else reports `partition` from here on.
pub(crate) fn forget(partition: u16) {
    set(partition, &PartitionTotals::default(), false);
}

fn set(partition: u16, totals: &PartitionTotals, hears: bool) {
    let of = partition.to_string();
    #[expect(clippy::cast_precision_loss, reason = "merchants are far below 2^52")]
    let gauges = [
        ("comanda_merchant_connection_partition_online", totals.online as f64),
        ("comanda_merchant_connection_partition_known", totals.known as f64),
        ("comanda_merchant_connection_partition_brake_engaged", f64::from(u8::from(totals.brake_on))),
        ("comanda_merchant_connection_partition_hearing", f64::from(u8::from(hears))),
    ];
    for (name, value) in gauges {
        metrics::gauge!(name, "partition" => of.clone()).set(value);
    }
}
