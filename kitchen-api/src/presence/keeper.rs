//! Keeps the latest beat of each merchant until the leader of its partition has taken it.
//!
//! A beat is a write to a sharded map ([`super::kept`]) and nothing else. Twice a second what has gathered is brought to
//! merchant-connection by [`super::delivery`], and empty calls where nothing has; what was not taken stays and its age grows,
//! so neither an outage of merchant-connection nor a partition without a leader loses a beat. Ages are measured on the
//! monotonic clock: no wall clock is compared.

use std::sync::Arc;
use std::time::Duration;

use event_feed::AuthorisedMerchants;
use order_model::SharedClock;
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, now_ms};
use super::kept::KeptBeats;
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
    delivery: Arc<Delivery>,
}

impl BeatKeeper {
    /// Keeps beats for merchant-connection's nodes.
    pub fn new(nodes: PresenceNodes, clock: SharedClock) -> Self {
        Self::with_limit(nodes, clock, BEATS_MAX)
    }

    pub(super) fn with_limit(nodes: PresenceNodes, clock: SharedClock, beats_max: usize) -> Self {
        let kept = KeptBeats::new(nodes.partitions(), beats_max);
        Self { delivery: Arc::new(Delivery { nodes, clock, kept }) }
    }

    /// The merchants of an authenticated poll are there, now. Neither blocks nor fails, whatever the poll is answered.
    pub fn beat(&self, merchants: &AuthorisedMerchants) {
        let now_ms = now_ms(&self.delivery.clock);
        for granted in merchants.merchants() {
            if !self.delivery.kept.keep(granted.merchant, now_ms) {
                metrics::counter!("comanda_kitchen_api_beats_dropped_total").increment(1);
            }
        }
    }

    /// How many merchants have a beat that was not taken yet.
    pub fn untaken(&self) -> usize {
        self.delivery.kept.len()
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
        if down.everything && self.delivery.probe().await.is_err() {
            return;
        }
        let delivered = self.delivery.deliver().await;
        down.everything =
            delivered.failure.is_some() && delivered.left.len() == self.delivery.nodes.partitions().iter().count();
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
