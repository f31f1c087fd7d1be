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
use crate::feed::FeedRouter;
use crate::oauth::{Attempts, Tokens};
use crate::presence::BeatKeeper;

/// The state of the public API.
pub(crate) struct Api {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: Entropy,
    pub(crate) directory: Arc<Directory>,
    pub(crate) tokens: Tokens,
    /// Locked for a moment at the token endpoint only.
    pub(crate) attempts: Mutex<Attempts>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// The listener as clients see it, without a slash at its end.
    #[expect(dead_code, reason = "no answer has a link of ours yet")]
    pub(crate) public_url: String,
    pub(crate) feed: FeedRouter,
    pub(crate) beats: BeatKeeper,
    pub(crate) core: Core,
    pub(crate) merchants: Merchants,
    pub(crate) catalog: Catalog,
}

impl Api {
    /// The trace of a request that changes something: the caller's, or a new one.
    pub(crate) fn trace_of(&self, headers: &http::HeaderMap) -> TraceId {
        let sent = headers.get("traceparent").and_then(|value| value.to_str().ok()).map(TraceId::from_traceparent);
        sent.filter(|trace| trace.is_set()).unwrap_or_else(|| TraceId(self.entropy.bytes()))
    }
}
