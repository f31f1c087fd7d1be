//! The metrics of a log, made once; labelled with the name of its grid.

use metrics::{Counter, Gauge, Histogram};

pub(super) struct Measures {
    /// How long one sync of a batch took.
    pub(super) sync_seconds: Histogram,
    /// Records that went to the disk together.
    pub(super) batch_records: Histogram,
    pub(super) written_bytes: Counter,
    /// Records written again so that an old segment could go.
    pub(super) relocated: Counter,
    pub(super) segments: Gauge,
    /// What the segments hold, and how much of it still counts.
    pub(super) segment_bytes: Gauge,
    pub(super) live_bytes: Gauge,
    /// 1 while the disk is full.
    pub(super) full: Gauge,
    /// Groups of steps that failed, by a full disk or for good.
    pub(super) failures: Counter,
}

impl Measures {
    pub(super) fn new(grid: &'static str) -> Self {
        Self {
            sync_seconds: metrics::histogram!("comanda_grid_log_sync_seconds", "grid" => grid),
            batch_records: metrics::histogram!("comanda_grid_log_batch_records", "grid" => grid),
            written_bytes: metrics::counter!("comanda_grid_log_written_bytes_total", "grid" => grid),
            relocated: metrics::counter!("comanda_grid_log_relocated_total", "grid" => grid),
            segments: metrics::gauge!("comanda_grid_log_segments", "grid" => grid),
            segment_bytes: metrics::gauge!("comanda_grid_log_bytes", "grid" => grid),
            live_bytes: metrics::gauge!("comanda_grid_log_live_bytes", "grid" => grid),
            full: metrics::gauge!("comanda_grid_log_full", "grid" => grid),
            failures: metrics::counter!("comanda_grid_log_failures_total", "grid" => grid),
        }
    }
}
