//! Keeps the latest beat of each merchant until the leader of its partition has taken it.
//!
//! A beat is a write to a sharded map and nothing else. Twice a second what has gathered is brought to merchant-connection
//! by [`super::delivery`], and empty calls where nothing has; what was not taken stays and its age grows, so neither an
//! outage of merchant-connection nor a partition without a leader loses a beat. Ages are measured on the monotonic clock: no
//! wall clock is compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use event_feed::AuthorisedMerchants;
use order_model::{MerchantId, SharedClock};
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, KeptBeat, KeptBeats, now_ms};
use super::nodes::PresenceNodes;

/// The most merchants with an untaken beat, some 60 MB. Only merchants granted to an application beat, so this is
/// reached only by a cluster of more than a million; beats of further merchants are dropped then, and counted.
pub const BEATS_MAX: usize = 1_000_000;

/// How often beats are sent: an offline period is 120 s, so half a second of delay decides nothing.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// How long the last flush may take at shutdown.
const LAST_FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// Keeps beats. Cheap to clone.
#[derive(Clone)]
pub struct BeatKeeper {
    kept: Arc<Kept>,
}

struct Kept {
    delivery: Delivery,
    /// When each merchant was last heard of, in ms of the monotonic clock.
    beats: DashMap<MerchantId, u64>,
    /// The size of `beats`, roughly: counting it would lock every shard.
    size: AtomicUsize,
    beats_max: usize,
}

impl BeatKeeper {
    /// Keeps beats for merchant-connection's nodes.
    pub fn new(nodes: PresenceNodes, clock: SharedClock) -> Self {
        Self::with_limit(nodes, clock, BEATS_MAX)
    }

    pub(super) fn with_limit(nodes: PresenceNodes, clock: SharedClock, beats_max: usize) -> Self {
        let delivery = Delivery { nodes, clock };
        Self { kept: Arc::new(Kept { delivery, beats: DashMap::new(), size: AtomicUsize::new(0), beats_max }) }
    }

    /// The merchants of an authenticated poll are there, now. Neither blocks nor fails, whatever the poll is answered.
    pub fn beat(&self, merchants: &AuthorisedMerchants) {
        let now_ms = now_ms(&self.kept.delivery.clock);
        for granted in merchants.merchants() {
            self.kept.keep(granted.merchant, now_ms);
        }
    }

    /// How many merchants have a beat that was not taken yet.
    pub fn untaken(&self) -> usize {
        self.kept.size.load(Ordering::Relaxed)
    }

    /// Sends beats until `shutdown`, and what is left once more then.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(FLUSH_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut down = Down::default();
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = shutdown.cancelled() => break,
            }
            tokio::select! {
                () = self.flush(&mut down) => {}
                () = shutdown.cancelled() => break,
            }
        }
        // Beats not taken even now are lost; the next poll of each merchant brings another.
        let _ = tokio::time::timeout(LAST_FLUSH_DEADLINE, self.flush(&mut down)).await;
    }

    /// Brings everything kept to the leaders. One log line at each end of an outage.
    async fn flush(&self, down: &mut Down) {
        // While nobody answers, one call is enough to find out.
        if down.everything && self.kept.delivery.probe().await.is_err() {
            return;
        }
        let delivered = self.kept.delivery.deliver(&self.kept.by_partition(), &|taken| self.kept.forget(taken)).await;
        down.everything =
            delivered.failure.is_some() && delivered.left.len() == self.kept.delivery.nodes.partitions().iter().count();
        match (delivered.left.len(), std::mem::replace(&mut down.partitions, delivered.left.len())) {
            (0, 0) => {}
            (0, _) => tracing::info!("merchant-connection takes all beats again"),
            (partitions, 0) => {
                let reason = delivered.failure.unwrap_or("not led where it was asked");
                tracing::warn!(partitions, reason, "merchant-connection does not take all beats; they are kept");
            }
            (_, _) => {}
        }
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        let gauges = [
            ("comanda_kitchen_api_beats_untaken", self.untaken() as f64),
            ("comanda_kitchen_api_beat_partitions_untaken", delivered.left.len() as f64),
        ];
        gauges.into_iter().for_each(|(name, value)| metrics::gauge!(name).set(value));
    }
}

/// What the last flush could not bring.
#[derive(Debug, Default)]
struct Down {
    /// Nobody answered at all.
    everything: bool,
    /// Partitions of which something is kept, or was not asked for.
    partitions: usize,
}

impl Kept {
    fn keep(&self, merchant: MerchantId, at_ms: u64) {
        match self.beats.entry(merchant) {
            Entry::Occupied(mut kept) => {
                let latest = at_ms.max(*kept.get());
                kept.insert(latest);
            }
            Entry::Vacant(free) => {
                if self.size.load(Ordering::Relaxed) >= self.beats_max {
                    metrics::counter!("comanda_kitchen_api_beats_dropped_total").increment(1);
                    return;
                }
                self.size.fetch_add(1, Ordering::Relaxed);
                free.insert(at_ms);
            }
        }
    }

    /// The beats kept. They stay until they are taken.
    fn by_partition(&self) -> KeptBeats {
        let mut beats = KeptBeats::new();
        for beat in &self.beats {
            beats.entry(self.delivery.nodes.partition_of(*beat.key())).or_default().push((*beat.key(), *beat.value()));
        }
        beats
    }

    /// Forgets beats that were taken, unless the merchant has beaten again since.
    fn forget(&self, taken: &[KeptBeat]) {
        for (merchant, at_ms) in taken {
            if self.beats.remove_if(merchant, |_, kept| kept == at_ms).is_some() {
                self.size.fetch_sub(1, Ordering::Relaxed);
            }
        }
        metrics::counter!("comanda_kitchen_api_beats_taken_total").increment(taken.len() as u64);
    }
}
