//! When a delivery is tried again, what an answer means, and when a receiver is given up on.
//!
//! Pure: time and randomness are arguments. Used by [`super::delivery`] and [`super::dispatch`].

use std::time::Duration;

use order_model::Timestamp;

use super::dialect::Dialect;

/// A receiver that failed this often in a row is given one request at a time, out of a pool that only such receivers share.
pub const FAILURES_UNTIL_FAILING: u32 = 3;

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status, in time.
    Answered(u16),
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable,
    /// The dial rules refused the URL or the address it resolved to: nothing was connected to.
    Refused,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Worth trying again.
    Retry,
    /// The receiver refuses it, and will again.
    Dead,
    /// The receiver says that it is gone for good.
    DeadAndGone,
}

impl Outcome {
    /// Only 5xx, silence and broken connections are tried again (PARTNER_API, 2.7). Every 2xx is a success: a receiver that
    /// answers 200 where 202 is documented has the event. A redirect is not followed, and so is a failure.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Answered(200..=299) => Verdict::Delivered,
            Self::Answered(410) => Verdict::DeadAndGone,
            Self::Answered(500..=599) | Self::TimedOut | Self::Unreachable | Self::Refused => Verdict::Retry,
            Self::Answered(_) => Verdict::Dead,
        }
    }

    /// A stable code for the log of deliveries and for metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Answered(200..=299) => "ACCEPTED",
            Self::Answered(300..=399) => "REDIRECTED",
            Self::Answered(410) => "GONE",
            Self::Answered(400..=499) => "REJECTED",
            Self::Answered(500..=599) => "SERVER_ERROR",
            Self::Answered(_) => "UNEXPECTED_STATUS",
            Self::TimedOut => "TIMED_OUT",
            Self::Unreachable => "UNREACHABLE",
            Self::Refused => "ADDRESS_REFUSED",
        }
    }
}

/// The retries of one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From the first failure to the first retry.
    pub first: Duration,
    /// What each wait is longer than the one before.
    pub factor: u32,
    /// The longest wait.
    pub longest: Duration,
    /// From the first attempt to the last.
    pub window: Duration,
}

impl Schedule {
    /// iFood's: after 30 s, growing, for 15 min. Otherwise: quicker at first, and for as long as the event is served to polls.
    pub const fn of(dialect: Dialect) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        match dialect {
            Dialect::IFood => Self {
                first: Duration::from_secs(30),
                factor: 2,
                longest: Duration::from_secs(8 * 60),
                window: Duration::from_secs(15 * 60),
            },
            Dialect::Standard | Dialect::OpenDelivery => Self {
                first: Duration::from_secs(5),
                factor: 4,
                longest: Duration::from_secs(60 * MINUTE.as_secs()),
                window: Duration::from_secs(8 * 60 * MINUTE.as_secs()),
            },
        }
    }

    /// When to try again after `failures` attempts (from 1) that began at `began_at`; `None` when the window is over. Waits are up
    /// to a fifth longer than planned, so that what failed together does not come back together; the last is cut to the window.
    pub fn next(self, failures: u32, began_at: Timestamp, now: Timestamp, random: u64) -> Option<Timestamp> {
        let end = began_at.plus(self.window);
        if now >= end {
            return None;
        }
        let factor = self.factor.saturating_pow(failures.saturating_sub(1));
        let wait = self.first.saturating_mul(factor).min(self.longest);
        let jitter = wait / 1000 * u32::try_from(random % 201).unwrap_or_default();
        Some(now.plus(wait + jitter).min(end))
    }
}

/// How many requests a receiver may have under way after so many failures in a row, when a healthy one may have `most`.
pub fn allowance(most: usize, failures_in_a_row: u32) -> usize {
    (most >> failures_in_a_row.min(FAILURES_UNTIL_FAILING)).max(1)
}

/// Whether a receiver that has been failing since `failing_since` is paused. Being resumed counts like a success.
pub fn is_to_be_paused(
    failing_since: Timestamp,
    resumed_at: Option<Timestamp>,
    now: Timestamp,
    pause_after: Duration,
) -> bool {
    let since = resumed_at.map_or(failing_since, |resumed_at| resumed_at.max(failing_since));
    now.since(since) >= pause_after
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_000_000_000);

    /// Every attempt of a delivery that never succeeds, in seconds after the first.
    fn attempts(schedule: Schedule, random: u64) -> Vec<u64> {
        let (mut now, mut failures, mut all) = (START, 1, vec![0]);
        while let Some(next) = schedule.next(failures, START, now, random) {
            assert!(next > now, "time goes on");
            now = next;
            failures += 1;
            all.push(now.since(START).as_secs());
        }
        all
    }

    #[test]
    fn ifoods_retries_begin_after_30_s_and_end_after_15_min() {
        assert_eq!(attempts(Schedule::of(Dialect::IFood), 0), [0, 30, 90, 210, 450, 900]);
        for random in 0..1000 {
            let all = attempts(Schedule::of(Dialect::IFood), random);
            assert!((30..=36).contains(&all[1]) && all.last() == Some(&900), "{all:?}");
            assert!(
                all.windows(3).all(|waits| waits[2] == 900 || waits[2] - waits[1] > waits[1] - waits[0]),
                "{all:?}"
            );
        }
    }

    #[test]
    fn other_retries_go_on_for_8_h() {
        let all = attempts(Schedule::of(Dialect::Standard), 0);
        assert_eq!(all[..6], [0, 5, 25, 105, 425, 1705]);
        assert_eq!((all.last(), all.len()), (Some(&28_800), 14));
    }

    #[test]
    fn jitter_spreads_what_failed_together() {
        let schedule = Schedule::of(Dialect::IFood);
        let times: std::collections::BTreeSet<_> =
            (0..201).filter_map(|random| schedule.next(1, START, START, random)).collect();
        assert!(times.len() > 100, "{}", times.len());
        assert_eq!(schedule.next(u32::MAX, START, START, u64::MAX), schedule.next(40, START, START, u64::MAX));
    }

    #[test]
    fn answers_mean_what_the_contract_says() {
        let verdict = |status| Outcome::Answered(status).verdict();
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(status), Verdict::Delivered, "{status}");
        }
        for status in [100, 301, 302, 307, 308, 400, 401, 403, 404, 408, 429, 499, 600] {
            assert_eq!(verdict(status), Verdict::Dead, "{status}");
        }
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(verdict(status), Verdict::Retry, "{status}");
        }
        assert_eq!(verdict(410), Verdict::DeadAndGone);
        for outcome in [Outcome::TimedOut, Outcome::Unreachable, Outcome::Refused] {
            assert_eq!(outcome.verdict(), Verdict::Retry);
        }
    }

    #[test]
    fn a_failing_receiver_gets_less_and_never_nothing() {
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(|failures| allowance(8, failures)), [8, 4, 2, 1, 1, 1]);
        assert_eq!(allowance(1, 0), 1);
    }

    #[test]
    fn a_receiver_is_paused_after_failing_for_long_and_not_again_at_once() {
        let hour = Duration::from_secs(3600);
        let at = |hours: u32| START.plus(hour * hours);
        assert!(!is_to_be_paused(START, None, at(71), hour * 72));
        assert!(is_to_be_paused(START, None, at(72), hour * 72));
        assert!(!is_to_be_paused(START, Some(at(71)), at(73), hour * 72), "it was resumed");
        assert!(is_to_be_paused(START, Some(at(1)), at(73), hour * 72));
    }
}
