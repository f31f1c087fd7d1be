//! The time rules of an order as pure functions: deadlines, expiry, and what is due next.
//!
//! Called by gateway-core, which keeps one `dueAt` per order. Reading a clock, and knowing when polls were served, is
//! deliberately absent: instants and gaps are passed in.

use std::time::Duration;

use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;
use crate::timestamp::Timestamp;

/// `confirmBy`, fixed at placement: the commit plus the confirm deadline.
pub fn confirm_by(commit: Timestamp, deadline: Duration) -> Timestamp {
    commit.plus(deadline)
}

/// Until when an event is served: `max(promised, created_at) + retention`.
pub fn expires_at(promised: Option<Timestamp>, created_at: Timestamp, retention: Duration) -> Timestamp {
    promised.map_or(created_at, |promised| promised.max(created_at)).plus(retention)
}

/// When an order that nobody concludes is concluded: `max(promised, created_at) + after`, where `created_at` is the
/// commit of the placement.
pub fn conclude_at(promised: Option<Timestamp>, created_at: Timestamp, after: Duration) -> Timestamp {
    promised.map_or(created_at, |promised| promised.max(created_at)).plus(after)
}

/// `createdAt` of the next event: now, but at least 1 ms after the last one, whatever the clock does.
pub fn next_created_at(last: Timestamp, now: Timestamp) -> Timestamp {
    now.max(last.plus(Duration::from_millis(1)))
}

/// An interval, `from..until`, in which polls could not be served. One that still lasts has `until = now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it; not after `from` for an empty gap.
    pub until: Timestamp,
}

/// How much of `from..until` lies outside every gap. Gaps may overlap and come in any order.
pub fn served_between(from: Timestamp, until: Timestamp, gaps: &[Gap]) -> Duration {
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable();
    let mut served = Duration::ZERO;
    let mut position = from;
    for gap in sorted {
        served += gap.from.min(until).since(position);
        position = position.max(gap.until.min(until));
    }
    served + until.since(position)
}

/// Whether an unconfirmed order has run out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmTimeout {
    /// Yes: cancel it if it is still PLACED at the version that was read.
    Due,
    /// No, and not before this instant whatever happens: look again then.
    NotBefore(Timestamp),
}

/// Whether the merchant of an unconfirmed order has had `deadline` to see it: time counts from the publication of the
/// order's first event (`published`; `None` while it is not published) or from `placed`, whichever is later, and time
/// inside `gaps` does not count.
pub fn confirm_timeout_due(
    placed: Timestamp,
    published: Option<Timestamp>,
    deadline: Duration,
    now: Timestamp,
    gaps: &[Gap],
) -> ConfirmTimeout {
    let Some(published) = published else {
        return ConfirmTimeout::NotBefore(now.plus(deadline));
    };
    let served = served_between(published.max(placed), now, gaps);
    match deadline.checked_sub(served) {
        None | Some(Duration::ZERO) => ConfirmTimeout::Due,
        Some(rest) => ConfirmTimeout::NotBefore(now.plus(rest)),
    }
}

/// What an order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// `Command::ConfirmTimeout`, once [`confirm_timeout_due`] agrees.
    Confirm,
    /// `Command::DisputeTimeout`.
    Dispute,
    /// `Command::Conclude`.
    Conclude,
}

/// What is due next for an order and when; `None` when nothing ever is. `confirm_by` may be postponed by the caller
/// (to what [`ConfirmTimeout::NotBefore`] says).
pub fn next_due(lifecycle: &Lifecycle, confirm_by: Timestamp, conclude_at: Timestamp) -> Option<(Timestamp, Due)> {
    let dispute = lifecycle.dispute.as_ref().map(|dispute| (dispute.expires_at, Due::Dispute));
    let own = match lifecycle.status {
        OrderStatus::Placed => Some((confirm_by, Due::Confirm)),
        OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup
        | OrderStatus::Dispatched => Some((conclude_at, Due::Conclude)),
        OrderStatus::Concluded | OrderStatus::Cancelled => None,
    };
    own.into_iter().chain(dispute).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: i64) -> Timestamp {
        Timestamp::from_unix_ms(unix_s * 1000)
    }

    fn gap(from: i64, until: i64) -> Gap {
        Gap { from: at(from), until: at(until) }
    }

    const MINUTES_8: Duration = Duration::from_secs(480);

    #[test]
    fn created_at_moves_on_even_when_the_clock_does_not() {
        assert_eq!(next_created_at(at(5), at(9)), at(9));
        assert_eq!(next_created_at(at(5), at(5)).unix_ms(), 5_001);
        assert_eq!(next_created_at(at(5), at(1)).unix_ms(), 5_001);
    }

    #[test]
    fn retention_counts_from_the_later_of_promise_and_event() {
        let hour = Duration::from_secs(3600);
        assert_eq!(expires_at(Some(at(100)), at(10), hour), at(3700));
        assert_eq!(expires_at(Some(at(100)), at(200), hour), at(3800));
        assert_eq!(expires_at(None, at(10), hour), at(3610));
        assert_eq!(conclude_at(Some(at(100)), at(10), hour), at(3700));
        assert_eq!(confirm_by(at(10), MINUTES_8), at(490));
    }

    #[test]
    fn gaps_may_overlap_nest_and_stick_out() {
        let gaps = [gap(50, 60), gap(0, 20), gap(10, 15), gap(55, 80), gap(70, 70), gap(90, 200)];
        assert_eq!(served_between(at(10), at(100), &gaps), Duration::from_secs(30 + 10));
        assert_eq!(served_between(at(10), at(100), &[]), Duration::from_secs(90));
        assert_eq!(served_between(at(10), at(100), &[gap(0, 500)]), Duration::ZERO);
        assert_eq!(served_between(at(100), at(10), &gaps), Duration::ZERO);
    }

    #[test]
    fn a_confirm_timeout_waits_for_publication_and_skips_gaps() {
        let due = |published, now, gaps: &[Gap]| confirm_timeout_due(at(0), published, MINUTES_8, at(now), gaps);
        assert_eq!(due(Some(at(0)), 480, &[]), ConfirmTimeout::Due);
        assert_eq!(due(Some(at(0)), 479, &[]), ConfirmTimeout::NotBefore(at(480)));
        assert_eq!(due(None, 1000, &[]), ConfirmTimeout::NotBefore(at(1480)));
        assert_eq!(due(Some(at(100)), 480, &[]), ConfirmTimeout::NotBefore(at(580)));
        assert_eq!(due(Some(at(0)), 480, &[gap(100, 160)]), ConfirmTimeout::NotBefore(at(540)));
        assert_eq!(due(Some(at(0)), 540, &[gap(100, 160)]), ConfirmTimeout::Due);
        assert_eq!(due(Some(at(0)), 600, &[gap(-50, 0), gap(700, 800)]), ConfirmTimeout::Due);
    }
}
