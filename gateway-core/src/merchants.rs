//! Which merchant an order is for: asked of merchant-connection, remembered for some minutes.
//!
//! A merchant that exists keeps existing, so only positive answers are remembered, in two generations that bound the
//! number and the age of entries. A UUID that is no merchant's may be a POS's own id: Open Delivery recommends UUIDs
//! there. When merchant-connection cannot answer, an order that names its merchant by UUID is accepted unverified: a lost
//! order is worse than one for a merchant that nobody polls for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use order_model::{MerchantId, SharedClock};
use parking_lot::Mutex;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::merchant_connection::{LookupRequest, lookup_request::By};
use proto::remembered::Remembered;
use proto::transport::Transport;
use tonic::Code;

use crate::telemetry;

/// The most entries of one generation: 100,000 merchants in two, about 15 MiB.
const GENERATION_ENTRIES_MAX: usize = 50_000;
/// The longest an order waits for one answer of merchant-connection; it asks at most twice.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed lookup, orders that can do without are not made to wait for this long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How an order names its merchant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum MerchantReference {
    /// By UUID, which is perhaps an Open Delivery id.
    Id {
        /// The UUID.
        id: MerchantId,
        /// How the order spells it: Open Delivery ids are compared letter by letter, and some POS write capitals.
        spelling: String,
    },
    /// By Open Delivery id.
    OpenDelivery(String),
}

impl MerchantReference {
    /// Whether it is the UUID of `merchant`.
    pub(crate) fn is_id_of(&self, merchant: MerchantId) -> bool {
        matches!(self, Self::Id { id, .. } if *id == merchant)
    }
}

/// What became of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The merchant exists.
    Known(MerchantId),
    /// Nobody could be asked; the order names a UUID.
    Unverified(MerchantId),
    /// There is no such merchant.
    Unknown,
    /// Not everything could be asked, and without that the order has no merchant.
    Unavailable,
}

/// Resolves merchants. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Merchants {
    client: MerchantConnectionClient<Transport>,
    clock: SharedClock,
    known: Arc<Mutex<Remembered<MerchantReference, MerchantId>>>,
    paused_until_ms: Arc<AtomicU64>,
    /// How the last lookup went, so that an outage is logged once.
    works: Arc<AtomicBool>,
}

impl Merchants {
    pub(crate) fn new(client: MerchantConnectionClient<Transport>, clock: SharedClock) -> Self {
        let known = Remembered::new(clock.monotonic(), GENERATION_ENTRIES_MAX);
        Self {
            client,
            clock,
            known: Arc::new(Mutex::new(known)),
            paused_until_ms: Arc::new(AtomicU64::new(0)),
            works: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The merchant that `reference` names.
    pub(crate) async fn resolve(&self, reference: &MerchantReference) -> Resolution {
        if let Some(merchant) = self.known.lock().get(reference, self.clock.monotonic()) {
            return Resolution::Known(merchant);
        }
        let found = match reference {
            MerchantReference::Id { id, .. } if self.is_paused() => return Resolution::Unverified(*id),
            MerchantReference::Id { id, spelling } => match self.by_id(*id).await {
                Err(()) => return Resolution::Unverified(*id),
                // Nobody's UUID. Without an answer to the second question it is not known whose order this is: it waits.
                Ok(None) => self.by_open_delivery_id(spelling).await,
                found => found,
            },
            MerchantReference::OpenDelivery(id) => self.by_open_delivery_id(id).await,
        };
        match found {
            Ok(Some(merchant)) => {
                self.known.lock().insert(reference.clone(), merchant, self.clock.monotonic());
                Resolution::Known(merchant)
            }
            Ok(None) => Resolution::Unknown,
            Err(()) => Resolution::Unavailable,
        }
    }

    async fn by_id(&self, id: MerchantId) -> Result<Option<MerchantId>, ()> {
        self.look_up(By::MerchantId(proto::conversions::to_bytes(id.as_bytes()))).await
    }

    async fn by_open_delivery_id(&self, id: &str) -> Result<Option<MerchantId>, ()> {
        self.look_up(By::OpenDeliveryId(id.to_owned())).await
    }

    fn is_paused(&self) -> bool {
        let until = Duration::from_millis(self.paused_until_ms.load(Ordering::Relaxed));
        self.clock.monotonic() < until
    }

    fn answered(&self) {
        if !self.works.swap(true, Ordering::Relaxed) {
            tracing::info!("merchant-connection answers again");
        }
    }

    async fn look_up(&self, by: By) -> Result<Option<MerchantId>, ()> {
        let timer = telemetry::dependency("merchant-connection", "lookup");
        let mut client = self.client.clone();
        let answer = tokio::time::timeout(LOOKUP_TIMEOUT, client.lookup(LookupRequest { by: Some(by) })).await;
        match answer {
            Ok(Ok(merchant)) => {
                timer.ok();
                self.answered();
                MerchantId::try_from_slice(&merchant.get_ref().id).map(Some).map_err(|_| ())
            }
            Ok(Err(status)) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
                timer.ok();
                self.answered();
                Ok(None)
            }
            Ok(Err(_)) | Err(_) => {
                timer.failed();
                if self.works.swap(false, Ordering::Relaxed) {
                    tracing::warn!("merchant-connection does not answer: orders are accepted unverified");
                }
                let until = self.clock.monotonic() + PAUSE_AFTER_FAILURE;
                self.paused_until_ms.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
                Err(())
            }
        }
    }
}
