//! Keeps the latest beat of each merchant until merchant-connection has taken it.
//!
//! A beat is a write to a sharded map and nothing else. Twice a second what has gathered is sent in batches, and an
//! empty one when nothing has; what was not taken stays and its age grows, so an outage of merchant-connection loses no
//! beat. Ages are measured on the monotonic clock: no wall clock is compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use event_feed::AuthorisedMerchants;
use order_model::{MerchantId, SharedClock};
use proto::conversions;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::merchant_connection::{Beat, BeatRequest};
use proto::transport::Transport;
use tokio_util::sync::CancellationToken;

/// The most merchants with an untaken beat, some 60 MB. Only merchants granted to an application beat, so this is
/// reached only by a cluster of more than a million; beats of further merchants are dropped then, and counted.
pub const BEATS_MAX: usize = 1_000_000;

/// How often beats are sent: an offline period is 120 s, so half a second of delay decides nothing.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// The most beats of one call: some 120 KB.
const BATCH_MAX: usize = 5_000;

/// How long merchant-connection may take to take a batch.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// How long the last flush may take at shutdown.
const LAST_FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// Keeps beats. Cheap to clone.
#[derive(Clone)]
pub struct BeatKeeper {
    kept: Arc<Kept>,
}

struct Kept {
    client: MerchantConnectionClient<Transport>,
    clock: SharedClock,
    /// When each merchant was last heard of, in ms of the monotonic clock.
    beats: DashMap<MerchantId, u64>,
    /// The size of `beats`, roughly: counting it would lock every shard.
    size: AtomicUsize,
    beats_max: usize,
}

impl BeatKeeper {
    /// Keeps beats for merchant-connection, reached over `transport`.
    pub fn new(transport: Transport, clock: SharedClock) -> Self {
        Self::with_limit(transport, clock, BEATS_MAX)
    }

    pub(super) fn with_limit(transport: Transport, clock: SharedClock, beats_max: usize) -> Self {
        let client = MerchantConnectionClient::new(transport);
        let kept = Kept { client, clock, beats: DashMap::new(), size: AtomicUsize::new(0), beats_max };
        Self { kept: Arc::new(kept) }
    }

    /// The merchants of an authenticated poll are there, now. Neither blocks nor fails, whatever the poll is answered.
    pub fn beat(&self, merchants: &AuthorisedMerchants) {
        let now_ms = self.kept.now_ms();
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
        let mut is_down = false;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = shutdown.cancelled() => break,
            }
            tokio::select! {
                () = self.flush(&mut is_down) => {}
                () = shutdown.cancelled() => break,
            }
        }
        // Beats not taken even now are lost; the next poll of each merchant brings another.
        let _ = tokio::time::timeout(LAST_FLUSH_DEADLINE, self.flush(&mut is_down)).await;
    }

    /// Sends everything kept, batch by batch, until one is not taken. One log line at each end of an outage. Without a
    /// beat it sends an empty batch: while no kitchen-api calls, merchant-connection judges nobody.
    async fn flush(&self, is_down: &mut bool) {
        // While nothing is taken one batch is enough to find out.
        let beats = self.kept.snapshot(if *is_down { BATCH_MAX } else { usize::MAX });
        for batch in beats.chunks(BATCH_MAX).chain(beats.is_empty().then_some(beats.as_slice())) {
            match self.kept.send(batch).await {
                Ok(()) if std::mem::take(is_down) => tracing::info!("merchant-connection takes beats again"),
                Ok(()) => {}
                Err(reason) => {
                    if !std::mem::replace(is_down, true) {
                        tracing::warn!(reason, "merchant-connection takes no beats; they are kept");
                    }
                    break;
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        metrics::gauge!("comanda_kitchen_api_beats_untaken").set(self.untaken() as f64);
    }
}

impl Kept {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

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

    /// The beats kept, at most `limit` of them. They stay until they are taken.
    fn snapshot(&self, limit: usize) -> Vec<(MerchantId, u64)> {
        self.beats.iter().take(limit).map(|beat| (*beat.key(), *beat.value())).collect()
    }

    async fn send(&self, batch: &[(MerchantId, u64)]) -> Result<(), &'static str> {
        let now_ms = self.now_ms();
        let to_wire = |(merchant, at_ms): &(MerchantId, u64)| Beat {
            merchant_id: conversions::to_bytes(merchant.as_bytes()),
            age_ms: u32::try_from(now_ms.saturating_sub(*at_ms)).unwrap_or(u32::MAX),
        };
        let request = BeatRequest { beats: batch.iter().map(to_wire).collect() };
        let started = self.clock.monotonic();
        let mut client = self.client.clone();
        let result = match tokio::time::timeout(CALL_DEADLINE, client.beat(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("error"),
            Err(_) => Err("deadline"),
        };
        let outcome = result.err().unwrap_or("ok");
        metrics::histogram!("comanda_dependency_seconds",
            "dependency" => "merchant-connection", "operation" => "beat", "outcome" => outcome)
        .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        if result.is_ok() {
            self.forget(batch);
        }
        result
    }

    /// Forgets beats that were taken, unless the merchant has beaten again since.
    fn forget(&self, taken: &[(MerchantId, u64)]) {
        for (merchant, at_ms) in taken {
            if self.beats.remove_if(merchant, |_, kept| kept == at_ms).is_some() {
                self.size.fetch_sub(1, Ordering::Relaxed);
            }
        }
        metrics::counter!("comanda_kitchen_api_beats_taken_total").increment(taken.len() as u64);
    }
}
