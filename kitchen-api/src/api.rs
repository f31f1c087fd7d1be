//! What every request shares: one value, made when the service is built, behind one `Arc`.

use event_feed::TraceId;
use order_model::SharedClock;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::calls::{Core, Merchants};
use crate::catalog::Catalog;
use crate::config::Network;
use crate::directory::Directory;
use crate::entropy::Entropy;
use crate::errors::ApiError;
use crate::events::{Strikes, Waits};
use crate::feed::{FeedRouter, PolledPage};
use crate::oauth::{Attempts, Authorised, Tokens};
use crate::open_delivery::OpenDelivery;
use crate::presence::BeatKeeper;
use crate::rate_limits::OperationLimit;
use crate::shipping::CourierTariff;
use crate::store::{AuthorisationStore, RequestTable};
use crate::webhooks::WebhookAdmin;

/// The state of the public API.
pub(crate) struct Api {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: Entropy,
    pub(crate) directory: Arc<Directory>,
    pub(crate) tokens: Tokens,
    /// User codes, authorization codes, refresh tokens.
    pub(crate) authorisations: Arc<dyn AuthorisationStore>,
    /// Locked for a moment where secrets, codes and keys are tried only.
    pub(crate) attempts: Mutex<Attempts>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// The listener as clients see it, without a slash at its end.
    pub(crate) public_url: String,
    pub(crate) open_delivery: OpenDelivery,
    /// Whether the published limits hold.
    pub(crate) limits_requests: bool,
    pub(crate) poll_limit: Option<OperationLimit>,
    /// Where strikes pause polling.
    pub(crate) strikes: Option<Strikes>,
    pub(crate) feed: FeedRouter,
    pub(crate) beats: BeatKeeper,
    pub(crate) waits: Waits,
    pub(crate) core: Core,
    pub(crate) merchants: Merchants,
    pub(crate) catalog: Catalog,
    /// What is remembered of requests with an Idempotency-Key, of simulated orders and of quotes.
    pub(crate) requests: RequestTable,
    /// What the platform's couriers cost, where it has any.
    pub(crate) courier_tariff: Option<CourierTariff>,
    /// Where there is a table of webhooks.
    pub(crate) webhooks: Option<WebhookAdmin>,
}

impl Api {
    /// Whether a poll is answered, asked after its beat: one that is not says all the same that its merchants are there.
    ///
    /// # Errors
    /// 429 while strikes pause its polling, or when it is one too many.
    pub(crate) fn check_poll(&self, authorised: &Authorised) -> Result<(), ApiError> {
        self.strikes.as_ref().map_or(Ok(()), |strikes| strikes.check(authorised))?;
        self.poll_limit.as_ref().map_or(Ok(()), |limit| limit.check(authorised))
    }

    /// Notes what became a strike with a page, where strikes count.
    pub(crate) fn note_strikes(&self, authorised: &Authorised, page: &PolledPage) {
        if let Some(strikes) = &self.strikes {
            strikes.struck(authorised, &page.struck);
        }
    }

    /// The trace of a request that changes something: the caller's, or a new one.
    pub(crate) fn trace_of(&self, headers: &http::HeaderMap) -> TraceId {
        let sent = headers.get("traceparent").and_then(|value| value.to_str().ok()).map(TraceId::from_traceparent);
        sent.filter(|trace| trace.is_set()).unwrap_or_else(|| TraceId(self.entropy.bytes()))
    }
}
