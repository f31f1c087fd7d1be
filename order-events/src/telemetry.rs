//! The metrics of this service, registered once: a look-up by name would cost more than a poll.
//!
//! Made in `Service::build`, so the binary installs its recorder before that.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Handles to everything that is counted.
pub(crate) struct Telemetry {
    pub(crate) polls_with_events: Counter,
    pub(crate) polls_empty: Counter,
    pub(crate) polls_refused: Counter,
    /// Of a share of the polls, see [`crate::poll`].
    pub(crate) poll_seconds: Histogram,
    pub(crate) events_delivered_first: Counter,
    pub(crate) strikes: Counter,
    pub(crate) acknowledge_seconds: Histogram,
    pub(crate) ids_acknowledged: Counter,
    pub(crate) ids_remembered: Counter,
    pub(crate) ids_not_genuine: Counter,
    pub(crate) events_added: Counter,
    pub(crate) events_repeated: Counter,
    pub(crate) events_arrived_expired: Counter,
    pub(crate) events_not_ours: Counter,
    pub(crate) event_lag_seconds: Histogram,
    pub(crate) events_expired: Counter,
    pub(crate) events_reconciled: Counter,
    pub(crate) gaps: Counter,
    pub(crate) gaps_given_up: Counter,
    pub(crate) feed_messages_applied: Counter,
    pub(crate) feed_messages_failed: Counter,
    pub(crate) feed_messages_dead_lettered: Counter,
    pub(crate) orders_cached: Gauge,
    pub(crate) order_cache_bytes: Gauge,
    pub(crate) orders_not_cached: Counter,
    pub(crate) events: Gauge,
    pub(crate) tombstones: Gauge,
    pub(crate) body_bytes: Gauge,
    pub(crate) partitions_led: Gauge,
    pub(crate) partitions_serving: Gauge,
    pub(crate) rebuild_partitions: Gauge,
    pub(crate) rebuild_items_done: Gauge,
    pub(crate) rebuild_items_estimate: Gauge,
    pub(crate) clock_untrusted: Gauge,
}

impl Telemetry {
    pub(crate) fn register() -> Self {
        let polls = |outcome| counter!("comanda_order_events_polls_total", "outcome" => outcome);
        let ids = |outcome| counter!("comanda_order_events_acknowledged_ids_total", "outcome" => outcome);
        let events = |outcome| counter!("comanda_order_events_appended_events_total", "outcome" => outcome);
        let messages = |outcome| counter!("comanda_order_events_feed_messages_total", "outcome" => outcome);
        Self {
            polls_with_events: polls("events"),
            polls_empty: polls("empty"),
            polls_refused: polls("refused"),
            poll_seconds: histogram!("comanda_order_events_poll_seconds"),
            events_delivered_first: counter!("comanda_order_events_first_deliveries_total"),
            strikes: counter!("comanda_order_events_strikes_total"),
            acknowledge_seconds: histogram!("comanda_order_events_acknowledge_seconds"),
            ids_acknowledged: ids("applied"),
            ids_remembered: ids("remembered"),
            ids_not_genuine: ids("not_genuine"),
            events_added: events("added"),
            events_repeated: events("repeated"),
            events_arrived_expired: events("expired"),
            events_not_ours: events("not_ours"),
            event_lag_seconds: histogram!("comanda_order_events_event_lag_seconds"),
            events_expired: counter!("comanda_order_events_expired_events_total"),
            events_reconciled: counter!("comanda_order_events_reconciled_events_total"),
            gaps: counter!("comanda_order_events_gaps_total"),
            gaps_given_up: counter!("comanda_order_events_gaps_given_up_total"),
            feed_messages_applied: messages("applied"),
            feed_messages_failed: messages("failed"),
            feed_messages_dead_lettered: messages("dead_lettered"),
            orders_cached: gauge!("comanda_order_events_cached_orders"),
            order_cache_bytes: gauge!("comanda_order_events_cached_order_bytes"),
            orders_not_cached: counter!("comanda_order_events_uncached_orders_total"),
            events: gauge!("comanda_order_events_events"),
            tombstones: gauge!("comanda_order_events_tombstones"),
            body_bytes: gauge!("comanda_order_events_body_bytes"),
            partitions_led: gauge!("comanda_order_events_partitions_led"),
            rebuild_partitions: gauge!("comanda_order_events_rebuild_partitions"),
            rebuild_items_done: gauge!("comanda_order_events_rebuild_items_done"),
            rebuild_items_estimate: gauge!("comanda_order_events_rebuild_items_estimate"),
            partitions_serving: gauge!("comanda_order_events_partitions_serving"),
            clock_untrusted: gauge!("comanda_order_events_clock_untrusted"),
        }
    }
}
