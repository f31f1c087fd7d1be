//! What merchant-connection can be told, with the contract's defaults.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Silence after which a merchant is OFFLINE, at least 1 s.
    pub offline_after: Duration,
    /// How often presence is judged, at least 100 ms.
    pub sweep_interval: Duration,
    /// Partitions, those of the grid; fixed for the life of a cluster.
    pub partitions: NonZeroU16,
    /// Segments of the table that a restore scans at once, 1 to 64; at 1 the store need not know segments.
    pub restore_segments: NonZeroU8,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            offline_after: Duration::from_secs(120),
            sweep_interval: Duration::from_secs(5),
            partitions: NonZeroU16::new(4).expect("4 is not zero"),
            restore_segments: const { NonZeroU8::new(4).unwrap() },
            drain_timeout: Duration::from_secs(10),
        }
    }
}
