//! A machine's disk with the pace of its syncs, and the log's writer at that pace.
//!
//! The writer turns only after the time that a sync takes has passed: what was submitted meanwhile is in memory alone, and
//! a crash loses it. What the disk itself had not synced is torn by [`SimulatedDisk::crash`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::wal::{Turn, Writer};

/// How long a sync of a healthy disk takes at the longest, µs.
const SYNC_MAX_US: u64 = 2_000;

/// A disk; it outlives the machine's crashes.
#[derive(Clone, Default)]
pub struct MachineDisk {
    /// The files.
    pub files: SimulatedDisk,
    slowed_us: Arc<AtomicU64>,
}

impl MachineDisk {
    /// Makes each sync take this much longer; zero heals.
    pub fn slow_down(&self, by: Duration) {
        self.slowed_us.store(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Works for the log until it is closed.
    pub async fn write(self, mut writer: Writer, mut random: StdRng) {
        loop {
            let slowed_us = self.slowed_us.load(Ordering::SeqCst);
            let sync_us = random.random_range(300..=SYNC_MAX_US) + slowed_us;
            tokio::time::sleep(Duration::from_micros(sync_us)).await;
            loop {
                match writer.turn() {
                    Turn::Worked => {}
                    Turn::Idle => break,
                    Turn::Closed => return,
                }
            }
        }
    }
}
