//! Waiting for events without looking for them: a request's place, its ear, and when it looks all the same.
//!
//! Used by `waiting` and `stream`; made by [`Waits`], which the service drains. What is read, and what is answered, is
//! theirs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::{Looked, pause, with_jitter};
use super::places::{Place, Places};
use super::reader::Sight;
use crate::api::Api;
use crate::config::WaitLimits;
use crate::errors::{ApiError, Throttle};
use crate::feed::{Heard, Listener};

/// Over how long those are spread who all have to look because something may have gone untold.
const DOUBTERS_SPREAD_OVER: Duration = Duration::from_secs(1);

/// When somebody who found no place may try again.
const NO_PLACE_RETRY_AFTER_S: u32 = 5;

/// The requests of this process that wait.
pub(crate) struct Waits {
    polls: Places,
    streams: Places,
    /// Cancelled when the service drains: everybody who waits is answered then.
    pub(crate) draining: CancellationToken,
}

impl Waits {
    pub(crate) fn new(limits: &WaitLimits) -> Self {
        Self {
            polls: Places::new("poll", limits.polls, limits.polls_per_caller),
            streams: Places::new("stream", limits.streams, limits.streams_per_caller),
            draining: CancellationToken::new(),
        }
    }

    fn places(&self, kind: Kind) -> &Places {
        match kind {
            Kind::Poll => &self.polls,
            Kind::Stream => &self.streams,
        }
    }
}

/// What a request waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Poll,
    Stream,
}

/// 429: as many requests wait as may.
pub(super) fn no_place(api: &Api, kind: Kind) -> ApiError {
    let limit = api.waits.places(kind).most_of_one();
    ApiError::too_many_requests(Throttle { limit, retry_after_s: NO_PLACE_RETRY_AFTER_S })
}

/// One request that waits.
pub(super) struct Vigil {
    api: Arc<Api>,
    listener: Listener,
    _place: Place,
    was_told: bool,
    look_at: Instant,
}

/// Why it waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// It is time to look.
    Look,
    /// It has waited until then.
    Until,
    /// The service drains.
    Drain,
}

impl Vigil {
    /// Begins to listen for what `sight` sees; `None` where there is no place.
    pub(super) fn begin(api: &Arc<Api>, kind: Kind, sight: &Sight) -> Option<Self> {
        let place = api.waits.places(kind).take(&sight.authorised);
        let found = place.zip(api.feed.listen(sight.merchants()));
        if found.is_none() {
            metrics::counter!("comanda_kitchen_api_waits_refused_total").increment(1);
        }
        let (place, listener) = found?;
        Some(Self { api: Arc::clone(api), listener, _place: place, was_told: false, look_at: Instant::now() })
    }

    /// Listens for what `sight` sees now; `false` where there is no room for more.
    pub(super) fn follow(&mut self, sight: &Sight) -> bool {
        if self.listener.covers(sight.merchants()) {
            return true;
        }
        let listener = self.api.feed.listen(sight.merchants());
        listener.is_some_and(|listener| {
            self.listener = listener;
            true
        })
    }

    /// Notes what a look came to, and whether it showed anything that was not shown before.
    pub(super) fn looked(&mut self, looked: Looked, showed: bool) {
        let was_told = std::mem::take(&mut self.was_told) && !showed;
        let pause = pause(looked, was_told, self.api.feed.tells_everything());
        self.look_at = Instant::now() + with_jitter(pause, self.dice());
    }

    /// Waits until there is something to look for, or until `until`.
    pub(super) async fn wait(&mut self, until: Instant) -> Woken {
        loop {
            let look_at = self.look_at.min(until);
            tokio::select! {
                biased;
                () = self.api.waits.draining.cancelled() => return Woken::Drain,
                heard = self.listener.heard() => match heard {
                    Heard::News => {
                        self.was_told = true;
                        return Woken::Look;
                    }
                    Heard::Doubt => {
                        let spread = DOUBTERS_SPREAD_OVER * u32::from(self.dice()) / u32::from(u8::MAX);
                        self.look_at = self.look_at.min(Instant::now() + spread);
                    }
                },
                () = tokio::time::sleep_until(look_at) => {
                    return if look_at < until { Woken::Look } else { Woken::Until };
                }
            }
        }
    }

    fn dice(&self) -> u8 {
        let [dice] = self.api.entropy.bytes();
        dice
    }
}
