//! How often an application may call an operation: the published limits (PARTNER_API, 1.1), each operation counted by itself,
//! and the same act in two dialects as one.
//!
//! Asked by `routes` once a token was checked; a poll asks after its beat was noted, because a restaurant must not go
//! offline over its POS's eagerness. The count is governor's, which spreads a minute's requests evenly and lets a
//! minute's worth come at once; the clock is ours. Deliberately absent: a count over several instances of kitchen-api. Each
//! allows the whole limit: it protects the process, and no bill depends on it.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use order_model::{ApplicationId, MerchantId, SharedClock};

use crate::errors::{ApiError, Throttle};
use crate::oauth::Authorised;
use crate::operations::{Operation, Per, Rate, Row};
use crate::store::Kind;

/// The limit of one operation. Holds some hundred bytes for each application, or restaurant of a distributed one, that ever
/// called it, and only for those whose token counted.
pub(crate) struct OperationLimit {
    rate: Rate,
    counts: Counts,
    clock: MonotonicClock,
}

/// Who is counted by itself: an application; of a distributed one, which runs at thousands of restaurants, each restaurant, or
/// they would take each other's polls away.
pub(crate) type Caller = (ApplicationId, Option<MerchantId>);

type Counts = RateLimiter<Caller, DashMapStateStore<Caller>, MonotonicClock, NoOpMiddleware<Reading>>;

impl OperationLimit {
    pub(crate) fn new(rate: Rate, clock: SharedClock) -> Self {
        let clock = MonotonicClock(clock);
        let quota = match rate.per {
            Per::Second => Quota::per_second(rate.requests),
            Per::Minute => Quota::per_minute(rate.requests),
        };
        let counts = Counts::new(quota, DashMapStateStore::default(), clock.clone());
        Self { rate, counts, clock }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// 429 when it is one too many, with when the next may come.
    pub(crate) fn check(&self, authorised: &Authorised) -> Result<(), ApiError> {
        let Err(not_until) = self.counts.check_key(&caller(authorised)) else { return Ok(()) };
        let retry_after_s = seconds(not_until.wait_time_from(self.clock.now()));
        Err(ApiError::too_many_requests(Throttle { limit: self.rate.requests.get(), retry_after_s }))
    }
}

/// The limits of all operations but polls, made as the router asks for them.
pub(crate) struct OperationLimits {
    by_operation: Vec<(Operation, Arc<OperationLimit>)>,
    is_on: bool,
    clock: SharedClock,
}

impl OperationLimits {
    pub(crate) fn new(is_on: bool, clock: SharedClock) -> Self {
        Self { by_operation: Vec::new(), is_on, clock }
    }

    /// What the requests of an operation count against, if it has a limit and limits are on. Polls are absent: they are
    /// limited where they are answered, after their beat.
    pub(crate) fn of(&mut self, row: &Row) -> Option<Arc<OperationLimit>> {
        let counted = row.operation.counted_as();
        let rate = row.rate().filter(|_| self.is_on && counted != Operation::Poll)?;
        if let Some((_, limit)) = self.by_operation.iter().find(|(operation, _)| *operation == counted) {
            return Some(Arc::clone(limit));
        }
        let limit = Arc::new(OperationLimit::new(rate, self.clock.clone()));
        self.by_operation.push((counted, Arc::clone(&limit)));
        Some(limit)
    }
}

/// Costs no allocation. An authorisation is known by the first of its merchants: two for the same one share its limit.
pub(crate) fn caller(authorised: &Authorised) -> Caller {
    let restaurant = match authorised.access().kind() {
        Kind::Centralised => None,
        Kind::Distributed => authorised.scope().merchants().iter().min().copied(),
    };
    (authorised.application().clone(), restaurant)
}

/// Whole seconds, at least one, after which `wait` is over.
pub(crate) fn seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

/// The monotonic clock that was passed in, as governor asks for it.
#[derive(Clone)]
struct MonotonicClock(SharedClock);

impl Clock for MonotonicClock {
    type Instant = Reading;

    fn now(&self) -> Reading {
        Reading(self.0.monotonic())
    }
}

/// What the clock showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reading(Duration);

impl Reference for Reading {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.into()))
    }
}

impl std::ops::Add<Nanos> for Reading {
    type Output = Self;

    fn add(self, duration: Nanos) -> Self {
        Self(self.0.saturating_add(duration.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(seconds(Duration::from_secs(5)), 5);
    }
}
